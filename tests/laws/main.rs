//! The laws that the whole flow obeys, on simulated racks with virtual time.

mod interruption;
mod misfortune;
mod plans;
