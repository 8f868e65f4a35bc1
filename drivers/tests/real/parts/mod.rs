//! The real parts, started for one test and gone with it: here for the tests of each driver, and for
//! the contracts of `tests/conformance`.

pub(crate) mod dns;
pub(crate) mod dnsmasq;
pub(crate) mod haproxy;
pub(crate) mod ipmi;
pub(crate) mod openvswitch;
pub(crate) mod ssh;
