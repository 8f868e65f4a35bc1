//! `cargo xtask okd-artifacts`: what a cluster's hosts and services would be given, as files.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::machine::{cargo, run, target};
use crate::run::agent;
use crate::setup;

/// Names the real `openshift-install`.
const INSTALLER: &str = "HARMONY_OPENSHIFT_INSTALL";
/// Names the inventory agent, if it is not to be built.
const AGENT: &str = "HARMONY_AGENT";

/// Builds the program, and lets it write into the folder that is named.
pub(crate) fn artifacts(args: &[String]) -> Result<()> {
    let [dir] = args else { bail!("one folder is needed, new or empty: cargo xtask okd-artifacts DIR") };
    let agent = match named(AGENT) {
        Some(agent) => agent,
        None => setup::toolchain().and_then(|()| agent())?,
    };
    // As `cargo xtask test` does it, so that nothing is compiled for the one that was compiled for the other.
    run(cargo().args(["build", "--quiet", "--workspace", "--bins", "--tests"]))?;
    let programs = target().join("debug");
    let installer = named(INSTALLER).unwrap_or_else(|| {
        eprintln!("{INSTALLER} is not set: the stand-in for openshift-install is used, which has no release behind it");
        programs.join("openshift-install")
    });
    let mut program = Command::new(programs.join("okd-artifacts"));
    program.arg(dir).env(INSTALLER, installer).env(AGENT, agent);
    // In our place, so that its exit code and its last words are ours.
    Err(program.exec()).context("failed to start okd-artifacts")
}

/// A program that the environment names.
fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
