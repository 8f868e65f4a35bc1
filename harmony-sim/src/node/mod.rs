//! A machine's part in a simulated cluster, as a program: what the unit `kubelet.service` of an installed machine starts in
//! place of a kubelet and of everything that a kubelet would start.
//!
//! On a bootstrap it reads what an installer laid under `/opt/openshift`; on masters and workers, what the machine config
//! server told Ignition. It serves the API, the machine config server and the routers where the cluster has them, on
//! their own ports. There is no leader and no store: a cluster's state is what has come to it and when
//! ([`crate::cluster::Input`]), and members tell each other what they know of that until all know the same.
//! Deliberately absent: containers, images, pods. Times are those of a real cluster, divided by [`HURRY`].
//!
//! Read next: `settings` for what it is told, `history` for what is known, `exchange` for how it is passed on, `serve` for
//! what answers.

mod exchange;
mod history;
mod pool;
mod serve;
mod settings;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use exchange::Heard;
use history::History;
use settings::Settings;

/// By how much everything in the cluster is faster than in a real one.
const HURRY: u32 = 20;

type Failure = Box<dyn Error + Send + Sync>;

/// Takes a machine's part until it is told to stop.
#[must_use]
pub fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Failure) -> ExitCode {
    eprintln!("simulated-node: {error}");
    ExitCode::FAILURE
}

async fn run() -> Result<(), Failure> {
    let settings = Settings::load()?;
    let history = Arc::new(History::open(&settings)?);
    let heard = Arc::new(Heard::default());
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let _stopped = stop.clone().drop_guard();
    serve::open(&settings, &history, &heard, &stop).await?;
    tokio::select! {
        error = exchange::take_part(&settings, &history, &heard) => error,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
