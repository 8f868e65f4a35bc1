//! `cargo xtask test`: the one test command.

use anyhow::Result;

use crate::machine::{cargo, run};
use crate::run::agent;
use crate::setup;

/// Formats, lints, and runs every test; with a filter, only the tests whose names contain it.
pub(crate) fn test(filter: &[String]) -> Result<()> {
    setup::all()?;
    let ksvalidator = setup::ksvalidator()?;
    let agent = agent()?;
    if filter.is_empty() {
        run(cargo().args(["fmt", "--all", "--check"]))?;
        run(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))?;
    }
    let tests = |extra: &[&str]| {
        let mut command = cargo();
        command.arg("test").args(extra).env("HARMONY_AGENT", &agent).env("HARMONY_KSVALIDATOR", &ksvalidator);
        command
    };
    run(tests(&["--workspace", "--exclude", "harmony-lab-tests", "--"]).args(filter))?;
    // Virtual machines one test at a time: two cores emulate six already.
    run(tests(&["--package", "harmony-lab-tests", "--", "--test-threads=1"]).args(filter))
}
