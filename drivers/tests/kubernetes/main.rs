//! The Kubernetes driver in front of the simulated cluster on the wire, and of services that misbehave.

mod contract;
mod front;
mod machine_config;
mod misbehaviour;
mod requests;
mod service;
mod site;
