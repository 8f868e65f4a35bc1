//! Baseboard management controllers, one folder per protocol.

pub mod ipmi;
mod password;
pub mod redfish;

pub use password::{PasswordError, PasswordSource};
