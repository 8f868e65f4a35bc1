//! What is chosen for a host before it is ordered: its disk by hints, its NICs by a policy. Pure and deterministic; what a
//! person must decide is said as such.
//!
//! Owns the one rule of consent: a disk with known contents is chosen only where a person named its serial to lose them.
//! Read next: `crate::cluster::choice` for which host it is that becomes a role.

mod disk;
mod link;

pub use disk::{DiskHints, describe_disk, disks_with_reasons, target_disk, unfit};
pub use link::{Cabling, NicChoice, NicPick, alone, bond_nics, bond_of};

/// Why nothing can be chosen without a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// What is missing.
    pub waits_for: String,
    /// What to do.
    pub hint: String,
}
