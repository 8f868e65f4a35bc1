//! `redfish` over HTTPS: against each vendor's BMC of a simulated world, against recorded resources of real
//! ones, and against services that misbehave. No root, no hardware; every test has ports of its own.

mod faults;
mod misbehaviour;
mod personalities;
mod rack;
mod recorded;
mod service;
