//! Six servers that nobody has catalogued become an OKD cluster: three masters, two workers; the sixth was the bootstrap,
//! and is free again.
//!
//! `cargo run --release --package simulated --bin okd_cluster -- apply --yes` does it on a simulated rack. For a real one,
//! open its site with `harmony::open_site("site.toml")`, and read the cluster from its file with
//! `OkdInstallationScore::from_file("cluster.toml")`; all else stays.

use std::process::ExitCode;

use harmony::prelude::*;

fn main() -> ExitCode {
    harmony::in_simulation(WorldSpec::okd_rack(1, 3, 2), async |rack| {
        let (inventory, site) = rack.open_site()?;
        let mut cluster = rack.cluster(3, 2)?;
        // Masters and workers bond whatever they booted on; one of them says how.
        let slow = BondPolicy { lacp_rate: LacpRate::Slow, ..BondPolicy::default() };
        let entry = RoleEntry { bond: Some(Bond::On(slow)), ..RoleEntry::default() };
        cluster.roles.insert("worker-0".parse()?, entry);
        // Switch ports, inventory, bootstrap, control plane, workers: each is a Score of its own, and can be asked for
        // alone (`--only OkdSetup01Inventory`).
        let scores = OkdInstallationScore::new(cluster)?.scores(&site);
        Ok(harmony::run(inventory, site, scores).await)
    })
}
