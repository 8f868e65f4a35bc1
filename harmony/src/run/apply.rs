//! A run with its events as lines, or as JSON lines.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::TryFutureExt as _;
use harmony_core::capability::Topology;
use harmony_core::engine::{Engine, SavedPlan};
use harmony_core::event::{Outcome, Record};
use harmony_core::score::AnyScore;
use harmony_tui::Lines;
use tokio::sync::broadcast::error::RecvError;

use super::arguments::program_name;
use super::output;
use crate::CommandError;
use crate::summary::summary_of;

/// Two signals within this time are one.
const ONE_SIGNAL: Duration = Duration::from_secs(1);

/// Applies, printing each event as it happens, and a summary at the end.
pub(super) async fn apply<T: Topology>(
    engine: &Engine,
    topology: &T,
    scores: &[Box<dyn AnyScore<T>>],
    saved: Option<&SavedPlan>,
    json: bool,
) -> Result<ExitCode, CommandError> {
    let program = program_name();
    tell(engine, engine.apply(&program, topology, scores, saved).map_err(CommandError::from), json).await
}

/// Prints each event of a run of this engine as it happens, and a summary at the end.
pub(crate) async fn tell(
    engine: &Engine,
    run: impl Future<Output = Result<Outcome, CommandError>>,
    json: bool,
) -> Result<ExitCode, CommandError> {
    let mut events = engine.bus.subscribe();
    let mut lines = Lines::default();
    let mut records = Vec::new();
    let mut take = |record: Record| -> Result<(), CommandError> {
        if json {
            let text = serde_json::to_string(&record)
                .map_err(|error| CommandError::new(format!("failed to write an event: {error}")))?;
            output::print(&(text + "\n"))?;
        } else if let Some(line) = lines.line(&record) {
            eprintln!("{line}");
        }
        records.push(record);
        Ok(())
    };
    tokio::pin!(run);
    let stop = stop_on_signal(engine, &|text| eprintln!("{text}"));
    tokio::pin!(stop);
    let outcome = loop {
        tokio::select! {
            biased;
            event = events.recv() => match event {
                Ok(record) => take(record)?,
                Err(RecvError::Lagged(missed)) => eprintln!("({missed} events not shown: the terminal is slower than the run)"),
                Err(RecvError::Closed) => {}
            },
            outcome = &mut run => break outcome?,
            () = &mut stop => {}
        }
    };
    while let Ok(record) = events.try_recv() {
        take(record)?;
    }
    if !json {
        eprint!("{}", summary_of(&records, &*engine.store).await?);
    }
    Ok(exit_code(&outcome))
}

/// The exit code of a run.
pub(super) fn exit_code(outcome: &Outcome) -> ExitCode {
    match outcome {
        Outcome::Converged | Outcome::PlanDone { .. } => ExitCode::SUCCESS,
        Outcome::Stopped => ExitCode::from(130),
        Outcome::Failed { .. } => ExitCode::FAILURE,
    }
}

/// The first signal stops the run in a compatible state; the second ends the program. Never ends by itself.
pub(super) async fn stop_on_signal(engine: &Engine, tell: &(dyn Fn(&str) + Sync)) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    let mut first: Option<Instant> = None;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        match first {
            // One Ctrl-C can arrive twice: from the terminal, and from a parent that passes it on.
            Some(at) if at.elapsed() < ONE_SIGNAL => continue,
            Some(_) => std::process::exit(130),
            None => first = Some(Instant::now()),
        }
        tell("stopping in a compatible state; once more to end at once");
        engine.stop.cancel();
    }
}
