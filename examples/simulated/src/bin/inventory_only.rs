//! What is in this rack? Unknown servers are switched on, boot a live system from the network, and report their hardware
//! and cables. Nothing is written to any disk.
//!
//! `cargo run --release --package simulated --bin inventory_only -- apply --yes`; for a real rack, open its site with
//! `harmony::open_site("site.toml")`.

use std::process::ExitCode;

use harmony::prelude::*;

fn main() -> ExitCode {
    harmony::in_simulation(WorldSpec::mixed_rack(7, 4), async |rack| {
        let (inventory, site) = rack.open_site()?;
        let (ports, vlan) = (site.network().host_ports.clone(), site.network().vlan);
        let scores: Vec<Box<dyn AnyScore<SiteTopology>>> = vec![
            // A port in a bond breaks a network boot,
            Box::new(SwitchAutomationScore::ready_to_boot(ports, vlan)),
            // and four machines are to be known.
            Box::new(InventoryScore::of(4)),
        ];
        Ok(harmony::run(inventory, site, scores).await)
    })
}
