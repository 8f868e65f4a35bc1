//! A simulated rack in one process, on virtual time: machines with firmware that truly fails on LACP
//! ports, switches with LACP state, BMCs, a DHCP server; the names, load balancer and installer that clusters need;
//! faults as data; checkers that watch all of it.
//!
//! What Harmony is told and what it does goes through the same capability traits as with real
//! drivers. Hosts fetch what they boot from `harmony-boot`, called in place over the store that goes with the
//! world, and do what it says: [`ipxe`] carries out the scripts. Deliberately absent, unless the world is put on
//! the [`wire`]: sockets, processes, files, threads of its own, real time. Everything happens on the Tokio runtime that the
//! world was made in, which must be a current-thread one with paused time to be fast and to be
//! repeatable: then the same [`WorldSpec`] gives the same log, byte for byte.
//!
//! Read next: [`WorldSpec`] for what a world is made of, [`World`] for what can be done with it,
//! [`StillStore`] for the store that goes with it, `network` for when frames pass, [`cluster`] for what hosts become
//! together.

mod bmc;
mod boot_server;
mod checkers;
pub mod cluster;
mod dhcp;
mod discovery;
mod faults;
pub mod ipxe;
mod lacp;
mod machine;
mod network;
pub mod node;
pub mod openshift_install;
mod pace;
mod racks;
mod random;
mod services;
mod spec;
mod ssh;
mod still_store;
mod switch;
mod topology;
pub mod wire;
mod world;

pub use boot_server::{ANACONDA_TREE, SCOS_BUILD, agent_binary, asset_files, scos_files, tftp_files};
pub use checkers::{Rule, Violation};
pub use faults::{AgentReply, Fault, FaultName, Injected, UnknownFault, WriteFault};
pub use pace::{Pace, Speed, SpeedError};
pub use services::WorldCluster;
pub use spec::{
    BmcPersonality, BootRom, DiskBus, DiskSpec, HostSpec, LacpRate, LiveFlavour, MlagSpec, NicSpec, PortSpec,
    SwitchSpec, Timing, Unpartnered, WorldSpec,
};
pub use still_store::{Append, OnAppend, StillStore};
pub use topology::SimTopology;
pub use world::{DiskWrite, MachineView, SpecError, World, Write};
