//! What is missing in the inventory, and the steps that find it out. Pure.

use std::collections::{BTreeMap, BTreeSet};

use harmony_core::boot::{Effect, PortKind, Situation, Stage, compat};
use harmony_core::capability::PowerState;
use harmony_core::host::{BmcId, Host, HostId, Lifecycle, PortWitness, WitnessKind, identity};
use harmony_core::net::PortRef;
use harmony_core::score::{Bound, Change, Deferred, Plan, Step};

use super::observe::BmcSeen;
use super::witness::Sources;
use super::{Expected, InventoryAction, InventoryScore, Observed};

/// LLDP is sent every 30 s by most switches: so long a host is read again until it has heard some.
pub(super) const LLDP_PATIENCE_S: i64 = 40;

pub(crate) fn plan(score: &InventoryScore, seen: &Observed) -> Plan<InventoryAction> {
    let mut plan = Plan::default();
    for address in &seen.agents {
        let sentence = format!("read the hardware report of the agent at {address}");
        let text = "host, NICs and disks as reported".to_owned();
        let action = InventoryAction::ReadReport { address: *address };
        let mut step = record(format!("read/{address}"), format!("agent at {address}"), sentence, text, action);
        step.bound = Bound::new(5, 30);
        plan.steps.push(step);
    }
    let (witnesses, ordered) = (seen.witnesses(), seen.ordered());
    for host in seen.hosts.iter().filter(|host| !ordered.contains(&host.id)) {
        trace_cables(seen, &witnesses, host, &mut plan);
    }
    let known: Vec<&Host> = seen.hosts.iter().filter(|host| host.lifecycle != Lifecycle::Registered).collect();
    let unclaimed = Unclaimed::of(seen);
    for (bmc, answer) in &seen.bmcs {
        meet_bmc(score, seen, &unclaimed, bmc, answer, &mut plan);
    }
    let last =
        seen.evidence.last().map_or_else(|| "nothing was heard yet".to_owned(), |line| format!("last heard: {line}"));
    let wait = |waits_for: String, limit_s: Option<u64>| Deferred {
        key: "hosts".to_owned(),
        waits_for,
        hint: Some(format!("{last}; switch the machines on and let them boot from the network")),
        limit_s,
    };
    let bound_bmcs = seen.hosts.iter().filter(|host| host.bmc.is_some()).count();
    let expected = match score.expect {
        Expected::EachBmc => seen.bmcs.len() + bound_bmcs,
        Expected::AtLeast(machines) => machines,
        Expected::Any => {
            plan.deferred.push(wait(format!("more hosts to report ({} known)", known.len()), None));
            return plan;
        }
    };
    if let Some(missing) = expected.checked_sub(known.len()).filter(|missing| *missing > 0) {
        let hosts = if missing == 1 { "host" } else { "hosts" };
        let waits_for = format!("{missing} more {hosts} to report ({} of {expected} known)", known.len());
        plan.deferred.push(wait(waits_for, Some(score.limit_s)));
    }
    plan
}

/// A step that writes the inventory only.
fn record(
    key: String,
    target: String,
    sentence: String,
    text: String,
    action: InventoryAction,
) -> Step<InventoryAction> {
    Step {
        changes: vec![Change::Record { name: target.clone(), text }],
        target,
        sentence,
        expects: BTreeMap::new(),
        after: Vec::new(),
        bound: Bound::new(3, 30),
        budgets: Vec::new(),
        effects: Vec::new(),
        one_shot: false,
        action,
        key,
    }
}

fn trace_cables(seen: &Observed, witnesses: &Sources<'_>, host: &Host, plan: &mut Plan<InventoryAction>) {
    let mut unheard = Vec::new();
    for nic in host.nics.iter().filter(|nic| nic.carrier == Some(true)) {
        let port = witnesses.hear(host, nic);
        if port != nic.port {
            let said = match port.verdict() {
                PortWitness::Agreed(at) => format!("is plugged into {at}"),
                PortWitness::Disputed(text) => format!("is disputed: {text}"),
                PortWitness::Unknown => "is not known".to_owned(),
            };
            let said_by = port.iter().map(|(kind, at)| format!("{kind}: {at}")).collect::<Vec<_>>().join(", ");
            plan.steps.push(record(
                format!("{}/port/{}", host.id, nic.name),
                format!("host {}", host.label()),
                format!("record that {} of {} {said}", nic.name, host.name),
                said_by,
                InventoryAction::RecordPort { host: host.id.clone(), nic: nic.mac, port: port.clone() },
            ));
        }
        if port.verdict() == PortWitness::Unknown || port.iter().all(|(kind, _)| kind != WitnessKind::AgentLldp) {
            unheard.push(nic.name.as_str());
        }
    }
    let Some((address, first_read)) = host.address.zip(host.discovered_at).filter(|_| !unheard.is_empty()) else {
        return;
    };
    let left = LLDP_PATIENCE_S - seen.now.duration_since(first_read).as_secs();
    if left <= 0 || seen.agents.contains(&address) {
        return;
    }
    let nics = unheard.join(", ");
    let sentence = format!("read {} again until {nics} heard LLDP, at most {LLDP_PATIENCE_S} s", host.name);
    let action = InventoryAction::HearLldp { host: host.id.clone(), address };
    let text = "LLDP neighbours; without them the MAC table alone is the witness".to_owned();
    let mut step = record(format!("{}/lldp", host.id), format!("host {}", host.label()), sentence, text, action);
    step.bound = Bound::new(1, LLDP_PATIENCE_S.unsigned_abs() + 30);
    plan.steps.push(step);
}

fn meet_bmc(
    score: &InventoryScore,
    seen: &Observed,
    unclaimed: &Unclaimed,
    bmc: &BmcId,
    answer: &BmcSeen,
    plan: &mut Plan<InventoryAction>,
) {
    let (power, uuid) = match answer {
        BmcSeen::Answers { power, uuid } => (power, uuid),
        BmcSeen::Silent(why) => {
            plan.deferred.push(Deferred {
                key: format!("bmc/{bmc}"),
                waits_for: format!("BMC {bmc} to answer: {why}"),
                hint: Some(format!("check address and cable of BMC {bmc}, or remove it from the site file")),
                limit_s: Some(score.limit_s),
            });
            return;
        }
    };
    let is_its = |host: &&Host| uuid.zip(host.identity.uuid).is_some_and(|(a, b)| identity::same_uuid(a, b));
    if let Some(host) = seen.hosts.iter().find(is_its) {
        plan.steps.push(record(
            format!("bmc/{bmc}/bind"),
            format!("host {}", host.label()),
            format!("record that BMC {bmc} belongs to {}", host.name),
            format!("both have system UUID {}", host.identity.uuid.unwrap_or_default()),
            InventoryAction::RecordBmc { host: host.id.clone(), bmc: bmc.clone() },
        ));
    } else if score.power_on && *power == PowerState::Off {
        power_on(score, unclaimed, bmc, plan);
    }
}

/// The ports that no known host is behind: any of them may be that of a machine whose cables nobody knows.
struct Unclaimed {
    /// Over these it could not boot.
    closed: Vec<String>,
    /// One port of each kind, for the invariant: this plan changes no port, and asks for nothing but the kind.
    kinds: BTreeMap<PortRef, PortKind>,
}

impl Unclaimed {
    fn of(seen: &Observed) -> Self {
        let claimed: BTreeSet<_> =
            seen.hosts.iter().flat_map(|host| &host.nics).filter_map(|nic| nic.port.agreed()).collect();
        let host_ports: BTreeSet<&PortRef> = seen.host_ports.iter().collect();
        let is_free = |port: &PortRef| host_ports.contains(port) && !claimed.contains(port);
        let free: BTreeMap<&PortRef, PortKind> = seen
            .ports
            .iter()
            .filter(|status| is_free(&status.port))
            .map(|status| (&status.port, status.mode.kind()))
            .collect();
        let closed = free.iter().filter(|(_, kind)| !compat::compatible(Stage::Firmware, **kind));
        let closed = closed.map(|(port, _)| port.to_string()).collect();
        let mut kinds: BTreeMap<PortRef, PortKind> = BTreeMap::new();
        for (port, kind) in free {
            if kinds.values().all(|known| *known != kind) {
                kinds.insert(port.clone(), kind);
            }
        }
        Self { closed, kinds }
    }
}

/// A boot of a machine whose cables nobody knows.
fn power_on(score: &InventoryScore, unclaimed: &Unclaimed, bmc: &BmcId, plan: &mut Plan<InventoryAction>) {
    let Unclaimed { closed, kinds } = unclaimed;
    if !closed.is_empty() {
        plan.deferred.push(Deferred {
            key: format!("bmc/{bmc}/ports"),
            waits_for: format!(
                "access mode on {} before the machine behind BMC {bmc} boots: any of them may be its own",
                closed.join(", ")
            ),
            hint: Some(
                "SwitchAutomationScore::ready_to_boot puts them in access mode; let it come before this Score"
                    .to_owned(),
            ),
            limit_s: Some(score.limit_s),
        });
        return;
    }
    let stand_in = HostId::derive(&format!("bmc {bmc}"), 0);
    plan.situations.insert(stand_in.clone(), Situation { stage: Stage::Idle, ports: kinds.clone() });
    plan.steps.push(Step {
        key: format!("bmc/{bmc}/power-on"),
        target: format!("BMC {bmc}"),
        sentence: format!("switch on the machine behind BMC {bmc}, to boot the inventory environment"),
        changes: Vec::new(),
        expects: BTreeMap::new(),
        after: Vec::new(),
        bound: Bound::new(3, 120),
        budgets: vec![format!("bmc/{bmc}")],
        effects: vec![Effect::NetworkBoot { host: stand_in }],
        one_shot: false,
        action: InventoryAction::PowerOn { bmc: bmc.clone() },
    });
}
