//! The command line of a user's program: `plan`, `apply`, `tui`, `status` over its own Scores.

pub(crate) mod apply;
pub(crate) mod arguments;
pub(crate) mod output;
pub(crate) mod watch;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser as _};
use harmony_core::capability::Topology;
use harmony_core::clock::SystemClock;
use harmony_core::engine::{Engine, SavedPlan};
use harmony_core::score::AnyScore;
use harmony_inventory::Inventory;

use crate::{CommandError, report};
use arguments::{Arguments, Command};

/// Runs a program: reads its command line, plans or applies its Scores on its Topology, and prints.
///
/// Without a command it opens the TUI on a terminal, and prints the plan elsewhere. Data goes to
/// standard output, everything else to standard error. Exit code: 0 done, 1 failed or refused,
/// 2 wrong arguments, 3 the plan is not empty (`status`), 130 stopped by request.
pub async fn run<T: Topology>(inventory: Inventory, topology: T, scores: Vec<Box<dyn AnyScore<T>>>) -> ExitCode {
    let Arguments { json, only, yes, command } = Arguments::parse();
    match dispatch(command, &Options { json, only, yes }, inventory, topology, scores).await {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Runs Scores in the TUI, whatever the command line says.
pub(crate) async fn run_in_tui<T: Topology>(
    inventory: Inventory,
    topology: T,
    scores: Vec<Box<dyn AnyScore<T>>>,
) -> Result<ExitCode, CommandError> {
    let mut engine = Engine::new(Arc::new(inventory), Arc::new(SystemClock));
    engine.attended = true;
    watch::watch(&engine, &topology, &scores).await
}

/// What holds for every command.
pub(crate) struct Options {
    /// Print JSON.
    pub(crate) json: bool,
    /// Only these Scores.
    pub(crate) only: Vec<String>,
    /// Apply without asking.
    pub(crate) yes: bool,
}

/// Does one command with these Scores; without one, what a terminal or its absence suggests.
pub(crate) async fn dispatch<T: Topology>(
    command: Option<Command>,
    options: &Options,
    inventory: Inventory,
    topology: T,
    mut scores: Vec<Box<dyn AnyScore<T>>>,
) -> Result<ExitCode, CommandError> {
    if !options.only.is_empty() {
        let known: Vec<String> = scores.iter().map(|score| score.name()).collect();
        if let Some(unknown) = options.only.iter().find(|name| !known.contains(name)) {
            let error = CommandError::new(format!("there is no Score `{unknown}` here"));
            return Err(error.hint(format!("there are {}", known.join(", "))));
        }
        scores.retain(|score| options.only.contains(&score.name()));
    }
    let mut engine = Engine::new(Arc::new(inventory), Arc::new(SystemClock));
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    let default = if terminal && !options.json { Command::Tui } else { Command::Plan { out: None } };
    match command.unwrap_or(default) {
        Command::Plan { out } => plan(&engine, &topology, &scores, options.json, out.as_deref()).await,
        Command::Status => status(&engine, &topology, &scores, options.json).await,
        Command::Apply { file } => {
            let saved = file.as_deref().map(read_plan).transpose()?;
            if !options.yes && !confirmed(&engine, &topology, &scores, saved.as_ref(), terminal).await? {
                return Err(CommandError::new("nothing was applied").hint("answer y, or give --yes"));
            }
            apply::apply(&engine, &topology, &scores, saved.as_ref(), options.json).await
        }
        Command::Tui => {
            engine.attended = true;
            watch::watch(&engine, &topology, &scores).await
        }
        // A site's boot server does not come here: opening the site was its work.
        Command::BootServer => Err(no_boot_server()),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Arguments::command(),
                arguments::program_name(),
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// For whoever types the command that is meant for the program itself.
pub(crate) fn no_boot_server() -> CommandError {
    CommandError::new("a run starts its site's boot server by itself").hint("to serve without a run: `harmony serve`")
}

async fn plan<T: Topology>(
    engine: &Engine,
    topology: &T,
    scores: &[Box<dyn AnyScore<T>>],
    json: bool,
    out: Option<&std::path::Path>,
) -> Result<ExitCode, CommandError> {
    let plan = SavedPlan::new(topology.name(), engine.plan(topology, scores).await?);
    if let Some(path) = out {
        let failed = |error| CommandError::new(format!("failed to write the plan to {}: {error}", path.display()));
        std::fs::write(path, plan.to_text()).map_err(failed)?;
        eprintln!("plan written to {}; apply it with `apply {}`", path.display(), path.display());
    }
    let text = if json { plan.to_text() } else { plan.render() };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn status<T: Topology>(
    engine: &Engine,
    topology: &T,
    scores: &[Box<dyn AnyScore<T>>],
    json: bool,
) -> Result<ExitCode, CommandError> {
    let plans = engine.plan(topology, scores).await?;
    let hosts = engine.store.hosts().await?;
    let settled = plans.iter().all(|plan| plan.plan.is_empty());
    if json {
        let scores: Vec<_> = plans
            .iter()
            .map(|p| serde_json::json!({ "score": p.score, "steps": p.plan.steps.len(), "deferred": p.plan.deferred }))
            .collect();
        let value =
            serde_json::json!({ "site": topology.name(), "settled": settled, "scores": scores, "hosts": hosts });
        output::print(&format!("{value}\n"))?;
    } else {
        let mut text = String::new();
        for plan in &plans {
            let line = match (plan.plan.steps.len(), plan.plan.deferred.as_slice()) {
                (0, []) => "as wanted".to_owned(),
                (steps, []) => format!("{steps} steps to do"),
                (steps, deferred) => {
                    let waits: Vec<&str> = deferred.iter().map(|d| d.waits_for.as_str()).collect();
                    format!("{steps} steps to do, waits for {}", waits.join("; "))
                }
            };
            text.push_str(&format!("{:<20} {line}\n", plan.score));
        }
        text.push_str(&output::host_table(&hosts));
        output::print(&text)?;
    }
    Ok(if settled { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn read_plan(path: &std::path::Path) -> Result<SavedPlan, CommandError> {
    let failed = |error| CommandError::new(format!("failed to read the plan {}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(failed)?;
    SavedPlan::parse(&text)
        .map_err(|error| CommandError::new(format!("{}: {}", path.display(), harmony_core::error::chain(&error))))
}

/// Shows what would be done and asks.
async fn confirmed<T: Topology>(
    engine: &Engine,
    topology: &T,
    scores: &[Box<dyn AnyScore<T>>],
    saved: Option<&SavedPlan>,
    terminal: bool,
) -> Result<bool, CommandError> {
    let text = match saved {
        Some(plan) => plan.render(),
        None => SavedPlan::new(topology.name(), engine.plan(topology, scores).await?).render(),
    };
    eprint!("{text}");
    if !terminal {
        return Ok(false);
    }
    eprint!("\nApply this, and what follows from it? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let failed = |error| CommandError::new(format!("failed to read the answer: {error}"));
    std::io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
