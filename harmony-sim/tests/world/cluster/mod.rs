//! Machines that become a cluster: stock CoreOS, first boots, names, load balancer, installer; and what goes wrong there.

mod faults;
mod harness;
mod install;
mod machines;
mod rules;
mod services;
