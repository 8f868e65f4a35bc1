//! The hosts on the wire: a listener for each thing that answers on a machine, there while the machine has an
//! address and its frames pass, gone the moment it has not.
//!
//! A member of a cluster answers for the API and the machine config server, too, if its cluster brought certificates
//! that can be shown. Looks at the world again and again, since what a host can be reached by depends on much (power, DHCP, the
//! switch's ports, LACP's timers) and some of it changes by time alone.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use harmony_core::cluster::ClusterName;
use harmony_core::report::AGENT_PORT;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::balancer::Listeners;
use super::cut::CutListener;
use super::kubernetes::{KubernetesApi, serve_api, serve_machine_config, serving_certificate};
use super::loopback::Loopback;
use super::{SSH_PORT, agent, ssh};
use crate::machine::Running;
use crate::services::{API, MACHINE_CONFIG, WorldCluster};
use crate::world::{Shared, State};

/// Something that answers on a machine, by the machine's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Service {
    Agent(usize),
    Ssh(usize),
    Api(usize),
    MachineConfig(usize),
}

/// The APIs of clusters, by which they are: what one machine's front has shown, the others' know.
type Apis = BTreeMap<(ClusterName, u32), Arc<KubernetesApi>>;

/// Which system answers, and where. Another boot is another system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct System {
    boot_id: Uuid,
    address: IpAddr,
}

/// A service that answers until this is dropped; or that could not be begun, and is not tried again.
struct Serving {
    system: System,
    _until: DropGuard,
}

/// Opens and closes what hosts answer by, until it is told to stop.
pub(super) async fn run(world: Arc<Shared>, loopback: Loopback, stop: CancellationToken) {
    world.on_the_wire.store(true, Ordering::Relaxed);
    tokio::select! {
        () = stop.cancelled() => {}
        () = look_after(&world, &loopback, &stop) => {}
    }
    world.on_the_wire.store(false, Ordering::Relaxed);
    // What listened has been told to go; until it has gone, the prefix is not free.
    crate::pace::tick().await;
    drop(loopback);
}

async fn look_after(world: &Arc<Shared>, loopback: &Loopback, stop: &CancellationToken) {
    let mut serving: BTreeMap<Service, Serving> = BTreeMap::new();
    let (mut balancer, mut apis) = (Listeners::default(), Apis::new());
    loop {
        balancer.follow(world, loopback, stop).await;
        let now = world.now();
        let wanted = world.with(|state| wanted(state, now));
        serving.retain(|service, serving| wanted.get(service) == Some(&serving.system));
        for (service, system) in wanted {
            if serving.contains_key(&service) || !loopback.holds(system.address) {
                continue;
            }
            match begin(world, service, system, &mut apis, stop).await {
                Ok(begun) => drop(serving.insert(service, begun)),
                // The one before it has just been told to go.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    world.note(&format!("wire: cannot listen on {}: {error}", system.address));
                    let until = stop.child_token().drop_guard();
                    serving.insert(service, Serving { system, _until: until });
                }
            }
        }
        crate::pace::tick().await;
    }
}

/// What answers now.
fn wanted(state: &State, now: Duration) -> BTreeMap<Service, System> {
    let mut wanted = BTreeMap::new();
    for (id, machine) in state.machines.iter().enumerate() {
        let (Some(boot_id), Some(address)) = (machine.running.boot_id(), machine.running.address()) else { continue };
        if !state.is_reachable(id, now) {
            continue;
        }
        let system = System { boot_id, address };
        wanted.insert(Service::Ssh(id), system);
        if matches!(machine.running, Running::Live { agent: true, .. }) {
            wanted.insert(Service::Agent(id), system);
        }
        if state.running_member(id).is_some_and(|member| state.cluster_keys(&member).is_some()) {
            wanted.insert(Service::Api(id), system);
            wanted.insert(Service::MachineConfig(id), system);
        }
    }
    wanted
}

async fn begin(
    world: &Arc<Shared>,
    service: Service,
    system: System,
    apis: &mut Apis,
    stop: &CancellationToken,
) -> io::Result<Serving> {
    let port = match service {
        Service::Agent(_) => AGENT_PORT,
        Service::Ssh(_) => SSH_PORT,
        Service::Api(_) => API,
        Service::MachineConfig(_) => MACHINE_CONFIG,
    };
    let address = SocketAddr::new(system.address, port);
    let until = stop.child_token();
    let listener = TcpListener::bind(address).await?;
    let (world, stop) = (Arc::clone(world), until.clone());
    match service {
        Service::Agent(id) => {
            let listener = CutListener::new(listener, until.clone());
            drop(tokio::spawn(agent::serve(world, id, address, listener, stop)));
        }
        Service::Ssh(id) => {
            if let Some(key) = world.with(|state| ssh::host_key(&state.machines[id])) {
                let listener = CutListener::new(listener, until.clone());
                drop(tokio::spawn(ssh::serve(world, id, system.boot_id, key, listener, stop)));
            }
        }
        Service::Api(id) => {
            if let Some((member, server, keys)) = world.with(|state| state.front(id)) {
                let certificate = serving_certificate(&keys.api).map_err(io::Error::other)?;
                let api = match apis.entry((member.cluster.clone(), member.generation)) {
                    Entry::Occupied(known) => Arc::clone(known.get()),
                    Entry::Vacant(place) => {
                        let access = Arc::new(WorldCluster::new(&world, member));
                        let api = KubernetesApi::new(access, &keys.clients, Vec::new()).map_err(io::Error::other)?;
                        Arc::clone(place.insert(api))
                    }
                };
                drop(tokio::spawn(serve_api(api, server, listener, certificate, stop)));
            }
        }
        Service::MachineConfig(id) => {
            if let Some((member, server, keys)) = world.with(|state| state.front(id)) {
                let certificate = serving_certificate(&[keys.machine_config]).map_err(io::Error::other)?;
                let access = Arc::new(WorldCluster::new(&world, member));
                drop(tokio::spawn(serve_machine_config(access, server, listener, certificate, stop)));
            }
        }
    }
    Ok(Serving { system, _until: until.drop_guard() })
}
