//! Many small worlds, on as many threads as there are cores, each in a runtime with paused time.

use std::panic::resume_unwind;
use std::sync::Mutex;
use std::thread;

/// Runs one world to its end: current thread, paused time, no I/O.
///
/// # Panics
/// If the operating system gives no runtime, or `work` panics.
pub fn alone<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(work)
}

/// Does the same with each of these points, in any order.
///
/// # Panics
/// With the first of their panics.
pub fn for_each<P, F: Future<Output = ()>>(
    points: impl IntoIterator<Item = P, IntoIter: Send>,
    body: impl Fn(P) -> F + Sync,
) {
    let points = Mutex::new(points.into_iter());
    let next = || points.lock().ok()?.next();
    let work = || {
        while let Some(point) = next() {
            alone(body(point));
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}
