//! What Harmony knows and decides, without touching anything: domain types, capability traits,
//! Scores, plans, and the engine that drives them.
//!
//! Deliberately absent: sockets, processes, files, databases. Devices are reached through the
//! traits of [`capability`], storage through [`store::Store`]; their implementations live in
//! `drivers`, `harmony-boot` and `harmony-inventory`.
//!
//! Read next: [`score`] for what a user composes, [`engine`] for how it is carried out,
//! [`boot::compat`] for the invariant that no port is in a bond while a host boots over it.

#[cfg(feature = "engine")]
pub mod boot;
#[cfg(feature = "engine")]
pub mod capability;
#[cfg(feature = "engine")]
pub mod clock;
#[cfg(feature = "engine")]
pub mod cluster;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "engine")]
pub mod error;
#[cfg(feature = "engine")]
pub mod event;
#[cfg(feature = "engine")]
pub mod host;
#[cfg(feature = "engine")]
pub mod net;
pub mod report;
#[cfg(feature = "engine")]
pub mod score;
#[cfg(feature = "engine")]
pub mod secret;
#[cfg(feature = "engine")]
pub mod store;
