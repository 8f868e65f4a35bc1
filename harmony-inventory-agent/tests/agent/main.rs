//! Tests of the agent as a whole, in one program so that it is linked once.
//!
//! `host_agreement` and `footprint` are about this machine, `lldp` needs root for a network namespace, `recorded`,
//! `serve` and `wipe` run on recorded trees.

mod footprint;
mod host_agreement;
mod lldp;
mod program;
mod recorded;
mod serve;
mod tree;
mod wipe;
