//! A simulated site with its inventory, engine and Scores, and what can be done to its runs: kill
//! them, stop them, meddle with their steps.
//!
//! Deliberately knows no law: those are the bodies in `laws`, for each of the [`cases`]. Read next:
//! [`Site`], [`Case`], [`Hand`], [`soak`].

pub mod cases;
mod chance;
mod hand;
mod kill;
mod parallel;
mod site;
pub mod soak;

pub use cases::Case;
pub use chance::Chance;
pub use hand::{Hand, Meddling};
pub use kill::{At, Killed};
pub use parallel::{alone, for_each};
pub use site::{End, Scores, Site};
