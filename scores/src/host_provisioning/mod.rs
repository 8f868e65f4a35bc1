//! Hosts with a role, installed and bonded: order → reservation and files → access ports → network
//! boot → installation followed by its evidence → disk boot → the host's bond → the switch's.
//!
//! The order of things is that of the compatible-state invariant; see `harmony_core::boot::compat`.
//! Read next: `plan` for the chain of one host, `steps` for what each step does.

mod bond;
mod documents;
mod observe;
mod plan;
mod setup;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use harmony_core::boot::{LinkPlan, Order, OrderId, OrderState};
use harmony_core::capability::{
    Bmc, BootDevice, DhcpServer, HostControl, LagSpec, PowerAction, ProvisioningNetwork, PxeServer, Reservation,
    RoleConfig, Switch, Topology,
};
use harmony_core::host::{Assignment, BmcId, Firmware, HostId, Role};
use harmony_core::net::{Hostname, MacAddress, PortRef, VlanId};
use harmony_core::score::{Change, Context, Plan, Recovery, Score, ScoreError, StepContext};
use harmony_core::store::Document;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::switch_automation::{commands, current_port_facts};
pub use observe::Observed;
pub(crate) use plan::plan;
pub use setup::{Bundling, NodeSetup, Payload};
pub(crate) use steps::entry;

/// Wants hosts to have these roles, installed and bonded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostProvisioningScore {
    /// The roles; each becomes the host name.
    pub roles: Vec<Role>,
    /// Roles whose hosts hold a quorum together: of each group, one at a time is bundled, because its
    /// network is interrupted for a moment.
    #[serde(default)]
    pub quorum_groups: Vec<BTreeSet<Role>>,
    /// What differs from the usual, by role.
    #[serde(default)]
    pub nodes: BTreeMap<Role, NodeSetup>,
    /// Whether free hosts get the roles by themselves, in order of their serial numbers, when
    /// nobody watches who could assign them.
    pub assign_unattended: bool,
    /// How long an order's token is good, in seconds.
    pub token_lifetime_s: u64,
    /// How long one installation may take, in seconds.
    pub install_limit_s: u64,
    /// How long an installed host may take to answer with its bond up, in seconds.
    pub start_limit_s: u64,
    /// How long both ends of a bond have to agree before the ports go back, in seconds.
    pub flip_limit_s: u64,
    /// How long to wait for hosts to be found and roles to be assigned when nobody watches, in seconds.
    pub wait_limit_s: u64,
}

impl HostProvisioningScore {
    /// Wants these roles, with limits for slow machines.
    #[must_use]
    pub fn new(roles: impl IntoIterator<Item = Role>) -> Self {
        Self {
            roles: roles.into_iter().collect(),
            quorum_groups: Vec::new(),
            nodes: BTreeMap::new(),
            assign_unattended: false,
            token_lifetime_s: 2 * 3600,
            install_limit_s: 1800,
            start_limit_s: 900,
            flip_limit_s: 60,
            wait_limit_s: 1800,
        }
    }

    /// Names roles whose hosts hold a quorum together.
    #[must_use]
    pub fn with_quorum(mut self, roles: impl IntoIterator<Item = Role>) -> Self {
        self.quorum_groups.push(roles.into_iter().collect());
        self
    }

    /// Whether a host gets the site's own image.
    fn needs_site_image(&self) -> bool {
        self.roles.iter().any(|role| self.setup(role).payload == Payload::SiteImage)
    }

    /// What the host with a role becomes.
    pub(crate) fn setup(&self, role: &Role) -> NodeSetup {
        self.nodes.get(role).cloned().unwrap_or_else(|| NodeSetup::usual(role.hostname()))
    }

    /// Lets free hosts get the roles by themselves when nobody watches.
    #[must_use]
    pub fn assign_unattended(mut self) -> Self {
        self.assign_unattended = true;
        self
    }
}

/// What a person types to have a failed host ordered anew.
fn order_anew(host: &HostId, role: &Role) -> String {
    format!("harmony host show {host}; then harmony host assign {host} {role} to order it anew")
}

/// How a host is made to boot from the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum BootMethod {
    /// Its BMC sets the next boot and restarts it.
    Bmc {
        /// Which.
        bmc: BmcId,
        /// For the boot mode.
        firmware: Option<Firmware>,
    },
    /// It is in the inventory environment, and told over SSH to restart.
    Ssh {
        /// Where it answers.
        address: std::net::IpAddr,
    },
}

/// An order before it has a time and a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderDraft {
    /// Its id.
    pub id: OrderId,
    /// What the host becomes.
    pub role: Role,
    /// Its host name.
    pub hostname: Hostname,
    /// Its address.
    pub address: std::net::IpAddr,
    /// The disk.
    pub disk_serial: String,
    /// Its stable path.
    pub disk_path: String,
    /// How it is attached to the network.
    pub link: LinkPlan,
}

impl OrderDraft {
    /// The order, issued now.
    pub(crate) fn into_order(self, issued_at: Timestamp, expires_at: Timestamp) -> Order {
        let Self { id, role, hostname, address, disk_serial, disk_path, link } = self;
        let (attempt, state, failure) = (1, OrderState::Issued, None);
        Order {
            id,
            role,
            hostname,
            address,
            disk_serial,
            disk_path,
            link,
            issued_at,
            expires_at,
            attempt,
            state,
            failure,
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum ProvisioningAction {
    /// Gives a free host a role.
    Assign {
        /// The host.
        host: HostId,
        /// The role.
        assignment: Assignment,
    },
    /// Issues an order with a fresh token.
    Issue {
        /// The order.
        order: OrderDraft,
    },
    /// Gives an order another attempt, with a fresh token.
    Reissue {
        /// The order.
        order: OrderId,
    },
    /// Closes an order whose attempts are used up: order and host have failed until a person looks.
    GiveUp {
        /// The order.
        order: OrderId,
        /// Why.
        reason: String,
    },
    /// Puts the host's ports in access mode.
    SetAccess {
        /// The ports.
        ports: Vec<PortRef>,
        /// Their VLAN.
        vlan: VlanId,
    },
    /// Bundles the host's ports, which work alone while no partner is heard.
    SetFallback {
        /// The bundle.
        lag: LagSpec,
    },
    /// Reserves the host's address on all its MACs.
    Reserve {
        /// The reservation.
        reservation: Reservation,
    },
    /// Has the order's script and answer file served to all MACs of the host.
    Serve {
        /// The order.
        order: OrderId,
        /// The host's MACs.
        macs: Vec<MacAddress>,
        /// The boot script.
        script: Document,
        /// The answer file.
        answer: Document,
        /// The secret configuration that it is merged onto as it is served.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<RoleConfig>,
    },
    /// Boots the host from the network, once for each attempt.
    Boot {
        /// The order.
        order: OrderId,
        /// How.
        method: BootMethod,
    },
    /// Waits until the system is on the disk.
    FollowInstall {
        /// The order.
        order: OrderId,
        /// Its installer tells nothing: the installed system itself is looked for.
        #[serde(default)]
        silent: bool,
    },
    /// Notes that a host is in use whose ports are not bundled.
    Settle {
        /// The order.
        order: OrderId,
    },
    /// Waits until the installed host answers, with its bond up.
    AwaitBond {
        /// The order.
        order: OrderId,
    },
    /// Bundles the host's ports, and verifies both ends.
    Flip {
        /// The order.
        order: OrderId,
        /// The bundle.
        lag: LagSpec,
    },
}

#[async_trait]
impl<T> Score<T> for HostProvisioningScore
where
    T: Topology + ProvisioningNetwork + Switch + DhcpServer + PxeServer + Bmc + HostControl,
{
    type Observed = Observed;
    type Action = ProvisioningAction;

    fn name(&self) -> String {
        "HostProvisioning".to_owned()
    }

    async fn observe(&self, cx: &Context<'_, T>) -> Result<Observed, ScoreError> {
        Observed::read(cx, self).await
    }

    fn plan(&self, observed: &Observed) -> Result<Plan<ProvisioningAction>, ScoreError> {
        plan::plan(self, observed)
    }

    fn describe(&self, topology: &T, action: &ProvisioningAction) -> Vec<Change> {
        describe(topology, action)
    }

    fn facts(&self, observed: &Observed) -> BTreeMap<String, String> {
        observed.facts()
    }

    async fn apply(&self, scx: &StepContext<'_, T>, action: &ProvisioningAction) -> Result<(), ScoreError> {
        self.carry_out(scx, action).await
    }

    async fn recover(
        &self,
        scx: &StepContext<'_, T>,
        action: &ProvisioningAction,
        since: Timestamp,
    ) -> Result<Recovery, ScoreError> {
        recover(scx, action, since).await
    }

    fn roles(&self) -> Vec<Role> {
        self.roles.clone()
    }

    async fn current_facts(
        &self,
        cx: &Context<'_, T>,
        names: &[String],
    ) -> Result<BTreeMap<String, String>, ScoreError> {
        current_port_facts(cx.topology, names).await
    }
}

/// The exact commands and files of a step.
pub(crate) fn describe<T>(topology: &T, action: &ProvisioningAction) -> Vec<Change>
where
    T: Switch + DhcpServer + Bmc,
{
    use ProvisioningAction as A;
    match action {
        A::SetAccess { ports, vlan } => commands(ports, topology.access_mode_commands(ports, *vlan)),
        A::Flip { lag, .. } | A::SetFallback { lag } => commands(&lag.ports, topology.lacp_mode_commands(lag)),
        A::Reserve { reservation } => {
            let (path, text) = topology.reservation_record(reservation);
            vec![Change::File { path, before: None, after: Some(text) }]
        }
        A::Boot { method: BootMethod::Bmc { bmc, firmware }, .. } => {
            let commands = topology.power_commands(bmc, PowerAction::Restart, BootDevice::Network, *firmware);
            commands.into_iter().map(|text| Change::Command { device: format!("BMC {bmc}"), text }).collect()
        }
        A::Boot { method: BootMethod::Ssh { address }, .. } => {
            vec![Change::Command { device: format!("SSH {address}"), text: "reboot".to_owned() }]
        }
        A::Assign { .. }
        | A::Issue { .. }
        | A::Reissue { .. }
        | A::GiveUp { .. }
        | A::Serve { .. }
        | A::FollowInstall { .. }
        | A::Settle { .. }
        | A::AwaitBond { .. } => Vec::new(),
    }
}

/// Whether a one-shot step that was begun has happened.
pub(crate) async fn recover<T>(
    scx: &StepContext<'_, T>,
    action: &ProvisioningAction,
    since: Timestamp,
) -> Result<Recovery, ScoreError> {
    match action {
        ProvisioningAction::Boot { order, .. } => steps::recover_boot(scx, order, since).await,
        _ => Ok(Recovery::Repeat),
    }
}

impl HostProvisioningScore {
    /// Carries out one step.
    pub(crate) async fn carry_out<T>(
        &self,
        scx: &StepContext<'_, T>,
        action: &ProvisioningAction,
    ) -> Result<(), ScoreError>
    where
        T: ProvisioningNetwork + Switch + DhcpServer + PxeServer + Bmc + HostControl,
    {
        use ProvisioningAction as A;
        let (topology, store) = (scx.cx.topology, scx.cx.store);
        match action {
            A::Assign { host, assignment } => Ok(store.assign(host, assignment, scx.cx.clock.now()).await?),
            A::Issue { order } => steps::issue(self, scx, order).await,
            A::Reissue { order } => steps::reissue(self, scx, order).await,
            A::GiveUp { order, reason } => steps::give_up(scx, order, reason).await,
            A::SetAccess { ports, vlan } => Ok(topology.set_ports_access_mode(ports, *vlan).await?),
            A::SetFallback { lag } => Ok(topology.set_ports_lacp_mode(lag).await?),
            A::Reserve { reservation } => Ok(topology.set_reservation(reservation).await?),
            A::Serve { order, macs, script, answer, base } => {
                steps::serve(scx, order, macs, script, answer, base.as_ref()).await
            }
            A::Boot { order, method } => steps::boot(scx, order, method).await,
            A::FollowInstall { order, silent } => steps::follow_install(scx, order, *silent).await,
            A::AwaitBond { order } => bond::await_bond(scx, order).await,
            A::Settle { order } => steps::settle(scx, order).await,
            A::Flip { order, lag } => bond::flip(self, scx, order, lag).await,
        }
    }
}
