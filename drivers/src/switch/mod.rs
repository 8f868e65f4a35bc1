//! Switches, one folder per product.

pub mod openvswitch;
