//! What the steps of an OKD installation do, and what each shows while it waits.

use std::sync::Mutex;
use std::time::Duration;

use harmony_core::boot::OrderState;
use harmony_core::capability::{CsrState, DhcpServer, InstallStage, PxeServer, RemoteFile};
use harmony_core::cluster::csr::{CsrDecision, ExpectedNode, decide};
use harmony_core::cluster::{CsrPolicy, NodeKind};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind, chain};
use harmony_core::host::HostId;
use harmony_core::net::Hostname;
use harmony_core::score::{ScoreError, StepContext};
use tokio_util::sync::CancellationToken;

use super::action::{Member, OkdAction, OkdSite};
use super::cluster::Okd;
use super::release;
use super::view::{ClusterView, Serving, serving};
use crate::host_provisioning::{HostProvisioningScore, ProvisioningAction};

/// Between two looks at a cluster.
const LOOK: Duration = Duration::from_secs(2);
/// For one change in a cluster.
const ANSWER: Duration = Duration::from_secs(30);
/// A step gives up so long before its time is over, so that its error has what was seen last.
const MARGIN: Duration = Duration::from_secs(6);

/// Carries out one step.
pub(super) async fn carry_out<T: OkdSite>(
    okd: &Okd,
    scx: &StepContext<'_, T>,
    action: &OkdAction,
) -> Result<(), ScoreError> {
    use OkdAction as A;
    let (topology, store) = (scx.cx.topology, scx.cx.store);
    match action {
        // The search remembers where it has looked: `OkdSetup01Inventory` does this itself.
        A::Find { .. } => Ok(()),
        A::Assign { host, assignment } => Ok(store.assign(host, assignment, scx.cx.clock.now()).await?),
        A::Host { action } => provisioning(okd).carry_out(scx, action).await,
        A::BundleMaster { action, masters } => bundle_master(okd, scx, action, masters).await,
        A::Reserve { reservation } => Ok(topology.set_reservation(reservation).await?),
        A::FetchAsset { from, path } => fetch(scx, from, path).await,
        A::MakeArtefacts { input, generation } => {
            // An attempt whose reply was lost may have made it: another one would be another cluster.
            let made = topology.artefacts(okd.name()).await?.is_some_and(|made| made.generation >= *generation);
            if made { Ok(()) } else { Ok(topology.make_artefacts(input).await.map(drop)?) }
        }
        A::SetDns { record } => Ok(topology.set_dns_record(record).await?),
        A::RemoveDns { name } => Ok(topology.remove_dns_record(name).await?),
        A::SetServices { services } => Ok(topology.set_services(services).await?),
        A::AwaitServing { bootstrap } => await_serving(okd, scx, bootstrap).await,
        A::AwaitBootstrapComplete { masters } => await_bootstrap_complete(okd, scx, masters).await,
        A::RetireBootstrap { host, name } => retire(scx, host, name).await,
        A::Release { host } => release::carry_out_release(scx, host).await,
        A::Wipe { host, serial } => release::carry_out_wipe(scx, host, serial).await,
        A::Admit { awaited, members } => admit(okd, scx, awaited, members).await,
        A::SetSchedulable { schedulable } => Ok(topology.set_masters_schedulable(okd.name(), *schedulable).await?),
        A::MoveIngress { workers } => move_ingress(okd, scx, workers).await,
        A::AwaitInstallComplete => await_install_complete(okd, scx).await,
    }
}

/// The limits that hold for all hosts.
fn provisioning(okd: &Okd) -> HostProvisioningScore {
    HostProvisioningScore { flip_limit_s: okd.limits.flip_s, ..HostProvisioningScore::new([]) }
}

/// Whether a step must say now what it has seen, before its time is over.
fn is_late<T>(scx: &StepContext<'_, T>) -> bool {
    scx.remaining() < MARGIN
}

/// Bounds one call of a step that waits for hours: a call that is never answered would take all of its time.
async fn answered(what: &str, call: impl Future<Output = DeviceResult<()>>) -> DeviceResult<()> {
    tokio::time::timeout(ANSWER, call).await.unwrap_or_else(|_| {
        let why = format!("no answer after {} s", ANSWER.as_secs());
        Err(DeviceError::new(FailureKind::Unreachable, format!("failed to {what}")).because(why))
    })
}

/// Whether the same may succeed once the cluster was looked at again; a request may have been replaced meanwhile.
fn is_passing(error: &DeviceError) -> bool {
    error.kind().is_retryable() || error.kind() == FailureKind::Conflict
}

fn gave_up(what: String, hint: String, lines: Vec<String>) -> ScoreError {
    let error = DeviceError::new(FailureKind::Rejected, what).hint(hint);
    lines.into_iter().fold(error, DeviceError::evidence).into()
}

async fn fetch<T: OkdSite>(scx: &StepContext<'_, T>, from: &RemoteFile, path: &str) -> Result<(), ScoreError> {
    let told = Mutex::new((0u64, None));
    let progress =
        |there: u64, of: Option<u64>| *told.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = (there, of);
    let fetched = scx.cx.topology.fetch_asset(from, path, &progress);
    tokio::pin!(fetched);
    loop {
        tokio::select! {
            biased;
            result = &mut fetched => return Ok(result.map(drop)?),
            paused = scx.pause(LOOK) => paused?,
        }
        let (there, of) = *told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let of = of.map_or_else(String::new, |of| format!(" of {}", of >> 20));
        scx.waiting(format!("{path} to be fetched"), vec![format!("{}{of} MiB", there >> 20)]).await?;
    }
}

async fn await_serving<T: OkdSite>(okd: &Okd, scx: &StepContext<'_, T>, bootstrap: &Member) -> Result<(), ScoreError> {
    let topology = scx.cx.topology;
    loop {
        let Serving { is_serving, mut lines, hint } = serving(topology, okd.name(), bootstrap.address).await?;
        if is_serving {
            return Ok(());
        }
        lines.extend(balancer(scx, bootstrap.name.short()).await);
        if is_late(scx) {
            let misled = misled(okd, topology).await;
            let what = format!("{} does not serve masters what they ask for", bootstrap.name);
            let hint = match (&misled[..], hint) {
                ([], Some(hint)) => hint,
                ([], None) => format!(
                    "it fetches the release's node image first, then starts a control plane: \
                     ssh core@{} journalctl -b -u node-image-pull.service -u release-image.service -u bootkube.service",
                    bootstrap.address
                ),
                _ => {
                    "correct these records, or wait until caches have forgotten the old ones; then run again".to_owned()
                }
            };
            lines.extend(misled);
            return Err(gave_up(what, hint, lines));
        }
        scx.waiting(format!("{} to serve masters", bootstrap.name), lines).await?;
        scx.pause(LOOK).await?;
    }
}

/// The names of the API that mean something else than they should.
async fn misled<T: OkdSite>(okd: &Okd, topology: &T) -> Vec<String> {
    let endpoints = &okd.description.endpoints;
    let mut lines = Vec::new();
    for (label, address) in [("api", endpoints.api), ("api-int", endpoints.internal())] {
        let Ok(name) = okd.description.name_below(label) else { continue };
        let found = topology.resolve(&name).await.unwrap_or_default();
        if !found.contains(&address) {
            let found = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let found = if found.is_empty() { "nothing" } else { found.as_str() };
            lines.push(format!("DNS: {name} is {found}, and should be {address}"));
        }
    }
    lines
}

/// What the load balancer says of a server.
async fn balancer<T: OkdSite>(scx: &StepContext<'_, T>, server: &str) -> Vec<String> {
    let health = scx.cx.topology.server_health().await.unwrap_or_default();
    let of = health.into_iter().filter(|health| health.server.short() == server);
    of.map(|health| format!("load balancer: {} of {} is {}", health.server, health.service, health.state)).collect()
}

/// Waits for a stage as the installer sees it, showing what it says and how far the nodes are.
async fn await_stage<T: OkdSite>(
    okd: &Okd,
    scx: &StepContext<'_, T>,
    stage: InstallStage,
    waits_for: &str,
    nodes: &[Hostname],
) -> Result<(), (Option<DeviceError>, Vec<String>)> {
    let topology = scx.cx.topology;
    let said: Mutex<Option<String>> = Mutex::new(None);
    let progress = |line: &str| {
        *said.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(super::view::shortened(line))
    };
    let stop = CancellationToken::new();
    let waited = topology.wait_for(okd.name(), stage, &progress, &stop);
    tokio::pin!(waited);
    loop {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(said.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone());
        lines.extend(standing(okd, scx, nodes).await);
        if is_late(scx) {
            stop.cancel();
            let _ = waited.await;
            return Err((None, lines));
        }
        if scx.waiting(waits_for, lines.clone()).await.is_err() {
            stop.cancel();
            let _ = waited.await;
            return Err((None, lines));
        }
        tokio::select! {
            biased;
            result = &mut waited => match result {
                Ok(()) => return Ok(()),
                Err(error) => return Err((Some(error), lines)),
            },
            paused = scx.pause(LOOK) => if paused.is_err() {
                stop.cancel();
                let _ = waited.await;
                return Err((None, lines));
            },
        }
    }
}

/// How far each of these is in the cluster, and what is not well.
async fn standing<T: OkdSite>(okd: &Okd, scx: &StepContext<'_, T>, nodes: &[Hostname]) -> Vec<String> {
    match ClusterView::read(scx.cx.topology, okd.name()).await {
        Ok(Ok(view)) => {
            let nodes = nodes.iter().map(|name| view.standing(name.as_str()));
            nodes.chain(view.unwell()).collect()
        }
        Ok(Err(reason)) => vec![format!("API: {reason}")],
        Err(error) => vec![format!("API: {}", chain(&error))],
    }
}

async fn await_bootstrap_complete<T: OkdSite>(
    okd: &Okd,
    scx: &StepContext<'_, T>,
    masters: &[Member],
) -> Result<(), ScoreError> {
    let names: Vec<Hostname> = masters.iter().map(|master| master.name.clone()).collect();
    let waits_for = format!("the control plane of {} to run on its masters", okd.name());
    let Err((error, mut lines)) = await_stage(okd, scx, InstallStage::BootstrapComplete, &waits_for, &names).await
    else {
        return Ok(());
    };
    if scx.is_stopped() {
        return Err(ScoreError::Stopped);
    }
    let why = error.as_ref().map_or_else(|| "its time is over".to_owned(), |error| chain(error));
    for master in masters {
        lines.extend(balancer(scx, master.name.short()).await);
    }
    let what = format!("the control plane of {} does not run on its masters: {why}", okd.name());
    let addresses = masters.iter().map(|master| format!(" --master {}", master.address)).collect::<String>();
    let hint = format!(
        "look at what has not joined; `harmony apply` goes on waiting. For the logs of all: openshift-install gather bootstrap{addresses}"
    );
    Err(gave_up(what, hint, lines))
}

async fn await_install_complete<T: OkdSite>(okd: &Okd, scx: &StepContext<'_, T>) -> Result<(), ScoreError> {
    let names = [okd.hostnames(NodeKind::Master), okd.hostnames(NodeKind::Worker)].concat();
    let waits_for = format!("{} to be installed", okd.name());
    let Err((error, lines)) = await_stage(okd, scx, InstallStage::InstallComplete, &waits_for, &names).await else {
        return Ok(());
    };
    if scx.is_stopped() {
        return Err(ScoreError::Stopped);
    }
    let why = error.as_ref().map_or_else(|| "its time is over".to_owned(), |error| chain(error));
    let what = format!("{} is not installed: {why}", okd.name());
    let hint = "the operators that are not well say why; `harmony apply` goes on waiting: oc get clusteroperators";
    Err(gave_up(what, hint.to_owned(), lines))
}

async fn retire<T: OkdSite>(scx: &StepContext<'_, T>, host: &HostId, name: &Hostname) -> Result<(), ScoreError> {
    let topology = scx.cx.topology;
    PxeServer::remove_boot_entry(topology, host).await?;
    Ok(DhcpServer::remove_reservation(topology, name).await?)
}

/// Approves what belongs to hosts with an order, until those that are awaited are ready nodes.
async fn admit<T: OkdSite>(
    okd: &Okd,
    scx: &StepContext<'_, T>,
    awaited: &[Member],
    members: &[Member],
) -> Result<(), ScoreError> {
    let topology = scx.cx.topology;
    loop {
        let expected = expected(okd, scx, members).await?;
        let view = ClusterView::read(topology, okd.name()).await?;
        let mut lines = Vec::new();
        let mut left = awaited.len();
        match view {
            Ok(view) => {
                for request in view.requests.iter().filter(|request| request.state == CsrState::Pending) {
                    match decide(request, &expected, &view.nodes, scx.cx.clock.now()) {
                        CsrDecision::Approve { hostname } if okd.description.csr == CsrPolicy::Approve => {
                            let what = format!("approve {}", request.name);
                            let approved = answered(&what, topology.approve(okd.name(), request)).await;
                            lines.push(match approved {
                                Ok(()) => format!("approved {} of {hostname}", request.name),
                                // What became of it, the next look shows: the step outlives many a lost answer.
                                Err(error) if is_passing(&error) => chain(&error),
                                Err(error) => return Err(error.into()),
                            });
                        }
                        CsrDecision::Approve { hostname } => lines.push(format!(
                            "{} of {hostname} is as expected and waits for you: oc adm certificate approve {}",
                            request.name, request.name
                        )),
                        CsrDecision::Leave { reason } => {
                            lines.push(format!("{} is left to you: {reason}", request.name))
                        }
                    }
                }
                left = awaited.iter().filter(|member| !view.is_ready(member.name.as_str())).count();
                lines.extend(awaited.iter().map(|member| view.standing(member.name.as_str())));
            }
            Err(reason) => lines.push(format!("API: {reason}")),
        }
        if left == 0 {
            return Ok(());
        }
        if is_late(scx) {
            let what = format!("{left} of {} hosts of {} did not become ready nodes", awaited.len(), okd.name());
            let hint = "look at those that are not: ssh core@HOST journalctl -b -u kubelet; oc get csr";
            return Err(gave_up(what, hint.to_owned(), lines));
        }
        // Evidence tells of the first few; of hundreds nobody would read more.
        lines.truncate(24);
        scx.waiting(format!("{left} of {} hosts to become ready nodes", awaited.len()), lines).await?;
        scx.pause(LOOK).await?;
    }
}

/// Hosts whose certificates may be approved: those with an order that has reached their disk.
async fn expected<T>(okd: &Okd, scx: &StepContext<'_, T>, members: &[Member]) -> Result<Vec<ExpectedNode>, ScoreError> {
    let orders = scx.cx.store.orders().await?;
    let node = |member: &Member| {
        let plan = okd.plans.iter().find(|plan| plan.hostname == member.name)?;
        let order = orders.iter().rfind(|order| order.hostname == member.name)?;
        let is_installed = order.state >= OrderState::Installed && order.state <= OrderState::Complete;
        let is_its_own = order.address == member.address && is_installed;
        is_its_own.then(|| ExpectedNode {
            hostname: member.name.clone(),
            kind: plan.kind,
            addresses: vec![member.address],
            ordered_at: order.issued_at,
        })
    };
    Ok(members.iter().filter_map(node).collect())
}

/// Has the routers made anew, unless they are already, by a run that ended meanwhile.
///
/// The order to do so is named by where they are: one that left a router behind is followed by another.
async fn move_ingress<T: OkdSite>(okd: &Okd, scx: &StepContext<'_, T>, workers: &[Hostname]) -> Result<(), ScoreError> {
    let topology = scx.cx.topology;
    await_taint(okd, scx, workers).await?;
    loop {
        // Asked first: a restart that ends between the two questions leaves no router elsewhere.
        let is_restarting = topology.ingress_is_restarting(okd.name()).await?;
        let nodes = topology.ingress_nodes(okd.name()).await?;
        let is_worker = |name: &str| workers.iter().any(|worker| worker.as_str() == name);
        let elsewhere = nodes.iter().map(String::as_str).filter(|name| !is_worker(name));
        let elsewhere: Vec<&str> = elsewhere.filter_map(|name| name.split('.').next()).collect();
        if !nodes.is_empty() && elsewhere.is_empty() {
            return Ok(());
        }
        if !elsewhere.is_empty() && !is_restarting {
            let token = format!("harmony: from {}", elsewhere.join(" "));
            answered("restart the routers", topology.restart_ingress(okd.name(), &token)).await?;
        }
        let lines =
            vec![format!("routers run on {}", if nodes.is_empty() { "no node".to_owned() } else { nodes.join(", ") })];
        if is_late(scx) {
            let what = format!("the routers of {} did not move to its workers", okd.name());
            let hint = "oc -n openshift-ingress get pods -o wide; they need as many ready workers as there are routers";
            return Err(gave_up(what, hint.to_owned(), lines));
        }
        scx.waiting("the routers to run on workers only", lines).await?;
        scx.pause(LOOK).await?;
    }
}

/// Waits until pods go nowhere but to workers: an operator taints the masters a while after they are made unschedulable, and
/// a router that is made before then may land on one of them again.
async fn await_taint<T: OkdSite>(okd: &Okd, scx: &StepContext<'_, T>, workers: &[Hostname]) -> Result<(), ScoreError> {
    loop {
        let nodes = scx.cx.topology.nodes(okd.name()).await?;
        let is_worker = |name: &str| workers.iter().any(|worker| worker.as_str() == name);
        let open = nodes.iter().filter(|node| !is_worker(&node.name) && node.roles.contains("worker"));
        let open: Vec<&str> = open.map(|node| node.name.as_str()).collect();
        if open.is_empty() {
            return Ok(());
        }
        let lines = vec![format!("still workers, too: {}", open.join(", "))];
        if is_late(scx) {
            let what = format!("the masters of {} were not closed to workloads", okd.name());
            let hint = "oc get schedulers.config.openshift.io cluster -o yaml; oc get clusteroperators kube-scheduler";
            return Err(gave_up(what, hint.to_owned(), lines));
        }
        scx.waiting("the masters to be closed to workloads", lines).await?;
        scx.pause(LOOK).await?;
    }
}

/// Bundles a master's ports while all other masters are ready: the moment that this takes must not cost etcd its quorum.
async fn bundle_master<T: OkdSite>(
    okd: &Okd,
    scx: &StepContext<'_, T>,
    action: &ProvisioningAction,
    masters: &[Hostname],
) -> Result<(), ScoreError> {
    loop {
        let view = ClusterView::read(scx.cx.topology, okd.name()).await?;
        let lines = match view {
            Ok(view) if masters.iter().all(|master| view.is_ready(master.as_str())) => break,
            Ok(view) => masters.iter().map(|master| view.standing(master.as_str())).collect(),
            Err(reason) => vec![format!("API: {reason}")],
        };
        // The flip itself needs its time.
        if scx.remaining() < Duration::from_secs(okd.limits.flip_s) + MARGIN {
            let what = format!("the masters of {} are not all ready: no port is touched", okd.name());
            let hint = "bring them back, then run again: oc get nodes";
            return Err(gave_up(what, hint.to_owned(), lines));
        }
        scx.waiting("all masters to be ready, so that etcd keeps its quorum", lines).await?;
        scx.pause(LOOK).await?;
    }
    provisioning(okd).carry_out(scx, action).await
}
