//! Which drivers a site has, and where.
//!
//! [`site`] builds a Topology from a site file; [`lab`] makes a virtual rack on this machine and
//! writes the site file for it. The lab is no special case: it only makes the hardware.

pub mod lab;
pub mod simulated;
pub mod site;
