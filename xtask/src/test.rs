//! `cargo xtask test`: the one test command.

use anyhow::Result;

use crate::machine::{cargo, run, target};
use crate::run::agent;
use crate::setup;

/// The lab's cluster: one test, which is too slow to run with the others.
pub(crate) fn lab_cluster() -> Result<()> {
    setup::all()?;
    let agent = agent()?;
    run(cargo().args(["build", "--quiet", "--workspace", "--bins", "--tests"]))?;
    run(cargo()
        .args(["test", "--workspace", "--test", "lab", "--", "--ignored", "--nocapture", "cluster"])
        .env("HARMONY_AGENT", agent)
        .env("HARMONY_BIN_DIR", target().join("debug")))
}

/// Formats, lints, and runs every test; with a filter, only the tests whose names contain it.
pub(crate) fn test(filter: &[String]) -> Result<()> {
    setup::all()?;
    let ksvalidator = setup::ksvalidator()?;
    let agent = agent()?;
    if filter.is_empty() {
        run(cargo().args(["fmt", "--all", "--check"]))?;
        run(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))?;
        // What users build has no features but its own.
        run(cargo().args(["check", "--quiet", "--package", "harmony", "--package", "virtual_rack"]))?;
    }
    let tests = |extra: &[&str]| {
        let mut command = cargo();
        command.arg("test").args(extra).env("HARMONY_AGENT", &agent).env("HARMONY_KSVALIDATOR", &ksvalidator);
        command
    };
    // Programs and tests together, and always of the whole workspace: what is built for some of its packages has
    // other features of what they rest on, and compiles all of that once more.
    run(cargo().args(["build", "--quiet", "--workspace", "--bins", "--tests"]))?;
    run(tests(&["--workspace", "--exclude", "harmony-lab-tests", "--"]).args(filter))?;
    let programs = target().join("debug");
    // One test at a time: two cores emulate six machines already.
    run(tests(&["--workspace", "--test", "lab", "--", "--test-threads=1", "--nocapture"])
        .args(filter)
        .env("HARMONY_BIN_DIR", programs))
}
