//! The drivers against the real things: Open vSwitch, dnsmasq with a real DHCP client, HAProxy, `ipmi_sim`,
//! OpenSSH, images of xorriso. Each test makes its own network namespace or listens on a free loopback port, so that
//! all may run at once; what a test started is gone when it ends, however it ends.

mod boot_iso;
mod dns;
mod dnsmasq;
mod haproxy;
mod ipmi;
mod openvswitch;
mod parts;
mod push;
mod ssh;
mod world;
