//! The steps of one host, each after the one before: a chain, so that the compatible-state invariant
//! has one order to walk.

use std::collections::BTreeMap;
use std::net::IpAddr;

use harmony_core::boot::choice::{self, Cabling, Undecided};
use harmony_core::boot::{Effect, LinkPlan, Order, OrderId, OrderState, PortKind, Situation, Stage};
use harmony_core::capability::Reservation;
use harmony_core::host::{Disk, Host, Lifecycle};
use harmony_core::net::{Hostname, PortRef};
use harmony_core::score::{Bound, Change, Plan, ScoreError, Step};

use super::Site;
use crate::host_provisioning::{NodeSetup, OrderDraft, ProvisioningAction, order_anew};
use crate::switch_automation::{port_fact, stage_of};

/// The steps of one host.
pub(super) struct Chain<'a> {
    pub(super) site: &'a Site<'a>,
    pub(super) host: &'a Host,
    /// What it becomes.
    pub(super) setup: NodeSetup,
    plan: &'a mut Plan<ProvisioningAction>,
    last: Option<String>,
}

/// What has been decided of an installation: by its order, or by the draft of one.
pub(super) struct Decided<'a> {
    pub(super) draft: OrderDraft,
    pub(super) order: Option<&'a Order>,
    pub(super) ports: Vec<PortRef>,
}

impl<'a> Chain<'a> {
    pub(super) fn new(
        site: &'a Site<'a>,
        host: &'a Host,
        setup: NodeSetup,
        newly_assigned: bool,
        plan: &'a mut Plan<ProvisioningAction>,
    ) -> Self {
        let last = newly_assigned.then(|| format!("{}/assign", host.id));
        Self { site, host, setup, plan, last }
    }

    fn latest(&self) -> Option<&'a Order> {
        self.site.latest.get(&self.host.id).copied()
    }

    /// Adds the steps that are left, or tells what a person must decide.
    pub(super) fn build(
        &mut self,
        free: &mut dyn Iterator<Item = IpAddr>,
    ) -> Result<Result<(), Undecided>, ScoreError> {
        let order = self.latest().filter(|order| order.state != OrderState::Cancelled);
        // One whose host was resumed is over: a person ordered the host anew.
        let order = order.filter(|order| order.state != OrderState::Failed || self.host.lifecycle == Lifecycle::Failed);
        if let Some(order) = order.filter(|order| order.state == OrderState::Failed) {
            return Ok(Err(self.gave_up(order)));
        }
        if let Some((order, why)) = order.and_then(|order| self.used_up(order)) {
            self.give_up(order, why);
            return Ok(Ok(()));
        }
        let (link, ports) = match self.attachment() {
            Ok(attachment) => attachment,
            Err(undecided) => return Ok(Err(undecided)),
        };
        self.situate(&ports);
        let decided = match order {
            Some(order) => Decided { draft: draft_of(order), order: Some(order), ports },
            None => match self.draft(link, free) {
                Ok(draft) => Decided { draft, order: None, ports },
                Err(undecided) => return Ok(Err(undecided)),
            },
        };
        let state = order.map(|order| order.state);
        if state.is_none() {
            self.issue(&decided);
        }
        if state < Some(OrderState::Installed)
            && let Err(undecided) = self.install(&decided)?
        {
            return Ok(Err(undecided));
        }
        if state < Some(OrderState::Bonded) {
            self.await_bond(&decided);
        }
        if self.setup.is_bundled() {
            self.flip(&decided);
        } else {
            self.settle(&decided);
        }
        Ok(Ok(()))
    }

    /// How it is attached in the end, and the switch ports of its NICs, as far as they are known.
    fn attachment(&self) -> Result<(LinkPlan, Vec<PortRef>), Undecided> {
        let (setup, network) = (&self.setup, &self.site.seen.network);
        let (link, ports) = match setup.bond {
            Some(options) => {
                let cabling = Cabling { host_ports: &network.host_ports, pairs: &self.site.pairs };
                let nics = choice::bond_nics(self.host, &setup.nics, &cabling)?;
                let link = choice::bond_of(&nics, options).ok_or_else(|| Undecided {
                    waits_for: format!("a NIC with a link in {}", self.host.label()),
                    hint: "plug one in".to_owned(),
                })?;
                (link, nics.into_iter().map(|(_, port)| port).collect())
            }
            None => {
                let linked = self.host.nics.iter().filter(|nic| nic.carrier == Some(true));
                (choice::alone(self.host)?, linked.filter_map(|nic| nic.port.agreed()).collect())
            }
        };
        Ok((LinkPlan { vlan: setup.vlan, addressing: setup.addressing.clone(), ..link }, ports))
    }

    /// Tells the invariant how the host's ports are, and what runs on it.
    fn situate(&mut self, ports: &[PortRef]) {
        let kind =
            |port: &PortRef| self.site.seen.ports.get(port).map_or(PortKind::Unknown, |status| status.mode.kind());
        let ports = ports.iter().map(|port| (port.clone(), kind(port))).collect();
        let stage = match self.latest().map(|order| order.state) {
            // Whether the installed system has bonded is not known yet; its first boot may be under way.
            Some(OrderState::Installed) => Stage::Idle,
            _ => stage_of(self.latest()),
        };
        self.plan.situations.insert(self.host.id.clone(), Situation { stage, ports });
    }

    fn draft(&self, link: LinkPlan, free: &mut dyn Iterator<Item = IpAddr>) -> Result<OrderDraft, Undecided> {
        let host = self.host;
        let role = host.assignment.as_ref().map(|assignment| assignment.role.clone()).ok_or_else(|| Undecided {
            waits_for: format!("a role for {}", host.label()),
            hint: "harmony host assign HOST ROLE".to_owned(),
        })?;
        let disk = choice::target_disk(host, &self.setup.disk, None, None)?;
        let hosts = self.site.seen.network.hosts;
        let kept = || self.kept_address(&self.setup.hostname);
        let address = self.setup.address.or_else(kept).or_else(|| free.next()).ok_or_else(|| Undecided {
            waits_for: format!(
                "a free address for {}: all from {} to {} are taken",
                host.label(),
                hosts.first,
                hosts.last
            ),
            hint: "widen `hosts` in the site file's [network]".to_owned(),
        })?;
        let number = self.latest().map_or(1, |order| order.id.number + 1);
        Ok(OrderDraft {
            id: OrderId { host: host.id.clone(), number },
            hostname: self.setup.hostname.clone(),
            role,
            address,
            disk_serial: disk.serial.clone().unwrap_or_default(),
            disk_path: stable_path(disk),
            link,
        })
    }

    /// The address that an order before has reserved for this host under this name.
    fn kept_address(&self, hostname: &Hostname) -> Option<IpAddr> {
        let (host, seen) = (self.host, self.site.seen);
        let Reservation { address, macs, .. } = self.site.reservations.get(hostname)?;
        let is_its = macs.iter().any(|mac| host.macs().contains(mac));
        let is_in_range = matches!(address, IpAddr::V4(address) if seen.network.hosts.contains(*address));
        let is_taken = |order: &Order| {
            order.id.host != host.id && order.state <= OrderState::Complete && order.address == *address
        };
        (is_its && is_in_range && !seen.orders.iter().any(is_taken)).then_some(*address)
    }

    /// Adds a step after the last one.
    pub(super) fn push(
        &mut self,
        key: String,
        sentence: String,
        changes: Vec<Change>,
        bound: Bound,
        effects: Vec<Effect>,
        action: ProvisioningAction,
    ) {
        let host = self.host;
        let one_shot = matches!(action, ProvisioningAction::Boot { .. });
        self.plan.steps.push(Step {
            key: key.clone(),
            target: format!("host {}", host.label()),
            sentence,
            changes,
            expects: BTreeMap::new(),
            after: self.last.replace(key).into_iter().collect(),
            bound,
            budgets: vec![format!("host/{}", host.id)],
            effects,
            one_shot,
            action,
        });
    }

    /// The last step starts only if the ports' modes are still what was seen.
    pub(super) fn expect_ports(&mut self, ports: &[PortRef]) {
        let Some(step) = self.plan.steps.last_mut() else { return };
        for status in ports.iter().filter_map(|port| self.site.seen.ports.get(port)) {
            step.expects.insert(port_fact(&status.port), status.mode.to_string());
        }
    }

    /// The last step is about something else than the host as a whole.
    pub(super) fn name_target(&mut self, target: String) {
        if let Some(step) = self.plan.steps.last_mut() {
            step.target = target;
        }
    }

    /// The last step takes one more place of each of these.
    pub(super) fn take(&mut self, budgets: impl IntoIterator<Item = String>) {
        if let Some(step) = self.plan.steps.last_mut() {
            step.budgets.extend(budgets);
        }
    }

    /// The last step starts only after these, too.
    pub(super) fn only_after(&mut self, keys: impl IntoIterator<Item = String>) {
        if let Some(step) = self.plan.steps.last_mut() {
            step.after.extend(keys);
        }
    }

    fn gave_up(&self, order: &Order) -> Undecided {
        let why = order.failure.clone().unwrap_or_else(|| "no reason was kept".to_owned());
        Undecided {
            waits_for: format!("a person to look at {}, whose order {} failed: {why}", self.host.label(), order.id),
            hint: order_anew(&self.host.id, &order.role),
        }
    }
}

fn draft_of(order: &Order) -> OrderDraft {
    OrderDraft {
        id: order.id.clone(),
        role: order.role.clone(),
        hostname: order.hostname.clone(),
        address: order.address,
        disk_serial: order.disk_serial.clone(),
        disk_path: order.disk_path.clone(),
        link: order.link.clone(),
    }
}

/// `/dev/disk/by-id/…`; without a link, the kernel's name, which the installer checks against the serial.
fn stable_path(disk: &Disk) -> String {
    disk.by_id.clone().unwrap_or_else(|| format!("/dev/{}", disk.name))
}
