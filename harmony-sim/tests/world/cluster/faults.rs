//! What goes wrong with clusters when it is told to.

use harmony_core::capability::{Cluster, ClusterInstaller, DnsServer, InstallStage, PowerAction};
use harmony_core::error::{FailureKind, chain};
use harmony_sim::cluster::Foreign;
use harmony_sim::{Fault, Injected};
use tokio_util::sync::CancellationToken;

use super::harness::{LONG, Okd, name};
use crate::harness::rack;

/// What the installer says when it waits in vain.
async fn gives_up(okd: &Okd, stage: InstallStage) -> String {
    let waited = okd.site.topology.wait_for(&name(), stage, &|_| {}, &CancellationToken::new()).await;
    chain(&waited.expect_err("in vain"))
}

async fn fires(okd: &Okd, fault: &Injected) {
    let deadline = okd.site.world.now() + LONG;
    while fault.fired() == 0 {
        assert!(okd.site.world.now() < deadline, "{}", okd.site.world.log());
        okd.passes(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bootstrap_may_never_serve() {
    let okd = Okd::new(rack(2), 1, 0).await;
    let fault = okd.site.world.inject(Fault::BootstrapNeverServes);
    okd.boot("bootstrap").await;
    fires(&okd, &fault).await;
    let why = gives_up(&okd, InstallStage::BootstrapComplete).await;
    assert!(why.contains("waiting for Kubernetes API: EOF") && why.contains("exit code is 4"), "{why}");
    drop(fault);
    okd.says("API and machine config server answer").await;
}

#[tokio::test(start_paused = true)]
async fn a_master_may_hang_at_its_first_boot() {
    let okd = Okd::new(rack(2), 1, 0).await;
    let machine = okd.machine("master-0");
    let fault = okd.site.world.inject(Fault::FirstBootHangs { machine: machine.clone() });
    okd.boot("bootstrap").await;
    okd.boot("master-0").await;
    fires(&okd, &fault).await;
    let why = gives_up(&okd, InstallStage::BootstrapComplete).await;
    assert!(why.contains("bootstrapping to complete"), "{why}");
    assert!(okd.site.machine(&machine).console.last().is_some_and(|line| line.contains("Ignition: hangs")));
    drop(fault);
    okd.site.world.power_by_hand(&machine, PowerAction::Restart);
    okd.reaches(|state, now| state.bootstrap_is_complete(now)).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_config_server_that_answers_404_is_final() {
    let okd = Okd::new(rack(2), 1, 0).await;
    okd.boot("bootstrap").await;
    okd.says("API and machine config server answer").await;
    okd.passes(15).await;
    let fault = okd.site.world.inject(Fault::MachineConfigMissing);
    let asked = okd.site.topology.machine_config(&name(), [10, 10, 200, 5].into(), "master").await;
    assert_eq!(asked.map_err(|error| error.kind()), Err(FailureKind::Rejected));
    okd.boot("master-0").await;
    okd.says("Ignition: failed to fetch config: GET https://api-int.ocp4.example.com:22623/config/master: 404 Not Found; emergency shell").await;
    assert!(fault.fired() > 1);
}

#[tokio::test(start_paused = true)]
async fn expired_certificates_keep_machines_out() {
    let okd = Okd::new(rack(2), 1, 0).await;
    let fault = okd.site.world.inject(Fault::CertificatesExpired);
    okd.boot("bootstrap").await;
    okd.boot("master-0").await;
    okd.says("x509: certificate has expired or is not yet valid; tries again").await;
    assert!(fault.fired() > 0);
    drop(fault);
    okd.reaches(|state, now| state.bootstrap_is_complete(now)).await;
}

#[tokio::test(start_paused = true)]
async fn certificates_expire_after_a_day_by_themselves() {
    let okd = Okd::new(rack(2), 1, 0).await;
    okd.boot("bootstrap").await;
    okd.says("API and machine config server answer").await;
    okd.passes(25 * 3600).await;
    okd.boot("master-0").await;
    okd.says("x509: certificate has expired or is not yet valid; tries again").await;
}

#[tokio::test(start_paused = true)]
async fn somebody_foreign_asks_once_the_bootstrap_is_complete() {
    let okd = Okd::new(rack(2), 1, 0).await;
    let fault = okd.site.world.inject(Fault::ForeignRequest { foreign: Foreign::Node });
    okd.bootstrap().await;
    fires(&okd, &fault).await;
    okd.set_phase(harmony_core::cluster::endpoints::ClusterPhase::WorkersJoin).await;
    okd.passes(30).await;
    let requests = okd.site.topology.certificate_requests(&name()).await.expect("answers");
    let foreign = requests.iter().find(|request| request.common_name.contains("stranger")).expect("one");
    assert_eq!(foreign.state, harmony_core::capability::CsrState::Pending);
    assert_eq!(fault.fired(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_operator_may_be_degraded() {
    let okd = Okd::new(rack(2), 1, 0).await;
    let fault = okd.site.world.inject(Fault::OperatorDegraded { operator: "monitoring".to_owned() });
    assert_eq!(fault.fired(), 1);
    okd.bootstrap().await;
    okd.set_phase(harmony_core::cluster::endpoints::ClusterPhase::WorkersJoin).await;
    let why = gives_up(&okd, InstallStage::InstallComplete).await;
    assert!(why.contains("monitoring") && why.contains("exit code is 6"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn the_load_balancer_may_lose_a_server_and_get_it_back() {
    let okd = Okd::new(rack(2), 1, 0).await;
    okd.boot("bootstrap").await;
    okd.says("API and machine config server answer").await;
    okd.passes(15).await;
    assert!(okd.site.topology.api_is_ready(&name()).await.is_ok());
    let fault = okd.site.world.inject(Fault::BalancerLoses { machine: okd.machine("bootstrap") });
    okd.passes(20).await;
    let lost = okd.site.topology.api_is_ready(&name()).await.expect_err("no server");
    assert_eq!((lost.kind(), fault.fired() >= 3), (FailureKind::Unreachable, true));
    drop(fault);
    okd.passes(15).await;
    assert!(okd.site.topology.api_is_ready(&name()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn dns_may_give_an_old_address() {
    let okd = Okd::new(rack(2), 1, 0).await;
    let old = std::net::Ipv4Addr::new(10, 10, 127, 255);
    let fault = okd.site.world.inject(Fault::StaleDns { name: "api-int.".to_owned(), address: old });
    let asked = okd.site.topology.resolve(&"api-int.ocp4.example.com".parse().expect("valid")).await.expect("asked");
    assert_eq!((asked, fault.fired()), (vec![old.into()], 1));
    okd.boot("bootstrap").await;
    okd.boot("master-0").await;
    okd.says("Ignition: GET https://api-int.ocp4.example.com:22623/config/master: dial tcp: i/o timeout; tries again")
        .await;
    drop(fault);
    okd.reaches(|state, now| state.bootstrap_is_complete(now)).await;
}
