//! The world on the wire, as the real drivers meet it: hosts are found, read, logged in to and restarted over
//! sockets, and are gone when they should be.

mod agents;
mod booted;
mod harness;
mod hosts;
mod lifetime;
