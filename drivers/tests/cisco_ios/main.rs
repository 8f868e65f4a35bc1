//! `cisco_ios` against a simulated switch that speaks IOS over SSH.

mod contract;
mod faults;
mod login;
mod rack;
