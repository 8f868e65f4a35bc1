//! Builds and runs the virtual rack.

use std::path::PathBuf;

use anyhow::Result;

use crate::machine::{cargo, root, run, target};
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
    run(cargo()
        .args(["run", "--quiet", "--package", "virtual_rack", "--"])
        .args(args)
        .env("HARMONY_AGENT", agent)
        .current_dir(root()))
}
