//! A run in the TUI: events to the screen, a person's decisions to the inventory.

use std::process::ExitCode;

use futures::TryFutureExt as _;
use harmony_core::capability::Topology;
use harmony_core::engine::Engine;
use harmony_core::event::Outcome;
use harmony_core::host::{Assignment, Role};
use harmony_core::score::AnyScore;
use harmony_tui::{Live, Look, Notice, Source, State, UserAction};
use tokio::sync::mpsc;

use super::apply::{exit_code, stop_on_signal};
use super::arguments::program_name;
use crate::CommandError;
use crate::command::assign;
use crate::summary::summary_of;

/// Applies, and shows it on the terminal until the user leaves.
pub(super) async fn watch<T: Topology>(
    engine: &Engine,
    topology: &T,
    scores: &[Box<dyn AnyScore<T>>],
) -> Result<ExitCode, CommandError> {
    let roles = scores.iter().flat_map(|score| score.roles()).collect();
    let program = program_name();
    let run = engine.apply(&program, topology, scores, None).map_err(CommandError::from);
    show(engine, roles, Live::new(engine.bus.subscribe()), run).await
}

/// Shows a run of this engine on the terminal until the user leaves: `source` brings its records, and
/// `roles` are offered for assignment.
pub(crate) async fn show(
    engine: &Engine,
    roles: Vec<Role>,
    source: impl Source,
    run: impl Future<Output = Result<Outcome, CommandError>>,
) -> Result<ExitCode, CommandError> {
    if !harmony_tui::is_terminal() {
        return Err(
            CommandError::new("the TUI needs a terminal").hint("use `apply --yes` for lines, or `apply --yes --json`")
        );
    }
    let (to_runner, mut actions) = mpsc::channel(16);
    let (to_screen, notices) = mpsc::channel(16);
    let mut state = State::new(Look::from_env());
    state.suggest_roles(roles);
    let mut kept = engine.bus.subscribe();
    let screen = harmony_tui::run(state, source, to_runner, notices);
    let tell = |text: &str| {
        let _ = to_screen.try_send(Notice::info(text));
    };
    let signals = stop_on_signal(engine, &tell);
    tokio::pin!(screen, run, signals);
    let mut outcome = None;
    let shown = loop {
        tokio::select! {
            result = &mut screen => break result,
            result = &mut run, if outcome.is_none() => outcome = Some(result?),
            Some(action) = actions.recv() => {
                if let Some(notice) = perform(engine, action).await {
                    let _ = to_screen.try_send(notice);
                }
            }
            () = &mut signals => {}
        }
    };
    if outcome.is_none() {
        engine.stop.cancel();
        eprintln!("stopping in a compatible state …");
    }
    let outcome = match outcome {
        Some(outcome) => outcome,
        None => run.await?,
    };
    shown.map_err(CommandError::from_error)?;
    let mut records = Vec::new();
    while let Ok(record) = kept.try_recv() {
        records.push(record);
    }
    eprint!("{}", summary_of(&records, &*engine.store).await?);
    Ok(exit_code(&outcome))
}

/// Does what a person asked for; what was refused is told.
async fn perform(engine: &Engine, action: UserAction) -> Option<Notice> {
    match action {
        UserAction::Stop | UserAction::Quit => {
            engine.stop.cancel();
            None
        }
        UserAction::Assign { host, role, disk, erase } => {
            let done = async {
                let host = engine
                    .store
                    .host(&host)
                    .await?
                    .ok_or_else(|| CommandError::new(format!("{host} is not there any more")))?;
                assign(&engine.store, &host, Assignment { role, disk, erase }).await
            };
            Some(match done.await {
                Ok(text) => Notice::info(text),
                Err(error) => Notice::refused(error.to_string()),
            })
        }
    }
}
