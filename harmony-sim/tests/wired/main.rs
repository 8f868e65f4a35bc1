//! Machines on loopback and a real boot server that listens there: the same lives as in process, over sockets.

#[path = "../world/harness.rs"]
#[allow(dead_code, reason = "made for the world in process; this needs a part of it")]
mod harness;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use harmony_boot::{AgentBinary, BootConfig, BootServer, Files, TftpConfig};
use harmony_core::boot::{BootEventKind, OrderState};
use harmony_core::capability::ProvisioningNetwork;
use harmony_core::host::Firmware;
use harmony_inventory::Inventory;
use harmony_sim::wire::Loopback;
use harmony_sim::{BootRom, StillStore, World, WorldSpec, asset_files, tftp_files};
use harmony_templates::LiveEnvironment;

use harness::Site;

const TFTP_PORT: u16 = 6969;

fn memory(files: Vec<(String, bytes::Bytes)>) -> Files {
    Files::Memory(files.into_iter().collect::<BTreeMap<_, _>>())
}

/// A world on loopback that runs 50 times as fast, and its boot server.
async fn site(spec: WorldSpec) -> (Site, BootServer, Loopback) {
    let loopback = Loopback::claim().expect("a free prefix");
    let world = World::new(loopback.place(spec)).expect("a world");
    world.pace().set_speed("50".parse().expect("a speed"));
    let store: harmony_core::store::SharedStore =
        StillStore::open(Inventory::open("sqlite::memory:")).expect("a store");
    let topology = world.topology(store.clone());
    let source = topology.install_source().expect("simulated");
    let config = BootConfig {
        http: source.server,
        tftp: Some(TftpConfig { listen: SocketAddr::new(source.server.ip(), TFTP_PORT), root: memory(tftp_files()) }),
        base_url: None,
        assets: memory(asset_files()),
        agent: AgentBinary::Memory(bytes::Bytes::from_static(b"an agent")),
        authorized_keys: source.ssh_key.clone(),
        live: LiveEnvironment::Anaconda { tree: harmony_sim::ANACONDA_TREE.to_owned() },
        live_args: Vec::new(),
        agent_token: None,
        private: None,
    };
    let server = BootServer::start(config, store.clone(), world.clock()).await.expect("listens");
    world.use_boot_server(server.http_addr(), server.tftp_addr());
    (Site { world, topology, store }, server, loopback)
}

/// A rack of one machine with each sort of boot ROM.
fn rack() -> WorldSpec {
    let mut spec = harness::rack(3);
    let roms =
        [(Firmware::Uefi, BootRom::IpxeRom), (Firmware::Bios, BootRom::BiosPxe), (Firmware::Uefi, BootRom::UefiHttp)];
    for (host, (firmware, rom)) in spec.hosts.iter_mut().zip(roms) {
        (host.firmware, host.rom) = (firmware, rom);
    }
    spec
}

#[tokio::test]
async fn machines_boot_over_sockets_and_are_known_by_their_addresses() {
    let (site, server, _loopback) = site(rack()).await;
    for name in ["node-1", "node-2", "node-3"] {
        site.discover(name).await;
    }
    let known = async || {
        let events = site.store.latest_boot_events(1000).await.expect("reads");
        let announced = events.iter().filter(|event| matches!(event.kind, BootEventKind::Announced { .. }));
        (announced.filter(|event| event.host.is_some()).count() == 3).then_some(events)
    };
    let events = loop {
        if let Some(events) = known().await {
            break events;
        }
        assert!(site.world.until(Duration::from_secs(1), |_| false).await || site.world.now() < harness::BOOT * 2);
    };
    let has = |kind: &BootEventKind| events.iter().any(|event| event.kind == *kind);
    assert!(has(&BootEventKind::Tftp { path: "undionly.kpxe".to_owned() }));
    assert!(has(&BootEventKind::Asset { path: "ipxe.efi".to_owned(), complete: true }));
    assert!(has(&BootEventKind::Kickstart) && has(&BootEventKind::AgentBinary));
    for name in ["node-1", "node-2", "node-3"] {
        let address = site.machine(name).address;
        assert!(events.iter().any(|event| event.address == address), "{name} asked from {address:?}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn an_order_is_installed_over_sockets() {
    let (site, _server, _loopback) = site(harness::rack(1)).await;
    let host = site.discover("node-1").await;
    let network = site.topology.network().clone();
    let order = site.order(&host, 1, |order| order.address = network.hosts.first.into()).await;
    site.netboot("node-1").await;
    let is_up = |world: &World| world.machine("node-1").is_some_and(|m| m.hostname.is_some() && m.reachable);
    assert!(site.world.until(harness::BOOT, is_up).await, "{}", site.world.log());
    assert_eq!(site.state(&order).await, OrderState::Installed);
    assert_eq!(site.machine("node-1").address, Some(network.hosts.first.into()));
    site.assert_clean();
}
