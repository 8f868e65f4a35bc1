//! Builds and runs the virtual rack.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::machine::{cargo, run, target};
use crate::setup;

const MUSL: &str = "x86_64-unknown-linux-musl";

/// Builds the static agent; its path.
pub(crate) fn agent() -> Result<PathBuf> {
    run(cargo()
        .args(["build", "--quiet", "--package", "harmony-inventory-agent", "--bin", "harmony-inventory-agent"])
        .args(["--profile", "agent", "--target", MUSL]))?;
    Ok(target().join(MUSL).join("agent/harmony-inventory-agent"))
}

/// `cargo xtask lab`.
pub(crate) fn lab(args: &[String]) -> Result<()> {
    setup::lab()?;
    let agent = agent()?;
    let default = ["apply".to_owned(), "--yes".to_owned()];
    let args = if args.is_empty() { &default } else { args };
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "virtual_rack", "--"]).args(args).env("HARMONY_AGENT", agent);
    // In our place, so that a signal reaches the rack's own program, which takes the rack down.
    Err(command.exec()).context("failed to start cargo")
}
