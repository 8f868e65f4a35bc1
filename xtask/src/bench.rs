//! `cargo xtask bench`: the measurements that are promised, each beside what it is compared with.

use anyhow::Result;

use crate::machine::{cargo, run};
use crate::run::agent;
use crate::setup;

/// Runs every benchmark; each prints its ratio.
pub(crate) fn bench() -> Result<()> {
    setup::all()?;
    let agent = agent()?;
    let benches = [
        ("harmony-inventory-agent", "collect"),
        ("harmony-drivers", "scan"),
        ("harmony-inventory", "journal"),
        ("harmony-tests", "scale"),
    ];
    for (package, bench) in benches {
        run(cargo().args(["bench", "--package", package, "--bench", bench]).env("HARMONY_AGENT", &agent))?;
    }
    Ok(())
}
