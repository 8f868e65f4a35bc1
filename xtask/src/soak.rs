//! `cargo xtask soak`: simulated racks on which chance decides everything, for as long as wanted.

use anyhow::Result;

use crate::machine::{cargo, run};

/// Builds and runs the program that does it; it prints the seed of a failure and how to replay it.
pub(crate) fn soak(args: &[String]) -> Result<()> {
    let soak = ["run", "--quiet", "--release", "--package", "harmony-tests", "--bin", "soak", "--"];
    run(cargo().args(soak).args(args))
}
