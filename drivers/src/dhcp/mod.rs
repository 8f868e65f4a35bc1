//! DHCP servers, one folder per product.

pub mod dnsmasq;
