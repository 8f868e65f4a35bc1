//! Day two: a cluster that runs gets another worker. It is described with one role more, and applied again: what is there
//! stays as it is.
//!
//! `cargo run --release --package simulated --bin add_workers -- apply --yes`; for a real cluster, add the role to its
//! `cluster.toml`, and `harmony apply cluster.toml --site site.toml`.

use std::process::ExitCode;

use harmony::prelude::*;

fn main() -> ExitCode {
    harmony::in_simulation(WorldSpec::okd_rack(2, 3, 2), async |rack| {
        // The first day.
        let mut cluster = rack.cluster(3, 1)?;
        let installed = OkdInstallationScore::new(cluster.clone())?;
        rack.prepare(|site| installed.scores(site)).await?;
        // The second.
        let (inventory, site) = rack.open_site()?;
        cluster.roles.insert("worker-1".parse()?, RoleEntry::default());
        let scores = OkdInstallationScore::new(cluster)?.scores(&site);
        Ok(harmony::run(inventory, site, scores).await)
    })
}
