//! The main job on real parts: Open vSwitch, firmware, iPXE, dnsmasq, IPMI, Linux bonds.

mod cluster;
mod path;
mod screen;
