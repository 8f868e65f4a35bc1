//! Reading signatures without waiting for a disk that no longer answers.
//!
//! A dead disk can hold a reader in the kernel for minutes, and nothing can call it back. So each disk is
//! read by a thread of its own; one that has not finished in time is left behind, its disk is reported as
//! silent, and is not asked again until that thread returns.

use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use harmony_core::report::v1::Signature;

use crate::root::{Reason, Root};

/// How long a disk may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// Disks read at the same time: spinning ones wait in parallel, and memory stays small.
const AT_ONCE: usize = 16;

/// A thread reads a few bytes at a time.
const STACK_BYTES: usize = 64 << 10;

/// Disks whose thread has been left behind. Of the process, as the threads are.
static SILENT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A disk and its partitions: path below `/dev` and size of each.
pub(crate) type Devices = Vec<(String, u64)>;

/// What was found on each device of a disk.
pub(crate) type Found = Vec<Result<Vec<Signature>, Reason>>;

/// Reads the signatures of disks. The answer has the order of the question.
pub(crate) fn signatures(root: &Root, disks: &[Devices]) -> Vec<Found> {
    disks.chunks(AT_ONCE).flat_map(|disks| read(root, disks, DEADLINE, inspect)).collect()
}

fn read(root: &Root, disks: &[Devices], deadline: Duration, inspect: fn(&Root, &Devices) -> Found) -> Vec<Found> {
    let end = Instant::now() + deadline;
    let (sender, receiver) = channel();
    let mut found: Vec<Option<Found>> = Vec::new();
    for (at, devices) in disks.iter().enumerate() {
        found.push(None);
        let key = key(root, devices);
        if silent().contains(&key) {
            continue;
        }
        let (sender, root, devices) = (sender.clone(), root.clone(), devices.clone());
        let spawned = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            let found = inspect(&root, &devices);
            // Together, so that whoever gives up on us either sees the answer or is undone by us.
            let mut silent = silent();
            let _ = sender.send((at, found));
            silent.remove(&key);
        });
        if let Err(error) = spawned {
            found[at] = Some(refused(&disks[at], &format!("no thread to read it: {error}")));
        }
    }
    drop(sender);
    // Ends when every thread has answered, or at the deadline.
    while let Ok((at, result)) = receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
        found[at] = Some(result);
    }
    let mut silent = silent();
    for (at, result) in receiver.try_iter() {
        found[at] = Some(result);
    }
    let answer = |(devices, found): (&Devices, Option<Found>)| {
        found.unwrap_or_else(|| {
            silent.insert(key(root, devices));
            refused(devices, "the disk did not answer in time")
        })
    };
    disks.iter().zip(found).map(answer).collect()
}

fn inspect(root: &Root, devices: &Devices) -> Found {
    let inspect = |(name, size): &(String, u64)| {
        let path = format!("dev/{name}");
        super::find(&root.open(&path)?, *size).map_err(|error| Reason::io(&path, &error))
    };
    devices.iter().map(inspect).collect()
}

fn refused(devices: &Devices, reason: &str) -> Found {
    devices.iter().map(|_| Err(Reason::new(reason))).collect()
}

fn key(root: &Root, devices: &Devices) -> String {
    devices.first().map(|(name, _)| root.path(name).display().to_string()).unwrap_or_default()
}

fn silent() -> MutexGuard<'static, BTreeSet<String>> {
    SILENT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, LazyLock};

    /// Held while disk `dead` does not answer.
    static HELD: LazyLock<(Mutex<bool>, Condvar)> = LazyLock::new(|| (Mutex::new(true), Condvar::new()));

    fn stand_in(_: &Root, devices: &Devices) -> Found {
        if devices[0].0 == "dead" {
            let held = HELD.0.lock().expect("lock");
            drop(HELD.1.wait_while(held, |held| *held).expect("lock"));
        }
        devices.iter().map(|_| Ok(Vec::new())).collect()
    }

    #[test]
    fn a_dead_disk_holds_nobody_up_and_is_asked_again_once_it_answers() {
        let root = Root::recorded("/probe-test");
        let disks = [vec![("sda".to_owned(), 1)], vec![("dead".to_owned(), 1), ("dead1".to_owned(), 1)]];
        let ask = |deadline| read(&root, &disks, deadline, stand_in);
        let silent_answer = vec![Err(Reason::new("the disk did not answer in time")); 2];
        let found = ask(Duration::from_millis(200));
        assert_eq!(found, [vec![Ok(Vec::new())], silent_answer.clone()]);
        // The long deadline shows that it is not asked: the healthy disk alone decides how long this takes.
        assert_eq!(ask(Duration::from_secs(3600))[1], silent_answer);
        *HELD.0.lock().expect("lock") = false;
        HELD.1.notify_all();
        while silent().contains(&key(&root, &disks[1])) {
            thread::yield_now();
        }
        assert_eq!(ask(Duration::from_secs(3600))[1], [Ok(Vec::new()), Ok(Vec::new())]);
    }
}
