//! Switch ports alone: those that servers are plugged into carry the provisioning VLAN untagged, so that the servers can
//! boot from the network. Each command is in the plan; ports that are as they should be are left alone.
//!
//! `cargo run --release --package simulated --bin switch_ports -- plan`, then `… -- apply --yes`; for a real switch, open
//! its site with `harmony::open_site("site.toml")`.

use std::process::ExitCode;

use harmony::prelude::*;

fn main() -> ExitCode {
    // Somebody has left the ports in another VLAN.
    let Ok(vlan) = VlanId::try_from(99) else { return ExitCode::FAILURE };
    let mut rack = WorldSpec::mixed_rack(3, 2);
    rack.switches[0].ports.iter_mut().for_each(|port| port.mode = Some(PortMode::Access { vlan }));
    harmony::in_simulation(rack, async |rack| {
        let (inventory, site) = rack.open_site()?;
        let vlan = site.network().vlan;
        // Every port that the site file calls a host's; or name them: `["tor/Gi1/0/1".parse()?]`.
        let ports = site.network().host_ports.clone();
        let scores: Vec<Box<dyn AnyScore<SiteTopology>>> =
            vec![Box::new(SwitchAutomationScore::ready_to_boot(ports, vlan))];
        Ok(harmony::run(inventory, site, scores).await)
    })
}
