//! A whole cluster, from blank machines to installed.

use std::sync::Mutex;
use std::time::Duration;

use harmony_core::boot::{OrderState, Stage};
use harmony_core::capability::{
    BootDevice, Cluster, ClusterInstaller, HostControl, HostTarget, InstallStage, LoginStage, PowerAction, ServerState,
};
use harmony_core::cluster::endpoints::ClusterPhase;
use harmony_sim::WorldSpec;
use tokio_util::sync::CancellationToken;

use super::harness::{LONG, Okd, name};
use crate::harness::rack;

/// Brings up one bootstrap, three masters and two workers.
async fn whole(spec: WorldSpec) -> Okd {
    let okd = Okd::new(spec, 3, 2).await;
    okd.bootstrap().await;
    okd.set_phase(ClusterPhase::WorkersJoin).await;
    okd.site.world.power_by_hand(&okd.machine("bootstrap"), PowerAction::Off);
    okd.boot("worker-0").await;
    okd.boot("worker-1").await;
    okd.join(5).await;
    okd.reaches(|state, now| state.install_is_complete(now)).await;
    okd
}

#[tokio::test(start_paused = true)]
async fn a_cluster_comes_up_and_nothing_forbidden_happens() {
    let okd = whole(rack(6)).await;
    let topology = &okd.site.topology;
    let nodes = topology.nodes(&name()).await.expect("answers");
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let full =
        ["master-0", "master-1", "master-2", "worker-0", "worker-1"].map(|role| format!("{role}.ocp4.example.com"));
    assert_eq!(names, full);
    assert!(nodes.iter().all(|node| node.ready == Some(true)), "{nodes:?}");
    assert!(topology.api_is_ready(&name()).await.expect("answers"));
    assert!(
        topology.operators(&name()).await.expect("answers").iter().all(harmony_core::capability::Operator::is_well)
    );
    // A pivot restarts each node once, the bootstrap never: power-on, installer, disk, pivot.
    assert_eq!(okd.site.machine(&okd.machine("master-0")).starts, 4, "{}", okd.site.world.log());
    okd.site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_log() {
    let log = async || whole(WorldSpec::okd_rack(3, 3, 2)).await.site.world.log();
    let (first, second) = (log().await, log().await);
    assert_eq!(first, second);
    assert!(first.contains("cluster version: installed"));
}

#[tokio::test(start_paused = true)]
async fn the_installer_watches_and_says_so() {
    let okd = Okd::new(rack(4), 3, 0).await;
    let told = Mutex::new(Vec::new());
    let tell = |line: &str| told.lock().expect("whole").push(line.to_owned());
    let (stop, cluster) = (CancellationToken::new(), name());
    let (watched, ()) = tokio::join!(
        okd.site.topology.wait_for(&cluster, InstallStage::BootstrapComplete, &tell, &stop),
        okd.bootstrap()
    );
    watched.expect("comes up");
    let lines = told.lock().expect("whole").join("\n");
    assert!(lines.contains("for the Kubernetes API at https://api.ocp4.example.com:6443..."), "{lines}");
    assert!(lines.ends_with("It is now safe to remove the bootstrap resources"), "{lines}");
    stop.cancel();
    let stopped = okd.site.topology.wait_for(&name(), InstallStage::InstallComplete, &tell, &stop).await;
    assert!(stopped.is_err_and(|error| harmony_core::error::chain(&error).contains("interrupted")));
}

#[tokio::test(start_paused = true)]
async fn systems_answer_as_core_and_show_how_they_are_attached() {
    let okd = Okd::new(rack(4), 3, 0).await;
    let bootstrap = okd.boot("bootstrap").await;
    let master = okd.boot("master-0").await;
    okd.says("kubelet starts").await;
    assert_eq!(okd.site.state(&master).await, OrderState::Answered, "CoreOS tells nobody anything");
    let ssh = async |order, command: &str| okd.site.ssh(order, command).await.expect("answers");
    assert_eq!(ssh(&master, "hostname").await.stdout, "master-0.ocp4.example.com\n");
    assert!(ssh(&master, "sudo cat /proc/net/bonding/bond0").await.stdout.contains("IEEE 802.3ad"));
    assert_eq!(ssh(&bootstrap, "cat /proc/net/bonding/bond0").await.status, Some(1));
    let name = okd.site.machine(&okd.machine("bootstrap"));
    assert_eq!((name.stage, name.hostname.as_deref()), (Stage::Plain, Some("bootstrap.ocp4.example.com")));
    let live = HostTarget { host: master.id.host.clone(), address: master.address, stage: LoginStage::Live };
    assert!(okd.site.topology.run(&live, "hostname", Duration::from_secs(5)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_booted_early_waits_and_joins() {
    let okd = Okd::new(rack(5), 3, 1).await;
    okd.boot("worker-0").await;
    okd.bootstrap().await;
    assert!(okd.site.world.log().contains("500 Internal Server Error; tries again"), "{}", okd.site.world.log());
    okd.set_phase(ClusterPhase::WorkersJoin).await;
    okd.join(4).await;
    okd.site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_boots_from_the_network_first_survives_its_pivot_behind_lacp() {
    let mut spec = rack(4);
    for host in &mut spec.hosts {
        *host = host.clone().with_firmware_pxe();
        host.boot_order = vec![BootDevice::Network, BootDevice::Disk];
    }
    let okd = Okd::new(spec, 3, 0).await;
    okd.boot("bootstrap").await;
    okd.boot("master-0").await;
    okd.says("pulls the cluster's image").await;
    let machine = okd.machine("master-0");
    okd.site.flip(&machine).await;
    okd.says("master-0.ocp4.example.com: kubelet starts").await;
    assert!(okd.site.machine(&machine).bundled);
    okd.site.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn own_addresses_and_a_tagged_vlan_work() {
    use harmony_core::boot::Addressing;
    let mut spec = rack(4);
    spec.tagged = vec![100];
    let okd = Okd::new(spec, 3, 0).await;
    let own = Addressing::Static { prefix_len: 16, gateway: None, dns: vec![[10, 10, 0, 1].into()] };
    okd.boot_with("bootstrap", |order| order.link.addressing = own.clone()).await;
    for role in ["master-0", "master-1", "master-2"] {
        okd.boot_with(role, |order| {
            order.link.addressing = own.clone();
            order.link.vlan = 100.try_into().ok();
        })
        .await;
    }
    okd.reaches(|state, now| state.bootstrap_is_complete(now)).await;
    assert_eq!(okd.site.machine(&okd.machine("master-1")).address, Some(okd.address("master-1")));
    okd.site.assert_clean();
    // A VLAN that no port carries leads nowhere.
    let okd = Okd::new(rack(2), 1, 0).await;
    okd.boot_with("master-0", |order| order.link.vlan = 100.try_into().ok()).await;
    let machine = okd.machine("master-0");
    assert!(!okd.site.world.until(LONG / 6, |world| !world.disk_writes().is_empty()).await);
    assert!(!okd.site.machine(&machine).reachable);
}

#[tokio::test(start_paused = true)]
async fn ingress_moves_to_the_workers_and_the_load_balancer_sees_it() {
    let okd = whole(rack(6)).await;
    let topology = &okd.site.topology;
    okd.set_phase(ClusterPhase::IngressMoves).await;
    topology.set_masters_schedulable(&name(), false).await.expect("set");
    // Until the masters' taints follow, their routers would come back where they were.
    okd.reaches(|state, now| state.nodes(now).iter().all(|node| node.schedulable != node.name.starts_with("master")))
        .await;
    topology.restart_ingress(&name(), "a").await.expect("restarted");
    let workers = ["worker-0.ocp4.example.com", "worker-1.ocp4.example.com"];
    okd.reaches(|state, now| state.ingress_nodes(now) == workers).await;
    let up = async || {
        let health = harmony_core::capability::LoadBalancer::server_health(topology).await.expect("known");
        let up =
            health.into_iter().filter(|of| of.service.as_str() == "ocp4-ingress-https" && of.state == ServerState::Up);
        up.map(|of| of.server.to_string()).collect::<Vec<_>>()
    };
    okd.passes(60).await;
    assert_eq!(up().await.len(), 2, "{:?}", up().await);
    okd.site.assert_clean();
}
