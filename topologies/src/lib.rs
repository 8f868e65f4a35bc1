//! Which drivers a site has, and where.
//!
//! [`site`] builds a Topology from a site file; [`lab`] makes a virtual rack on this machine, [`simulated`]
//! a simulated one, and each writes the site file for it. They are no special cases: they only make the hardware.

pub mod lab;
pub mod simulated;
pub mod site;
mod stand_in;
