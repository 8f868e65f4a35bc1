//! A simulated rack in one process, on virtual time: machines with firmware that truly fails on LACP
//! ports, switches with LACP state, BMCs, a DHCP server; faults as data; checkers that watch all of it.
//!
//! What Harmony is told and what it does goes through the same capability traits as with real
//! drivers; what hosts tell goes through the same store as the boot server's. Deliberately absent:
//! sockets, processes, files, threads of its own, real time. Everything happens on the Tokio runtime that the
//! world was made in, which must be a current-thread one with paused time to be fast and to be
//! repeatable: then the same [`WorldSpec`] gives the same log, byte for byte.
//!
//! Read next: [`WorldSpec`] for what a world is made of, [`World`] for what can be done with it,
//! [`StillStore`] for the store that goes with it, `network` for when frames pass.

mod bmc;
mod boot_server;
mod checkers;
mod dhcp;
mod discovery;
mod faults;
mod machine;
mod network;
mod random;
mod spec;
mod ssh;
mod still_store;
mod switch;
mod topology;
mod world;

pub use checkers::{Rule, Violation};
pub use faults::{AgentReply, Fault, Injected, WriteFault};
pub use spec::{BootRom, DiskSpec, HostSpec, NicSpec, PortSpec, SwitchSpec, Timing, WorldSpec};
pub use still_store::StillStore;
pub use topology::SimTopology;
pub use world::{DiskWrite, MachineView, SpecError, World, Write};
