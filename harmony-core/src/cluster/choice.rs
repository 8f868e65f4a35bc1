//! Which host becomes which role. Pure and deterministic, and explains itself: each choice says why, and where no host
//! fits, each host has its reason.
//!
//! A role that a host has already, by a person or by an earlier run, is settled. Then come the roles that name their host;
//! the rest are matched so that as many roles as possible get one, each the smallest that fits.
//! Read next: `crate::boot::choice` for its disk and its NICs.

use std::collections::BTreeMap;

use super::{ClusterDescription, HostBinding, NodeKind, RolePlan};
use crate::boot::LinkPlan;
use crate::boot::choice::{Cabling, Undecided, alone, bond_nics, bond_of, disks_with_reasons, target_disk};
use crate::host::{Disk, Host, HostId, Lifecycle, Role};
use crate::net::PortRef;

/// The host of a role.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleChoice<'a> {
    /// The role.
    pub role: Role,
    /// Its host and why it is that one, or why there is none.
    pub host: Result<Chosen<'a>, NoHost>,
}

/// A host that was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen<'a> {
    /// Which.
    pub host: &'a Host,
    /// Why, as the rest of a sentence: "it has the role already".
    pub reason: String,
}

/// Why a role has no host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoHost {
    /// The role.
    pub role: Role,
    /// Each host with why it is not the one, by label.
    pub refused: Vec<(String, String)>,
}

impl NoHost {
    /// As something that waits for a person.
    #[must_use]
    pub fn undecided(&self) -> Undecided {
        let hosts = match self.refused.as_slice() {
            [] => "no host is known".to_owned(),
            some => some.iter().map(|(host, why)| format!("{host}: {why}")).collect::<Vec<_>>().join("; "),
        };
        Undecided {
            waits_for: format!("a host for the role {}: {hosts}", self.role),
            hint: format!("boot another into the inventory, or assign one: harmony host assign HOST {}", self.role),
        }
    }
}

/// The hosts of all roles, in the order of `roles`.
#[must_use]
pub fn choose_hosts<'a>(
    description: &ClusterDescription,
    roles: &[RolePlan],
    hosts: &'a [Host],
) -> Vec<RoleChoice<'a>> {
    let mut choosing = Choosing { hosts, taken: BTreeMap::new(), chosen: BTreeMap::new() };
    let follows = |role: &RolePlan| description.bootstrap_becomes.as_ref() == Some(&role.role);
    for role in roles {
        choosing.settled(role);
    }
    for role in roles.iter().filter(|role| !follows(role) && !matches!(role.host, HostBinding::Rule(_))) {
        choosing.named(role);
    }
    // Where the bootstrap's host has become what it was to become, no other takes its place.
    let bootstrap = roles.iter().find(|role| role.kind == NodeKind::Bootstrap);
    let after = roles.iter().find(|role| follows(role));
    if let (Some(bootstrap), Some(after)) = (bootstrap, after) {
        choosing.same_host(bootstrap, after, format!("it was the bootstrap, and is {} now", after.role));
    }
    choosing.by_rule(roles.iter().filter(|role| !follows(role)));
    if let (Some(bootstrap), Some(after)) = (bootstrap, after) {
        choosing.same_host(after, bootstrap, "it is the bootstrap until the cluster runs by itself".to_owned());
    }
    roles.iter().map(|role| choosing.answer(role)).collect()
}

struct Choosing<'a> {
    hosts: &'a [Host],
    /// Whose each host is.
    taken: BTreeMap<HostId, Role>,
    chosen: BTreeMap<Role, Chosen<'a>>,
}

impl<'a> Choosing<'a> {
    fn take(&mut self, role: &Role, host: &'a Host, reason: String) {
        self.taken.insert(host.id.clone(), role.clone());
        self.chosen.insert(role.clone(), Chosen { host, reason });
    }

    fn settled(&mut self, role: &RolePlan) {
        let has = |host: &&Host| host.assignment.as_ref().is_some_and(|assignment| assignment.role == role.role);
        let names = !matches!(role.host, HostBinding::Rule(_));
        if let Some(host) = self.hosts.iter().find(has) {
            // A contradiction is for a person: see `refusal`.
            if !(names && role.host.refuses(host).is_some()) {
                self.take(&role.role, host, "it has the role already".to_owned());
            }
        }
    }

    fn named(&mut self, role: &RolePlan) {
        if self.chosen.contains_key(&role.role) {
            return;
        }
        let fits: Vec<&Host> = self.hosts.iter().filter(|host| self.refusal(role, host).is_none()).collect();
        if let [only] = fits.as_slice() {
            self.take(&role.role, only, "the description names it".to_owned());
        }
    }

    fn same_host(&mut self, role: &RolePlan, as_of: &RolePlan, reason: String) {
        if let Some(Chosen { host, .. }) = self.chosen.get(&as_of.role)
            && !self.chosen.contains_key(&role.role)
        {
            self.chosen.insert(role.role.clone(), Chosen { host, reason });
        }
    }

    /// A maximum matching by augmenting paths: a free host first; another role is moved only where there is none.
    fn by_rule<'r>(&mut self, roles: impl Iterator<Item = &'r RolePlan>) {
        let open: Vec<&RolePlan> = roles
            .filter(|role| matches!(role.host, HostBinding::Rule(_)) && !self.chosen.contains_key(&role.role))
            .collect();
        let mut by_size: Vec<&'a Host> = self.hosts.iter().collect();
        by_size.sort_by(|a, b| size(a).cmp(&size(b)));
        let fits: Vec<Vec<usize>> = open
            .iter()
            .map(|role| (0..by_size.len()).filter(|at| self.refusal(role, by_size[*at]).is_none()).collect())
            .collect();
        let mut owner = vec![None; by_size.len()];
        // Those with the fewest hosts to choose from first, so that few are moved, and the others get small ones.
        let mut order: Vec<usize> = (0..open.len()).collect();
        order.sort_by_key(|role| fits[*role].len());
        for role in order {
            augment(role, &fits, &mut owner, &mut vec![false; by_size.len()]);
        }
        for (at, role) in owner.into_iter().enumerate() {
            if let Some(role) = role {
                self.take(&open[role].role, by_size[at], "it is the smallest free host that fits".to_owned());
            }
        }
    }

    /// Why a host is not the one for a role; nothing if it could be.
    fn refusal(&self, role: &RolePlan, host: &Host) -> Option<String> {
        if let Some(assignment) = &host.assignment {
            return if assignment.role == role.role {
                role.host
                    .refuses(host)
                    .map(|reason| format!("it has the role, but the description wants another: {reason}"))
            } else {
                Some(format!("it has the role {}", assignment.role))
            };
        }
        if let Some(reason) = role.host.refuses(host) {
            return Some(reason);
        }
        match host.lifecycle {
            Lifecycle::Discovered => {}
            Lifecycle::Registered => return Some("its hardware was not reported yet".to_owned()),
            Lifecycle::Released => return Some("it was released, and is not wiped yet".to_owned()),
            Lifecycle::Wiped => return Some("it was wiped, and has not reported since".to_owned()),
            Lifecycle::Acquired | Lifecycle::Provisioned | Lifecycle::Failed => {
                return Some("it is in use".to_owned());
            }
        }
        // Whoever names a host is told by preflight what it lacks; a rule passes over it.
        let lack = if matches!(role.host, HostBinding::Rule(_)) { lacks(role, host) } else { None };
        lack.or_else(|| self.taken.get(&host.id).map(|other| format!("it becomes {other}")))
    }

    fn answer(&self, role: &RolePlan) -> RoleChoice<'a> {
        let host = self.chosen.get(&role.role).cloned().ok_or_else(|| {
            let named = !matches!(role.host, HostBinding::Rule(_));
            let reason = |host: &Host| {
                self.refusal(role, host).unwrap_or_else(|| {
                    if named { "it is not the only one that answers to that" } else { "others need it more" }.to_owned()
                })
            };
            let refused = self.hosts.iter().map(|host| (host.label(), reason(host))).collect();
            NoHost { role: role.role.clone(), refused }
        });
        RoleChoice { role: role.role.clone(), host }
    }
}

/// What a host lacks for a role; nothing if it has all.
#[must_use]
pub fn lacks(role: &RolePlan, host: &Host) -> Option<String> {
    if let Some(reason) = role.minimums.refuses(host) {
        return Some(reason);
    }
    let disks = disks_with_reasons(host, &role.disk);
    if disks.iter().all(|(_, reason)| reason.is_some()) {
        let reasons = disks.iter().filter_map(|(disk, reason)| Some(format!("{}: {}", disk.name, reason.as_ref()?)));
        return Some(format!("it has no disk to install on ({})", reasons.collect::<Vec<_>>().join(", ")));
    }
    let linked = host.nics.iter().filter(|nic| nic.carrier == Some(true)).count();
    (role.bond.is_some() && linked < 2).then(|| format!("a bond needs two NICs with a link, it has {linked}"))
}

/// Sorts hosts from the smallest on; equals by serial number and id, which never change.
fn size(host: &Host) -> (Option<u64>, Option<u32>, u64, &Option<String>, &HostId) {
    let disks = host.disks.iter().map(|disk| disk.size_bytes).fold(0, u64::saturating_add);
    (host.memory_bytes, host.cpus, disks, &host.identity.serial, &host.id)
}

/// Gives `role` a host, moving others where they can be moved. Source: Kuhn, "The Hungarian method", 1955.
fn augment(role: usize, fits: &[Vec<usize>], owner: &mut [Option<usize>], seen: &mut [bool]) -> bool {
    if let Some(free) = fits[role].iter().copied().find(|at| owner[*at].is_none()) {
        owner[free] = Some(role);
        return true;
    }
    for at in fits[role].iter().copied() {
        if std::mem::replace(&mut seen[at], true) {
            continue;
        }
        if owner[at].is_none_or(|other| augment(other, fits, owner, seen)) {
            owner[at] = Some(role);
            return true;
        }
    }
    false
}

/// How a role's host is attached once it is installed, and the switch ports of the NICs that takes.
///
/// # Errors
/// What a person must do.
pub fn link_of(role: &RolePlan, host: &Host, cabling: &Cabling<'_>) -> Result<(LinkPlan, Vec<PortRef>), Undecided> {
    let (mut link, ports) = if let Some(policy) = &role.bond {
        let members = bond_nics(host, &policy.nics, cabling)?;
        let ports = members.iter().map(|(_, port)| port.clone()).collect();
        let link = bond_of(&members, policy.options()).ok_or_else(|| Undecided {
            waits_for: format!("NICs of {} to bond", host.label()),
            hint: "let the host report again: harmony inventory scan".to_owned(),
        })?;
        (link, ports)
    } else {
        let link = alone(host)?;
        let nic = host.nics.iter().find(|nic| nic.mac == link.mac);
        (link, nic.and_then(|nic| nic.port.agreed()).into_iter().collect())
    };
    link.vlan = role.vlan;
    link.addressing = role.addressing.clone();
    Ok((link, ports))
}

/// The disk that a role's host is installed on.
///
/// # Errors
/// What a person must do.
pub fn disk_of<'a>(role: &RolePlan, host: &'a Host) -> Result<&'a Disk, Undecided> {
    target_disk(host, &role.disk, role.erase.as_deref(), Some(&role.role))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cluster, host, hosts, parse};
    use super::super::{BondPolicy, HostRule, RoleEntry};
    use super::*;
    use crate::host::Assignment;
    use proptest::prelude::*;

    fn choose(cluster: &ClusterDescription, hosts: &[Host]) -> Vec<(String, Result<String, NoHost>)> {
        let roles = cluster.role_plans().expect("valid");
        let choices = choose_hosts(cluster, &roles, hosts);
        choices
            .into_iter()
            .map(|choice| {
                let serial = |chosen: Chosen<'_>| chosen.host.identity.serial.clone().unwrap_or_default();
                (choice.role.to_string(), choice.host.map(serial))
            })
            .collect()
    }

    fn serial(answer: &[(String, Result<String, NoHost>)], role: &str) -> String {
        let found = answer.iter().find(|(name, _)| name == role).expect("a role");
        found.1.clone().unwrap_or_else(|none| panic!("{none:?}"))
    }

    fn bind(cluster: &mut ClusterDescription, role: &str, host: HostBinding) {
        cluster.roles.insert(parse(role), RoleEntry { host: Some(host), ..RoleEntry::default() });
    }

    #[test]
    fn roles_that_name_their_host_get_it_and_the_others_the_smallest_that_fit() {
        let mut cluster = cluster();
        let mut all = hosts(8);
        all[7].memory_bytes = Some(32 << 30);
        bind(&mut cluster, "master-0", HostBinding::Serial("SN003".into()));
        bind(&mut cluster, "master-1", HostBinding::Mac(all[4].nics[1].mac));
        bind(&mut cluster, "master-2", HostBinding::Port(parse("tor/p5-1")));
        bind(&mut cluster, "worker-0", HostBinding::Id(all[6].id.clone()));
        let answer = choose(&cluster, &all);
        for (role, wanted) in [
            ("bootstrap", "SN007"),
            ("master-0", "SN003"),
            ("master-1", "SN004"),
            ("master-2", "SN005"),
            ("worker-0", "SN006"),
            ("worker-1", "SN000"),
        ] {
            assert_eq!(serial(&answer, role), wanted, "{role}");
        }
    }

    #[test]
    fn a_rule_gets_the_only_host_that_fits_even_if_it_is_the_smallest_for_another() {
        let mut cluster = cluster();
        let rule = HostRule { has_nvme: Some(true), ..HostRule::default() };
        bind(&mut cluster, "worker-1", HostBinding::Rule(rule));
        let mut all = hosts(6);
        all[0].disks[0].name = "nvme0n1".into();
        all[0].memory_bytes = Some(32 << 30);
        let answer = choose(&cluster, &all);
        assert_eq!(serial(&answer, "worker-1"), "SN000");
        assert_eq!(serial(&answer, "bootstrap"), "SN001");
    }

    #[test]
    fn where_no_host_fits_each_has_its_reason() {
        let mut all = hosts(8);
        all[0].memory_bytes = Some(8 << 30);
        all[1].lifecycle = Lifecycle::Registered;
        all[2].nics[1].carrier = Some(false);
        all[3].disks[0].serial = None;
        all[4].assignment = Some(Assignment { role: parse("infra-0"), disk: None, erase: None });
        all[5].cpus = None;
        all[6].lifecycle = Lifecycle::Released;
        let mut cluster = cluster();
        let rule = HostRule { model_contains: Some("R740".into()), ..HostRule::default() };
        bind(&mut cluster, "master-0", HostBinding::Rule(rule));
        all[7].model = Some("LabCorp R640".into());
        let answer = choose(&cluster, &all);
        let none = answer.iter().find(|(role, _)| role == "master-0").expect("there").1.clone().expect_err("none fits");
        let reasons: Vec<_> = none.refused.iter().map(|(_, why)| why.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "it has 8.0 GiB of memory, less than 16",
                "its hardware was not reported yet",
                "a bond needs two NICs with a link, it has 1",
                "it has no disk to install on (sda: it has no serial number, by which an order could name it)",
                "it has the role infra-0",
                "its number of CPUs is unknown, 4 are needed",
                "it was released, and is not wiped yet",
                "its model (LabCorp R640) does not contain `R740`",
            ]
        );
        assert!(none.undecided().waits_for.contains(&all[0].label()));
    }

    #[test]
    fn what_is_settled_stays_and_a_contradiction_is_said() {
        let mut cluster = cluster();
        let mut all = hosts(7);
        all[6].assignment = Some(Assignment { role: parse("master-0"), disk: None, erase: None });
        all[6].lifecycle = Lifecycle::Provisioned;
        all[6].memory_bytes = Some(1 << 30);
        assert_eq!(serial(&choose(&cluster, &all), "master-0"), "SN006");
        bind(&mut cluster, "master-0", HostBinding::Serial("SN001".into()));
        let answer = choose(&cluster, &all);
        // The named host is free, and is another: nothing is guessed away.
        assert_eq!(serial(&answer, "master-0"), "SN001");
        bind(&mut cluster, "master-0", HostBinding::Serial("SN999".into()));
        let none = choose(&cluster, &all)[1].1.clone().expect_err("a contradiction");
        assert!(none.refused[6].1.contains("but the description wants another"), "{none:?}");
    }

    #[test]
    fn the_bootstraps_host_becomes_the_worker_that_was_said() {
        let mut cluster = cluster();
        cluster.bootstrap_becomes = Some(parse("worker-1"));
        let mut all = hosts(5);
        let answer = choose(&cluster, &all);
        assert_eq!(serial(&answer, "worker-1"), serial(&answer, "bootstrap"));
        // Later it is that worker, and no other host becomes the bootstrap.
        for (host, role) in all.iter_mut().zip(["worker-1", "master-0", "master-1", "master-2", "worker-0"]) {
            host.assignment = Some(Assignment { role: parse(role), disk: None, erase: None });
        }
        all.push(host(9));
        assert_eq!(serial(&choose(&cluster, &all), "bootstrap"), "SN000");
    }

    #[test]
    fn the_link_follows_the_policy() {
        let mut cluster = cluster();
        let policy = BondPolicy { miimon: Some(50), ..BondPolicy::default() };
        let entry =
            RoleEntry { bond: Some(super::super::Bond::On(policy)), vlan: 100.try_into().ok(), ..RoleEntry::default() };
        cluster.roles.insert(parse("worker-0"), entry);
        let roles = cluster.role_plans().expect("valid");
        let a_host = host(1);
        let (link, ports) = link_of(&roles[4], &a_host, &Cabling::default()).expect("two agreed ports");
        assert_eq!(link.bond.expect("a bond").miimon, 50);
        assert_eq!((link.interface().as_str(), link.mac, ports.len()), ("bond0.100", a_host.nics[0].mac, 2));
        let (link, ports) = link_of(&roles[0], &a_host, &Cabling::default()).expect("the bootstrap's one NIC");
        assert_eq!((link.name.as_str(), link.bond, ports.len()), ("eno1", None, 1));
    }

    proptest! {
        /// Whatever the hosts: no host twice, every choice fits, and no order of the hosts changes the answer.
        #[test]
        fn choices_are_sound(facts in proptest::collection::vec((0..3u64, 0..3u32, any::<bool>()), 0..9), turn in 0..9usize) {
            let mut cluster = cluster();
            bind(&mut cluster, "worker-0", HostBinding::Rule(HostRule { has_nvme: Some(true), ..HostRule::default() }));
            let mut all: Vec<Host> = facts.iter().zip(0..).map(|((memory, cpus, nvme), number)| {
                let mut host = host(number);
                (host.memory_bytes, host.cpus) = (Some(memory * (12 << 30)), Some(cpus * 3));
                if *nvme { host.disks[0].name = "nvme0n1".into(); }
                host
            }).collect();
            let answer = choose(&cluster, &all);
            let roles = cluster.role_plans().expect("valid");
            let mut seen = std::collections::BTreeSet::new();
            for (role, (_, choice)) in roles.iter().zip(&answer) {
                match choice {
                    Ok(serial) => {
                        prop_assert!(seen.insert(serial.clone()), "{serial} twice");
                        let host = all.iter().find(|host| host.identity.serial.as_ref() == Some(serial)).expect("known");
                        prop_assert_eq!(lacks(role, host), None);
                    }
                    // A role without a host: every free host is unfit for it, since others cannot be moved to make room.
                    Err(none) => prop_assert!(none.refused.iter().all(|(_, why)| why != "others need it more")),
                }
            }
            let len = all.len().max(1);
            all.rotate_left(turn % len);
            let ok = |answer: Vec<(String, Result<String, NoHost>)>| answer.into_iter().map(|(role, host)| (role, host.ok())).collect::<Vec<_>>();
            prop_assert_eq!(ok(choose(&cluster, &all)), ok(answer));
        }
    }
}
