//! Switches, one folder per product.

pub mod cisco_ios;
pub mod openvswitch;
