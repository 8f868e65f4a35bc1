//! The `harmony` command as a person meets it, each test with its own processes.

mod bad_input;
mod boot_server;
mod cli;
mod demo;
mod demo_cluster;
mod hints;
mod site;
