//! Everything that the hosts of a cluster would be served, without a site: for those who want to read it, or to check it by
//! other programs.

use std::net::IpAddr;

use harmony_core::boot::{LinkPlan, Order};
use harmony_core::capability::{
    Artefacts, BootEntry, BootImages, BootSource, DnsRecord, InstallerInput, LbService, NetworkPlan, Reservation,
    RoleConfig,
};
use harmony_core::cluster::NodeKind;
use harmony_core::cluster::choice::choose_hosts;
use harmony_core::cluster::endpoints::{ClusterPhase, NodeAddress, dns_records, services};
use harmony_core::host::{Assignment, Host, Lifecycle};
use harmony_core::net::{Hostname, MacAddress};
use harmony_core::score::ScoreError;
use harmony_core::store::Document;
use harmony_templates::{NodeLink, br_ex_document, link_document};
use jiff::Timestamp;

use super::OkdInstallationScore;
use super::cluster::{Links, is_kept_by_role};
use crate::host_provisioning::{self, OrderDraft, ProvisioningAction};

/// What one host is served.
#[derive(Debug, Clone)]
pub struct ServedHost {
    /// Its name in full.
    pub hostname: Hostname,
    /// What it is.
    pub kind: NodeKind,
    /// Its address.
    pub address: IpAddr,
    /// All its MACs: it is served the same on each.
    pub macs: Vec<MacAddress>,
    /// How it is attached in the end.
    pub link: LinkPlan,
    /// The same as NMState has it; with the bridge that OpenShift's network runs over where that is its own to make.
    pub network: Document,
    /// What DHCP keeps for it.
    pub reservation: Reservation,
    /// Its boot script; the token's place is marked.
    pub script: Document,
    /// Its own part of its Ignition config.
    pub answer: Document,
    /// What that is merged onto.
    pub base: RoleConfig,
    draft: OrderDraft,
}

impl ServedHost {
    /// Its order, for as long as its token is to be good.
    #[must_use]
    pub fn order(&self, issued_at: Timestamp, expires_at: Timestamp) -> Order {
        self.draft.clone().into_order(issued_at, expires_at)
    }

    /// What the boot server is told of it.
    #[must_use]
    pub fn entry(&self) -> BootEntry {
        host_provisioning::entry(&self.draft.id, &self.macs, &self.script, &self.answer, Some(&self.base))
    }
}

/// Names and services of a phase.
#[derive(Debug, Clone)]
pub struct ServedNames {
    /// DNS records.
    pub records: Vec<DnsRecord>,
    /// Services of the load balancer.
    pub services: Vec<LbService>,
}

/// A rack of hosts, each with its role and address, and what the boot server is.
#[derive(Debug, Clone)]
pub struct Rack {
    network: NetworkPlan,
    source: BootSource,
    /// Each with its role.
    hosts: Vec<Host>,
}

impl OkdInstallationScore {
    /// Gives these hosts the roles, as the description says.
    ///
    /// # Errors
    /// A role that no host fits, with why.
    pub fn rack(&self, hosts: &[Host], network: NetworkPlan, source: BootSource) -> Result<Rack, ScoreError> {
        let okd = &self.0;
        let mut chosen = Vec::new();
        for choice in choose_hosts(&okd.description, &okd.plans, hosts) {
            let host = choice.host.map_err(|none| undecided(none.undecided().waits_for))?.host;
            let erase = okd.plans.iter().find(|plan| plan.role == choice.role).and_then(|plan| plan.erase.clone());
            let assignment = Some(Assignment { role: choice.role, disk: None, erase });
            chosen.push(Host { assignment, lifecycle: Lifecycle::Acquired, ..host.clone() });
        }
        Ok(Rack { network, source, hosts: chosen })
    }

    /// What the installer would be given.
    ///
    /// # Errors
    /// What cannot be rendered.
    pub fn installer_input(&self, rack: &Rack) -> Result<InstallerInput, ScoreError> {
        let mut links = Links::new();
        for draft in self.drafts(rack)? {
            if self.0.plans.iter().any(|plan| plan.role == draft.role && is_kept_by_role(plan)) {
                links.insert(draft.role, (draft.link, draft.address));
            }
        }
        self.0.installer_input(&rack.source, &links)
    }

    /// What each host would be served with what the installer made.
    ///
    /// # Errors
    /// A host that needs a decision, or what cannot be rendered.
    pub fn served_hosts(
        &self,
        rack: &Rack,
        made: &Artefacts,
        images: &BootImages,
    ) -> Result<Vec<ServedHost>, ScoreError> {
        let mut served = Vec::new();
        for kind in NodeKind::ALL {
            let (mut drafts, mut kept) = (Vec::new(), Vec::new());
            for action in self.actions(rack, kind, Some((made, images)))? {
                match action {
                    ProvisioningAction::Issue { order } => drafts.push(order),
                    ProvisioningAction::Reserve { reservation } => kept.push(reservation),
                    ProvisioningAction::Serve { order, macs, script, answer, base: Some(base) } => {
                        let draft = drafts.iter().find(|draft| draft.id == order).cloned();
                        let Some(draft) = draft else { continue };
                        let reservation = kept.iter().find(|kept| kept.hostname == draft.hostname).cloned();
                        let Some(reservation) = reservation else { continue };
                        served.push(ServedHost {
                            hostname: draft.hostname.clone(),
                            kind,
                            address: draft.address,
                            macs,
                            link: draft.link.clone(),
                            network: self.network(&draft)?,
                            reservation,
                            script,
                            answer,
                            base,
                            draft,
                        });
                    }
                    _ => {}
                }
            }
        }
        Ok(served)
    }

    /// A host's network as an NMState document.
    fn network(&self, draft: &OrderDraft) -> Result<Document, ScoreError> {
        let node = NodeLink { hostname: &draft.hostname, link: &draft.link, address: draft.address };
        let has_document = self.0.plans.iter().any(|plan| plan.role == draft.role && self.0.has_document(plan));
        let text = if has_document { br_ex_document(&node) } else { link_document(&node) };
        let failed = |source: harmony_templates::TemplateError| ScoreError::Document {
            what: format!("make the NMState document of {}", draft.hostname),
            source: source.into(),
        };
        Ok(Document::new(format!("{}.nmstate.yml", draft.hostname.short()), text.map_err(failed)?))
    }

    /// Names and services of a phase.
    ///
    /// # Errors
    /// A name that DNS does not take.
    pub fn served_names(&self, rack: &Rack, phase: ClusterPhase) -> Result<ServedNames, ScoreError> {
        let kinds = |draft: &OrderDraft| {
            let plan = self.0.plans.iter().find(|plan| plan.role == draft.role)?;
            Some(NodeAddress { role: draft.role.clone(), kind: plan.kind, address: draft.address })
        };
        let nodes: Vec<NodeAddress> = self.drafts(rack)?.iter().filter_map(kinds).collect();
        let failed = |source: harmony_core::net::NameError| ScoreError::Document {
            what: format!("name the nodes and services of cluster {}", self.0.name()),
            source: source.into(),
        };
        let description = &self.0.description;
        Ok(ServedNames {
            records: dns_records(description, &nodes, phase).map_err(failed)?,
            services: services(description, &nodes, phase).map_err(failed)?,
        })
    }

    fn drafts(&self, rack: &Rack) -> Result<Vec<OrderDraft>, ScoreError> {
        let mut drafts = Vec::new();
        for kind in NodeKind::ALL {
            let actions = self.actions(rack, kind, None)?.into_iter();
            drafts.extend(actions.filter_map(|action| match action {
                ProvisioningAction::Issue { order } => Some(order),
                _ => None,
            }));
        }
        Ok(drafts)
    }

    /// What would be done for the hosts of one kind.
    fn actions(
        &self,
        rack: &Rack,
        kind: NodeKind,
        made: Option<(&Artefacts, &BootImages)>,
    ) -> Result<Vec<ProvisioningAction>, ScoreError> {
        // Of all kinds at once, so that no address is given twice.
        let mut score = self.0.provisioning(NodeKind::Bootstrap, None, None, &rack.source, &[]);
        score.roles.clear();
        for each in NodeKind::ALL {
            let (artefacts, images) = made.unzip();
            let more = self.0.provisioning(each, artefacts, images, &rack.source, &[]);
            score.roles.extend(more.roles);
            score.nodes.extend(more.nodes);
        }
        let seen = host_provisioning::Observed::unseen(rack.hosts.clone(), rack.network.clone());
        let plan = host_provisioning::plan(&score, &seen)?;
        if let Some(deferred) = plan.deferred.into_iter().next() {
            return Err(undecided(deferred.waits_for));
        }
        let of_kind = self.0.roles(kind);
        let has_one = |host: &&Host| host.assignment.as_ref().is_some_and(|has| of_kind.contains(&has.role));
        let ids: Vec<_> = rack.hosts.iter().filter(has_one).map(|host| host.id.to_string()).collect();
        let is_one = |key: &str| ids.iter().any(|id| key.starts_with(&format!("{id}/")));
        Ok(plan.steps.into_iter().filter(|step| is_one(&step.key)).map(|step| step.action).collect())
    }
}

fn undecided(waits_for: String) -> ScoreError {
    ScoreError::Document { what: "decide everything without a person".to_owned(), source: waits_for.into() }
}
