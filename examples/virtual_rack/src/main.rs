//! Three servers that nobody has catalogued become installed, bonded nodes.
//!
//! `cargo xtask lab` builds what it needs and runs it. The rack is virtual; from `open_site` on,
//! this is the program for a real one.

use std::process::ExitCode;

use harmony::prelude::*;

fn main() -> ExitCode {
    // A switch, three machines with two NICs each, and their BMCs: gone again when this ends.
    harmony::in_lab(async |site_file| {
        let (inventory, site) = harmony::open_site(site_file).await?;
        let (ports, vlan) = (site.network().host_ports.clone(), site.network().vlan);
        let roles = ["node-1".parse()?, "node-2".parse()?, "node-3".parse()?];
        let scores: Vec<Box<dyn AnyScore<SiteTopology>>> = vec![
            // Unknown machines boot on plain access ports,
            Box::new(SwitchAutomationScore::ready_to_boot(ports, vlan)),
            // are found, and their hardware and cables are read;
            Box::new(InventoryScore::of(3)),
            // each gets a role, in the TUI or, when nobody watches, by itself,
            // is installed, bonds its NICs, and then the switch bundles its ports.
            Box::new(HostProvisioningScore::new(roles).assign_unattended()),
        ];
        Ok(harmony::run(inventory, site, scores).await)
    })
}
