//! An OKD cluster on hosts that nobody has catalogued: found, chosen, installed, bonded, joined.
//!
//! [`OkdInstallationScore`] is composed of Scores that are carried out in turn, and each can be asked for alone:
//! switch ports ready for a network boot, `OkdSetup01Inventory`, `OkdSetup02Bootstrap`, `OkdSetup03ControlPlane`,
//! `OkdSetup04Workers`. Hosts go through the same chain as any other (`host_provisioning`); what is added here is the order of
//! a cluster: bootstrap serves → masters → bootstrap complete → the bootstrap leaves → workers.
//!
//! Read next: `bootstrap`, `control_plane` and `workers` for what each plans, `steps` for what is done, `cluster` for what the
//! description comes to.

mod action;
mod bootstrap;
mod cluster;
mod control_plane;
mod inventory;
mod observe;
mod plan;
mod preflight;
mod release;
mod served;
mod stage;
mod steps;
mod surroundings;
mod view;
mod workers;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::cluster::{ClusterDescription, NodeKind};
use harmony_core::host::Role;
use harmony_core::score::{AnyScore, Change, Context, Plan, Recovery, Score, ScoreError, StepContext};
use jiff::Timestamp;

pub use action::{Member, OkdAction, OkdSite};
pub use cluster::OkdLimits;
pub use observe::Observed;
pub use served::{Rack, ServedHost, ServedNames};

use crate::SwitchAutomationScore;
use crate::cluster_file::read_cluster;
use crate::host_provisioning;
use crate::inventory::InventoryScore;
use crate::switch_automation::current_port_facts;
use cluster::Okd;
use stage::Stage;

/// Wants an OKD cluster.
#[derive(Debug, Clone)]
pub struct OkdInstallationScore(Arc<Okd>);

impl OkdInstallationScore {
    /// Of a description that was read or made.
    ///
    /// # Errors
    /// What contradicts itself in the description, by its key.
    pub fn new(description: ClusterDescription) -> Result<Self, ScoreError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| ScoreError::Document {
            what: format!("plan cluster {}", description.name),
            source,
        };
        description.check().map_err(|error| failed(error.into()))?;
        let plans = description.role_plans().map_err(|error| failed(error.into()))?;
        let ssh_key = description.ssh_key_file.as_deref().map(read).transpose()?;
        let ssh_key = ssh_key.map(|key| key.trim().to_owned());
        Ok(Self(Arc::new(Okd { description, plans, ssh_key, limits: OkdLimits::default() })))
    }

    /// Of a `cluster.toml`. Files that it names are relative to its own folder.
    ///
    /// # Errors
    /// What cannot be read, with line and key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ScoreError> {
        let path = path.as_ref();
        let (description, _advice) = read_cluster(path).map_err(|source| ScoreError::Document {
            what: format!("use {}", path.display()),
            source: source.into(),
        })?;
        Self::new(description)
    }

    /// With other limits of time.
    #[must_use]
    pub fn with_limits(mut self, limits: OkdLimits) -> Self {
        Arc::make_mut(&mut self.0).limits = limits;
        self
    }

    /// The description.
    #[must_use]
    pub fn description(&self) -> &ClusterDescription {
        &self.0.description
    }

    /// The Scores that it is composed of, in the order in which they are carried out.
    #[must_use]
    pub fn scores<T: OkdSite>(&self, site: &T) -> Vec<Box<dyn AnyScore<T>>> {
        let network = site.network();
        let mut scores: Vec<Box<dyn AnyScore<T>>> =
            vec![Box::new(SwitchAutomationScore::ready_to_boot(network.host_ports.clone(), network.vlan))];
        scores.extend(self.setups());
        scores
    }

    /// The same without the switch ports.
    #[must_use]
    pub fn setups<T: OkdSite>(&self) -> Vec<Box<dyn AnyScore<T>>> {
        vec![
            Box::new(OkdSetup01Inventory { okd: Arc::clone(&self.0), search: InventoryScore::default() }),
            Box::new(OkdSetup02Bootstrap::of(&self.0)),
            Box::new(OkdSetup03ControlPlane::of(&self.0)),
            Box::new(OkdSetup04Workers::of(&self.0)),
        ]
    }
}

fn read(path: &Path) -> Result<String, ScoreError> {
    std::fs::read_to_string(path)
        .map_err(|source| ScoreError::Document { what: format!("read {}", path.display()), source: source.into() })
}

/// Wants every host of a cluster known, and with its role.
pub struct OkdSetup01Inventory {
    okd: Arc<Okd>,
    search: InventoryScore,
}

/// One stage of a cluster whose hosts are known.
pub struct OkdSetup<S>(Arc<Okd>, PhantomData<S>);

/// Wants the bootstrap to serve masters what they ask for.
pub type OkdSetup02Bootstrap = OkdSetup<stage::Bootstrap>;

/// Wants the control plane to run on the masters, and the bootstrap to have left.
pub type OkdSetup03ControlPlane = OkdSetup<stage::ControlPlane>;

/// Wants the workers to have joined, and the cluster to be installed.
pub type OkdSetup04Workers = OkdSetup<stage::Workers>;

impl<S> OkdSetup<S> {
    fn of(okd: &Arc<Okd>) -> Self {
        Self(Arc::clone(okd), PhantomData)
    }
}

#[async_trait]
impl<T: OkdSite> Score<T> for OkdSetup01Inventory {
    type Observed = (crate::inventory::Observed, Observed);
    type Action = OkdAction;

    fn name(&self) -> String {
        "OkdSetup01Inventory".to_owned()
    }

    async fn observe(&self, cx: &Context<'_, T>) -> Result<Self::Observed, ScoreError> {
        let found = Score::<T>::observe(&self.search, cx).await?;
        Ok((found, Observed::read_hosts(&self.okd, cx).await?))
    }

    fn plan(&self, (found, seen): &Self::Observed) -> Result<Plan<OkdAction>, ScoreError> {
        inventory::plan(&self.okd.as_of(seen), found, seen)
    }

    fn describe(&self, topology: &T, action: &OkdAction) -> Vec<Change> {
        match action {
            OkdAction::Find { action } => Score::<T>::describe(&self.search, topology, action),
            other => describe(topology, other),
        }
    }

    fn facts(&self, (found, seen): &Self::Observed) -> BTreeMap<String, String> {
        let mut facts = Score::<T>::facts(&self.search, found);
        facts.extend(seen.hosts.facts());
        facts
    }

    async fn apply(&self, scx: &StepContext<'_, T>, action: &OkdAction) -> Result<(), ScoreError> {
        match action {
            OkdAction::Find { action } => Score::<T>::apply(&self.search, scx, action).await,
            other => steps::carry_out(&self.okd, scx, other).await,
        }
    }

    fn roles(&self) -> Vec<Role> {
        NodeKind::ALL.into_iter().flat_map(|kind| self.okd.roles(kind)).collect()
    }

    fn poll_interval(&self) -> Duration {
        Score::<T>::poll_interval(&self.search)
    }
}

#[async_trait]
impl<T: OkdSite, S: Stage> Score<T> for OkdSetup<S> {
    type Observed = Observed;
    type Action = OkdAction;

    fn name(&self) -> String {
        S::NAME.to_owned()
    }

    async fn observe(&self, cx: &Context<'_, T>) -> Result<Observed, ScoreError> {
        Observed::read(&self.0, S::KIND, cx).await
    }

    fn plan(&self, seen: &Observed) -> Result<Plan<OkdAction>, ScoreError> {
        let okd = self.0.as_of(seen);
        match S::KIND {
            NodeKind::Bootstrap => bootstrap::plan(&okd, seen),
            NodeKind::Master => control_plane::plan(&okd, seen),
            NodeKind::Worker => workers::plan(&okd, seen),
        }
    }

    fn describe(&self, topology: &T, action: &OkdAction) -> Vec<Change> {
        describe(topology, action)
    }

    fn facts(&self, seen: &Observed) -> BTreeMap<String, String> {
        seen.facts(&self.0)
    }

    async fn apply(&self, scx: &StepContext<'_, T>, action: &OkdAction) -> Result<(), ScoreError> {
        steps::carry_out(&self.0, scx, action).await
    }

    async fn recover(
        &self,
        scx: &StepContext<'_, T>,
        action: &OkdAction,
        since: Timestamp,
    ) -> Result<Recovery, ScoreError> {
        match action {
            OkdAction::Host { action } => host_provisioning::recover(scx, action, since).await,
            // All others may be repeated: waiting harms nobody.
            _ => Ok(Recovery::Repeat),
        }
    }

    fn roles(&self) -> Vec<Role> {
        self.0.roles(S::KIND)
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
fn describe<T: OkdSite>(topology: &T, action: &OkdAction) -> Vec<Change> {
    let file = |(path, text): (String, String)| Change::File { path, before: None, after: Some(text) };
    match action {
        OkdAction::Host { action } | OkdAction::BundleMaster { action, .. } => {
            host_provisioning::describe(topology, action)
        }
        OkdAction::Reserve { reservation } => vec![file(topology.reservation_record(reservation))],
        OkdAction::SetDns { record } => vec![file(topology.dns_record_text(record))],
        OkdAction::SetServices { services } => {
            services.iter().map(|service| file(topology.service_text(service))).collect()
        }
        _ => Vec::new(),
    }
}
