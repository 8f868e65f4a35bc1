//! Baseboard management controllers, one folder per protocol.

pub mod ipmi;
