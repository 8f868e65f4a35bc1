//! The real boot server, on the wire: what it serves decides what the real drivers then meet.

use harmony_boot::{AgentBinary, BootConfig, BootServer, Files, TftpConfig};
use harmony_core::capability::{HostControl, HostDiscovery, HostTarget, LoginStage};
use harmony_core::error::{FailureKind, chain};
use harmony_core::report::AGENT_PORT;
use harmony_core::secret::Secret;
use harmony_sim::{WorldSpec, agent_binary, asset_files, tftp_files};
use harmony_templates::LiveEnvironment;
use tokio::time::timeout;

use crate::harness::{REAL, Site};
use crate::hosts::Harmony;

const TOKEN: &str = "agents-t0ken";

fn config(site: &Site, harmony: &Harmony) -> BootConfig {
    let tftp = TftpConfig { listen: site.wire.boot_tftp(), root: Files::Memory(tftp_files().into_iter().collect()) };
    BootConfig {
        http: site.wire.boot_http(),
        tftp: Some(tftp),
        base_url: None,
        assets: Files::Memory(asset_files().into_iter().collect()),
        agent: AgentBinary::Memory(agent_binary()),
        authorized_keys: harmony.ssh.public_key(),
        live: LiveEnvironment::Initramfs {
            kernel: "sim/live-kernel.x86_64".to_owned(),
            initrd: "sim/live-initramfs.x86_64.img".to_owned(),
        },
        live_args: Vec::new(),
        agent_token: Some(Secret::new(TOKEN)),
        private: None,
    }
}

#[tokio::test]
async fn a_stranger_boots_announces_itself_and_lets_harmony_in() {
    let site = Site::without_boot_server(WorldSpec::rack(7, 1)).await;
    let harmony = Harmony::new(&site);
    let boot =
        BootServer::start(config(&site, &harmony), site.store.clone(), site.world.clock()).await.expect("starts");
    site.world.use_boot_server(boot.http_addr(), boot.tftp_addr());
    let announced = async {
        loop {
            if let Some(found) = site.store.unread_announcements().await.expect("reads").pop() {
                return found;
            }
            site.world.pace().sleep(std::time::Duration::from_secs(1)).await;
        }
    };
    let announced = timeout(REAL, announced).await;
    let (host, agent) = announced.unwrap_or_else(|_| panic!("nobody announced itself:\n{}", site.world.log()));
    let address = site.machine("node-1").address.expect("leased");
    assert_eq!((agent.ip(), agent.port()), (address, AGENT_PORT), "it came from its own address");
    // The token of its command line, which it asks of its readers too.
    let refused = site.discovery().fetch_report(address).await.expect_err("no token");
    assert_eq!(refused.kind(), FailureKind::Rejected, "{}", chain(&refused));
    let reply = site.discovery_with(Some(Secret::new(TOKEN))).fetch_report(address).await.expect("ours");
    let report = harmony_core::report::parse(&reply.body).expect("a report");
    assert_eq!(report.system.serial, Some(site.machine("node-1").serial));
    // The keys that it fetched open it; its own command restarts it.
    let target = HostTarget { host, address, stage: LoginStage::Live };
    assert_eq!(harmony.run(&target, "hostname").await, (Some(0), "localhost\n".to_owned()));
    let starts = site.machine("node-1").starts;
    harmony.ssh.reboot(&target).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    site.until("it restarts", |world| world.machine("node-1").is_some_and(|m| m.starts > starts)).await;
    boot.shutdown().await;
}
