//! What provisioning looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use harmony_core::boot::{InstallProgress, Order, OrderId, OrderState};
use harmony_core::capability::{
    BootEntry, DhcpServer, InstallSource, NetworkPlan, PortStatus, ProvisioningNetwork, PxeServer, Reservation, Switch,
};
use harmony_core::host::{Host, HostId, Lifecycle, LifecycleEvent, Role};
use harmony_core::net::{Hostname, PortRef};
use harmony_core::score::{Context, ScoreError};
use harmony_core::store::{LifecycleEntry, OneShot};
use jiff::Timestamp;

use super::HostProvisioningScore;
use super::plan::boot_key;
use crate::switch_automation::port_facts;

/// What was read.
#[derive(Debug, Clone)]
pub struct Observed {
    pub(crate) now: Timestamp,
    pub(crate) attended: bool,
    pub(crate) network: NetworkPlan,
    /// The site's own image, where a host is to be installed with it.
    pub(super) install: Option<InstallSource>,
    pub(crate) hosts: Vec<Host>,
    /// Sorted by id: the last of a host is its latest.
    pub(crate) orders: Vec<Order>,
    /// State of the ports that hosts with a role are plugged into, and of the site's host ports.
    pub(crate) ports: BTreeMap<PortRef, PortStatus>,
    pub(crate) reservations: Vec<Reservation>,
    pub(super) entries: BTreeMap<HostId, BootEntry>,
    /// For each open order: whether this attempt's boot was begun, and whether it failed since.
    pub(super) attempts: BTreeMap<OrderId, Attempt>,
}

/// One attempt of an order.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) boot: OneShot,
    /// Why its installer gave up, if it did.
    pub(super) failed: Option<String>,
}

impl Observed {
    pub(crate) async fn read<T>(cx: &Context<'_, T>, score: &HostProvisioningScore) -> Result<Self, ScoreError>
    where
        T: ProvisioningNetwork + Switch + DhcpServer + PxeServer,
    {
        let (topology, store) = (cx.topology, cx.store);
        let hosts = store.hosts().await?;
        let mut orders = store.orders().await?;
        withdraw_what_is_over(cx, &hosts, &mut orders).await?;
        let network = topology.network().clone();
        let mut wanted = network.host_ports.clone();
        let assigned = hosts.iter().filter(|host| host.assignment.is_some());
        wanted.extend(assigned.flat_map(|host| host.nics.iter().filter_map(|nic| nic.port.agreed())));
        wanted.sort();
        wanted.dedup();
        let ports = if wanted.is_empty() { Vec::new() } else { topology.get_port_status(&wanted).await? };
        cx.saw_ports(&ports).await?;
        let attempts = read_attempts(cx, &orders).await?;
        Ok(Self {
            now: cx.clock.now(),
            attended: cx.attended,
            network,
            install: score.needs_site_image().then(|| topology.install_source()).transpose()?,
            hosts,
            orders,
            ports: ports.into_iter().map(|status| (status.port.clone(), status)).collect(),
            reservations: topology.reservations().await?,
            entries: topology.boot_entries().await?.into_iter().map(|entry| (entry.host.clone(), entry)).collect(),
            attempts,
        })
    }

    /// Hosts on a network of which nothing else is known yet.
    pub(crate) fn unseen(hosts: Vec<Host>, network: NetworkPlan) -> Self {
        Self {
            now: Timestamp::UNIX_EPOCH,
            attended: false,
            network,
            install: None,
            hosts,
            orders: Vec::new(),
            ports: BTreeMap::new(),
            reservations: Vec::new(),
            entries: BTreeMap::new(),
            attempts: BTreeMap::new(),
        }
    }

    /// The host that has a role.
    pub(crate) fn host_with(&self, role: &Role) -> Option<&Host> {
        self.hosts.iter().find(|host| host.assignment.as_ref().is_some_and(|assignment| assignment.role == *role))
    }

    /// The latest order of the host that has a role, for that role.
    pub(crate) fn order_of(&self, role: &Role) -> Option<&Order> {
        let host = self.host_with(role)?;
        let latest = self.orders.iter().rfind(|order| order.id.host == host.id)?;
        (latest.role == *role && latest.state != OrderState::Cancelled).then_some(latest)
    }

    /// The address that is kept for a name.
    pub(crate) fn reservation_of(&self, hostname: &Hostname) -> Option<&Reservation> {
        self.reservations.iter().find(|reservation| reservation.hostname == *hostname)
    }

    /// What a host is told when it boots from the network.
    pub(crate) fn entry_of(&self, host: &HostId) -> Option<&BootEntry> {
        self.entries.get(host)
    }

    /// The site's addresses for hosts that no order and no reservation has, in order.
    pub(crate) fn free_addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let mut taken: BTreeSet<IpAddr> = self.reservations.iter().map(|kept| kept.address).collect();
        taken.extend(self.orders.iter().filter(|order| order.state <= OrderState::Complete).map(|order| order.address));
        self.network.hosts.iter().filter(move |address| !taken.contains(address))
    }

    pub(crate) fn facts(&self) -> BTreeMap<String, String> {
        let hosts = self.hosts.iter().map(|host| {
            let role = host.assignment.as_ref().map_or_else(String::new, |a| format!(", role {}", a.role));
            (format!("host {}", host.label()), format!("{}{role}", host.lifecycle))
        });
        let orders =
            self.orders.iter().map(|o| (format!("order {}", o.id), format!("{} (attempt {})", o.state, o.attempt)));
        let reservations = self.reservations.iter().map(|r| {
            let macs = r.macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            (format!("reservation {}", r.hostname), format!("{} for {macs}", r.address))
        });
        let mut facts = port_facts(&self.ports.values().cloned().collect::<Vec<_>>());
        facts.extend(hosts.chain(orders).chain(reservations));
        facts
    }
}

/// A host that was released, wiped and given a role again is to be installed anew: the order that it had before is as good
/// as withdrawn. Few hosts have a role and an order that is complete without being in use; of these the history is read.
async fn withdraw_what_is_over<T>(cx: &Context<'_, T>, hosts: &[Host], orders: &mut [Order]) -> Result<(), ScoreError> {
    for host in hosts.iter().filter(|host| host.lifecycle == Lifecycle::Acquired) {
        let Some(order) = orders.iter_mut().rfind(|order| order.id.host == host.id) else { continue };
        if order.state != OrderState::Complete {
            continue;
        }
        let history = cx.store.history(&host.id).await?;
        let is_release = |entry: &LifecycleEntry| entry.event == LifecycleEvent::Release && entry.at >= order.issued_at;
        if history.iter().any(is_release) {
            order.state = OrderState::Cancelled;
        }
    }
    Ok(())
}

/// The attempts of all open orders. Of most hosts nothing but their mark is read: failures are few.
async fn read_attempts<T>(cx: &Context<'_, T>, orders: &[Order]) -> Result<BTreeMap<OrderId, Attempt>, ScoreError> {
    let open: BTreeMap<String, &Order> = orders
        .iter()
        .filter(|order| order.state.is_open())
        .map(|order| (boot_key(&order.id, order.attempt), order))
        .collect();
    let marks = cx.store.one_shots(&open.keys().cloned().collect::<Vec<_>>()).await?;
    let begun = |boot: &OneShot| match boot {
        OneShot::Never => None,
        OneShot::Begun(since) | OneShot::Done(since) => Some(*since),
    };
    let failed = match marks.values().filter_map(begun).min() {
        Some(first) => cx.store.failed_installations(first).await?,
        None => BTreeSet::new(),
    };
    let mut attempts = BTreeMap::new();
    for (key, order) in open {
        let boot = marks.get(&key).copied().unwrap_or(OneShot::Never);
        let since = begun(&boot).filter(|_| failed.contains(&order.id.host));
        let failed = match since {
            Some(since) => progress_since(cx, order, since).await?.failed,
            None => None,
        };
        attempts.insert(order.id.clone(), Attempt { boot, failed });
    }
    Ok(attempts)
}

/// The evidence of the attempt that was begun at `since`.
///
/// The journal marks the intent before the host is told, so nothing of the attempt is older.
async fn progress_since<T>(
    cx: &Context<'_, T>,
    order: &Order,
    since: Timestamp,
) -> Result<InstallProgress, ScoreError> {
    let events = cx.store.boot_events(&order.id.host, Some(since)).await?;
    Ok(InstallProgress::of(&order.id, &events))
}
