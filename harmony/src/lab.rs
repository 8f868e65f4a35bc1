//! Programs that bring their own rack: [`in_lab`] makes a virtual one and runs the program inside its network.
//!
//! A rack is a network namespace, and a process is in one from its start. So the program is started
//! a second time, inside; the first waits for it, passes signals on, and takes the rack down.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use harmony_topologies::lab::{Lab, LabSpec, ReleasePrograms, default_parent};
use tokio::process::Child;

use crate::run::arguments::{Arguments, Command};
use crate::{CommandError, report};

/// Says to a program that it is inside the rack of this folder.
const INSIDE: &str = "HARMONY_LAB_INSIDE";
/// A person's choice: a rack that runs already, by name or folder; it is left running.
const ATTACH: &str = "HARMONY_LAB";
/// The inventory agent's binary, where it is not where `cargo xtask agent` builds it.
const AGENT: &str = "HARMONY_AGENT";
/// Where that is, in the folder of all that cargo builds.
const BUILT: &str = "x86_64-unknown-linux-musl/agent/harmony-inventory-agent";

/// Runs a program in a virtual rack, which is made for it and gone when it ends. The program is
/// given the path of the rack's site file.
///
/// With `HARMONY_LAB=NAME` it runs in a rack that `harmony lab up` made, and leaves that running.
pub fn in_lab<F>(program: F) -> ExitCode
where
    F: AsyncFnOnce(PathBuf) -> Result<ExitCode, CommandError>,
{
    // Wrong arguments and `--help` need no rack.
    let needs_rack = !matches!(Arguments::parse().command, Some(Command::Completions { .. }));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&CommandError::new(format!("failed to start: {error}"))),
    };
    let result = match std::env::var_os(INSIDE).map(PathBuf::from) {
        Some(folder) => runtime.block_on(program(folder.join("site.toml"))),
        None if !needs_rack => runtime.block_on(program(PathBuf::from("site.toml"))),
        None => runtime.block_on(outside()),
    };
    // Threads that wait for a keyboard do not keep the program from ending.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &CommandError) -> ExitCode {
    report(error);
    ExitCode::FAILURE
}

async fn outside() -> Result<ExitCode, CommandError> {
    if let Some(name) = std::env::var_os(ATTACH) {
        return run_inside(&find_lab(&name.to_string_lossy())?).await;
    }
    let agent = find_agent(std::env::var_os(AGENT).map(PathBuf::from))?;
    let mut making = std::pin::pin!(make_lab(LabSpec::new(agent)));
    let lab = tokio::select! {
        lab = &mut making => lab?,
        signal = signals() => {
            signal?;
            // What is half made is finished first, and then removed whole.
            take_down(making.await?).await?;
            return Err(CommandError::new("stopped while the rack was being made"));
        }
    };
    let result = run_inside(&lab).await;
    take_down(lab).await?;
    result
}

/// The inventory agent for a rack: this one, or else the one that `cargo xtask agent` has built in the
/// folder that this program was built in.
pub(crate) fn find_agent(given: Option<PathBuf>) -> Result<PathBuf, CommandError> {
    let program = std::env::current_exe().unwrap_or_default();
    let built = || program.ancestors().map(|folder| folder.join(BUILT)).find(|agent| agent.is_file());
    given.or_else(built).ok_or_else(|| {
        CommandError::new("the rack needs the inventory agent's binary")
            .hint("`cargo xtask agent` builds it where it is found; or name it: --agent, HARMONY_AGENT")
    })
}

/// What stands in for a release in a rack: programs of this folder, or else those that were built beside this program.
pub(crate) fn find_release(given: Option<PathBuf>) -> Result<ReleasePrograms, CommandError> {
    let folder = given.or_else(|| Some(std::env::current_exe().ok()?.parent()?.to_owned())).unwrap_or_default();
    let programs = ["openshift-install", "simulated-node"].map(|name| folder.join(name));
    if let Some(missing) = programs.iter().find(|program| !program.is_file()) {
        return Err(CommandError::new(format!(
            "a cluster in the rack needs {}, which is not there",
            missing.display()
        ))
        .hint("`cargo build --package harmony-sim --bins` builds it; then name its folder: --programs"));
    }
    let [installer, node] = programs;
    Ok(ReleasePrograms { installer, node })
}

/// A rack that runs already, by name or folder.
pub(crate) fn find_lab(name: &str) -> Result<Lab, CommandError> {
    let by_folder = PathBuf::from(name);
    let found = match name.parse() {
        Ok(name) => Lab::named(&name, &default_parent()),
        Err(_) => Lab::open(&by_folder),
    };
    found.map_err(CommandError::from_error)
}

/// Makes a rack, telling what takes long.
pub(crate) async fn make_lab(spec: LabSpec) -> Result<Lab, CommandError> {
    let made = tokio::task::spawn_blocking(move || Lab::up(&spec, &|text| eprintln!("lab: {text}")));
    made.await
        .map_err(|error| CommandError::new(format!("failed to make the rack: {error}")))?
        .map_err(CommandError::from_error)
}

/// Takes a rack down.
pub(crate) async fn take_down(lab: Lab) -> Result<(), CommandError> {
    let down = tokio::task::spawn_blocking(move || lab.down());
    down.await
        .map_err(|error| CommandError::new(format!("failed to take the rack down: {error}")))?
        .map_err(CommandError::from_error)
}

/// Runs this program again, inside, to its end.
async fn run_inside(lab: &Lab) -> Result<ExitCode, CommandError> {
    let program =
        std::env::current_exe().map_err(|error| CommandError::new(format!("failed to find this program: {error}")))?;
    let mut command = tokio::process::Command::from(lab.command(&program));
    command.args(std::env::args_os().skip(1)).env(INSIDE, lab.folder()).kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| CommandError::new(format!("failed to start {}: {error}", program.display())))?;
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.map_err(|error| CommandError::new(format!("failed to wait for {}: {error}", program.display())))?;
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
            }
            signal = signals() => pass_on(&child, signal?),
        }
    }
}

/// The next interrupt, termination or hangup.
async fn signals() -> Result<nix::sys::signal::Signal, CommandError> {
    use nix::sys::signal::Signal;
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error| CommandError::new(format!("failed to wait for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    // The terminal was closed: the rack must go all the same.
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    Ok(tokio::select! {
        _ = interrupt.recv() => Signal::SIGINT,
        _ = terminate.recv() => Signal::SIGTERM,
        _ = hangup.recv() => Signal::SIGTERM,
    })
}

/// A terminal sends Ctrl-C to both; the program inside takes two within a second for one.
fn pass_on(child: &Child, signal: nix::sys::signal::Signal) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
    }
}
