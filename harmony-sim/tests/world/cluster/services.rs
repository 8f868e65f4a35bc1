//! DNS, load balancer, boot files and installer, by their contracts.

use std::net::SocketAddr;

use harmony_core::capability::{
    BootAssets, ClusterInstaller, DnsRecord, DnsServer, LbService, LoadBalancer, RemoteFile, ServerAdmin, ServerState,
};
use harmony_core::error::{FailureKind, chain};
use harmony_sim::{Fault, WriteFault};

use super::harness::{Okd, input, name};
use crate::harness::{Site, rack};

fn record(name: &str, last: u8) -> DnsRecord {
    DnsRecord { name: name.parse().expect("valid"), address: [10, 10, 0, last].into(), reverse: true }
}

#[tokio::test(start_paused = true)]
async fn names_are_replaced_removed_and_left_alone_where_they_are_somebody_elses() {
    let Site { world, topology, .. } = &Site::new(rack(0));
    let (a, b) = (record("a.c.d", 11), record("b.c.d", 12));
    world.add_dns_record_by_hand(b.clone());
    topology.set_dns_record(&a).await.expect("set");
    let refused = topology.set_dns_record(&record("b.c.d", 13)).await.expect_err("somebody else's");
    assert_eq!(refused.kind(), FailureKind::Conflict);
    assert_eq!(topology.dns_records().await.expect("read"), std::slice::from_ref(&a));
    assert_eq!(topology.resolve(&b.name).await.expect("asked"), [b.address]);
    assert_eq!(topology.resolve_back(a.address).await.expect("asked"), std::slice::from_ref(&a.name));
    let moved = DnsRecord { address: [10, 10, 0, 14].into(), ..a.clone() };
    topology.set_dns_record(&moved).await.expect("set");
    assert_eq!(topology.resolve_back(a.address).await.expect("asked"), []);
    for _ in 0..2 {
        topology.remove_dns_record(&a.name).await.expect("removed");
    }
    assert_eq!(topology.resolve(&a.name).await.expect("asked"), Vec::<std::net::IpAddr>::new());
    assert_eq!(world.writes().iter().filter(|write| write.driver == "dns").count(), 5);
}

#[tokio::test(start_paused = true)]
async fn services_are_set_all_at_once_or_not_at_all() {
    let okd = Okd::new(rack(0), 1, 0).await;
    let topology = &okd.site.topology;
    let services = topology.services().await.expect("read");
    assert_eq!(services.len(), 4);
    let taken = LbService { name: "other".parse().expect("valid"), ..services[0].clone() };
    let nowhere = LbService { listen: Vec::new(), ..taken.clone() };
    for (service, kind) in [(taken, FailureKind::Conflict), (nowhere, FailureKind::Invalid)] {
        let mut wanted = services.clone();
        wanted[0].servers.clear();
        wanted.push(service);
        assert_eq!(topology.set_services(&wanted).await.expect_err("refused").kind(), kind);
        assert_eq!(topology.services().await.expect("read"), services, "nothing has changed");
    }
    let names: Vec<_> = services.iter().map(|service| service.name.clone()).collect();
    for _ in 0..2 {
        topology.remove_services(&names[1..]).await.expect("removed");
    }
    assert_eq!(topology.services().await.expect("read"), services[..1]);
}

#[tokio::test(start_paused = true)]
async fn servers_are_up_while_something_answers_there_and_can_be_drained() {
    let okd = Okd::new(rack(2), 1, 0).await;
    let topology = &okd.site.topology;
    let state = async |server: &str| {
        let health = topology.server_health().await.expect("known");
        let found =
            health.into_iter().find(|of| of.service.as_str() == "ocp4-api" && of.server.as_str().starts_with(server));
        found.expect("a server").state
    };
    okd.passes(1).await;
    assert_eq!(state("bootstrap").await, ServerState::Down);
    okd.boot("bootstrap").await;
    okd.says("API and machine config server answer").await;
    okd.passes(11).await;
    assert_eq!((state("bootstrap").await, state("master").await), (ServerState::Up, ServerState::Down));
    let health = topology.server_health().await.expect("known");
    let up = health.iter().find(|of| of.state == ServerState::Up).expect("one");
    topology.set_server(&up.service, &up.server, ServerAdmin::Drain).await.expect("set");
    let drained = topology.server_health().await.expect("known");
    assert!(drained.iter().any(|of| of.server == up.server && of.state == ServerState::Drain));
    okd.site.world.power_by_hand(&okd.machine("bootstrap"), harmony_core::capability::PowerAction::Off);
    okd.passes(16).await;
    assert_eq!(state("bootstrap").await, ServerState::Down);
}

#[tokio::test(start_paused = true)]
async fn files_are_fetched_once_whole_and_served() {
    let site = Site::new(rack(0));
    let images = site.topology.boot_images().await.expect("named");
    let (file, path) = &images.assets()[0];
    assert_eq!(site.topology.asset(path).await.expect("asked"), None);
    let wrong = RemoteFile { sha256: "0".repeat(64), location: file.location.clone() };
    let refused = site.topology.fetch_asset(&wrong, path, &|_, _| {}).await.expect_err("another digest");
    assert_eq!((refused.kind(), site.topology.asset(path).await.expect("asked")), (FailureKind::Invalid, None));
    let fetched = site.topology.fetch_asset(file, path, &|_, _| {}).await.expect("fetched");
    assert_eq!(site.topology.asset(path).await.expect("asked"), Some(fetched));
    let before = site.world.writes().len();
    site.topology.fetch_asset(file, path, &|_, _| {}).await.expect("there");
    assert_eq!(site.world.writes().len(), before, "not again");
}

#[tokio::test(start_paused = true)]
async fn artefacts_are_made_in_generations_and_only_of_what_is_valid() {
    let site = Site::new(rack(0));
    assert_eq!(site.topology.artefacts(&name()).await.expect("asked"), None);
    let lost = site.world.inject(Fault::Write { device: "installer/".to_owned(), nth: 1, how: WriteFault::FailAfter });
    assert!(site.topology.make_artefacts(&input(3)).await.is_err());
    assert_eq!(lost.fired(), 1);
    let first = site.topology.artefacts(&name()).await.expect("asked").expect("made all the same");
    assert_eq!((first.generation, first.input == input(3).digest()), (1, true));
    assert_eq!(first.expires_at.duration_since(first.made_at).as_hours(), 24);
    let second = site.topology.make_artefacts(&input(3)).await.expect("made");
    assert_ne!(first.roles, second.roles, "certificates of its own");
    let mut bad = input(3);
    bad.install_config = bad.install_config.replace("baseDomain", "basedomain");
    let refused = site.topology.make_artefacts(&bad).await.expect_err("refused");
    assert!(chain(&refused).contains("baseDomain: Required value"), "{}", chain(&refused));
    assert_eq!(site.topology.artefacts(&name()).await.expect("asked"), Some(second));
}

#[test]
fn addresses_of_tests_are_in_the_world() {
    let endpoint: SocketAddr = ([10, 10, 200, 5], 6443).into();
    assert!(harmony_sim::WorldSpec::rack(1, 0).pool.iter().all(|address| address != endpoint.ip()));
}
