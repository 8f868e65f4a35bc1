//! How a host gets from power-on to an installed, bonded node, and what must never happen on the way.
//!
//! All of it is pure: [`compat`] says which host state goes with which port mode, [`flip`] turns
//! readings of both ends into the next act, [`phase`] turns evidence into progress.

pub mod bonding;
pub mod choice;
pub mod compat;
pub mod evidence;
pub mod flip;
mod order;
pub mod phase;

pub use bonding::{BondMember, BondReading};
pub use compat::{Effect, Incompatible, PortKind, Situation, Stage};
pub use evidence::{BootEvent, BootEventKind};
pub use order::{Addressing, BondOptions, BootToken, HashPolicy, LacpRate, LinkPlan, Order, OrderId, OrderState};
pub use phase::{InstallProgress, Phase};
