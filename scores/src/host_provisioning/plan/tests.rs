//! The chain of a host, state by state.

use super::*;
use crate::testing::{host as a_host, network};
use harmony_core::boot::{OrderState, compat};
use harmony_core::capability::{DiskImage, InstallSource, LinkState, NetworkPlan, PortMode, PortStatus};
use harmony_core::net::PortRef;
use harmony_core::score::render;
use harmony_core::store::OneShot;
use jiff::Timestamp;

use crate::host_provisioning::observe::Attempt;

fn seen(hosts: Vec<Host>) -> Observed {
    let ports = hosts.iter().flat_map(|host| &host.nics).filter_map(|nic| nic.port.agreed());
    let access = PortMode::Access { vlan: 10.try_into().expect("valid") };
    let status =
        |port: PortRef| PortStatus { port, link: LinkState::Up, speed_mbps: None, mode: access.clone(), lacp: None };
    Observed {
        now: Timestamp::UNIX_EPOCH,
        attended: false,
        network: NetworkPlan { host_ports: ports.clone().collect(), ..network() },
        install: Some(InstallSource {
            server: "10.10.0.1:8080".parse().expect("valid"),
            kernel: "/os/live/vmlinuz".into(),
            initrd: "/os/live/initrd.img".into(),
            rootfs: None,
            image: Some(DiskImage { path: "/os/node/disk.img.zst".into(), sha256: "ab".repeat(32) }),
            args: vec!["console=ttyS0".into()],
            ssh_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqmzF7dJ0XzHbS0E0bH3Pcq1mX1k1VYw1dF5w0Z9s8h harmony".into(),
        }),
        ports: ports.map(|port| (port.clone(), status(port))).collect(),
        hosts,
        orders: Vec::new(),
        reservations: Vec::new(),
        entries: BTreeMap::new(),
        attempts: BTreeMap::new(),
    }
}

fn score(roles: &[&str]) -> HostProvisioningScore {
    HostProvisioningScore::new(roles.iter().map(|role| role.parse().expect("valid"))).assign_unattended()
}

fn assigned(name: &str, role: &str) -> Host {
    let mut host = a_host(name);
    host.assignment = Some(Assignment { role: role.parse().expect("valid"), disk: None, erase: None });
    host.lifecycle = Lifecycle::Acquired;
    host
}

fn order(seen: &Observed, host: &Host, state: OrderState) -> Order {
    let first = plan(&score(&["node-1"]), seen).expect("plan");
    let draft = first.steps.iter().find_map(|step| match &step.action {
        ProvisioningAction::Issue { order } if order.id.host == host.id => Some(order.clone()),
        _ => None,
    });
    let mut order = draft.expect("a draft").into_order(Timestamp::UNIX_EPOCH, Timestamp::MAX);
    order.state = state;
    order
}

fn keys(plan: &Plan<ProvisioningAction>) -> Vec<&str> {
    plan.steps.iter().map(|step| step.key.rsplit('/').next().unwrap_or_default()).collect()
}

fn check(plan: &Plan<ProvisioningAction>) -> Result<(), compat::Incompatible> {
    let moves: Vec<_> =
        plan.steps.iter().map(|s| compat::Move { step: &s.key, after: &s.after, effects: &s.effects }).collect();
    compat::check(&moves, &plan.situations)
}

#[test]
fn the_whole_chain_of_one_host() {
    let seen = seen(vec![assigned("a", "node-1")]);
    let plan = plan(&score(&["node-1"]), &seen).expect("plan");
    check(&plan).expect("compatible throughout");
    insta::assert_snapshot!(render("HostProvisioning", &plan));
}

#[test]
fn ports_in_lacp_mode_go_back_to_access_before_the_boot() {
    let mut seen = seen(vec![assigned("a", "node-1")]);
    for status in seen.ports.values_mut() {
        status.mode = PortMode::Lacp { lag: "old".parse().expect("valid"), vlan: None, fallback: false };
    }
    let mut plan = plan(&score(&["node-1"]), &seen).expect("plan");
    assert_eq!(keys(&plan), ["order-1", "access", "reservation", "files", "boot-1.1", "install", "bond", "flip"]);
    check(&plan).expect("compatible throughout");
    plan.steps.retain(|step| !step.key.ends_with("/access"));
    assert!(check(&plan).is_err(), "the invariant refuses the plan without that step");
}

#[test]
fn each_state_of_an_order_leaves_the_rest_of_the_chain() {
    let host = assigned("a", "node-1");
    let mut world = seen(vec![host.clone()]);
    for (state, boot, left) in [
        (OrderState::Issued, OneShot::Never, vec!["reservation", "files", "boot-1.1", "install", "bond", "flip"]),
        (OrderState::Issued, OneShot::Done(Timestamp::UNIX_EPOCH), vec!["install", "bond", "flip"]),
        (OrderState::Answered, OneShot::Done(Timestamp::UNIX_EPOCH), vec!["install", "bond", "flip"]),
        (OrderState::Installed, OneShot::Done(Timestamp::UNIX_EPOCH), vec!["bond", "flip"]),
        (OrderState::Bonded, OneShot::Done(Timestamp::UNIX_EPOCH), vec!["flip"]),
    ] {
        world.orders.clear();
        let order = order(&world, &host, state);
        world.attempts.insert(order.id.clone(), Attempt { boot, failed: None });
        world.orders.push(order);
        let plan = plan(&score(&["node-1"]), &world).expect("plan");
        assert_eq!(keys(&plan), left, "{state}");
        check(&plan).expect("compatible");
    }
}

#[test]
fn a_complete_host_leaves_nothing_and_a_changed_port_is_repaired() {
    let mut host = assigned("a", "node-1");
    host.lifecycle = Lifecycle::Provisioned;
    let mut world = seen(vec![host.clone()]);
    let order = order(&world, &host, OrderState::Complete);
    world.orders.push(order);
    let lacp = PortMode::Lacp {
        lag: "lag-node-1".parse().expect("valid"),
        vlan: Some(10.try_into().expect("valid")),
        fallback: false,
    };
    for status in world.ports.values_mut() {
        status.mode = lacp.clone();
    }
    assert!(plan(&score(&["node-1"]), &world).expect("plan").is_empty());
    if let Some(status) = world.ports.values_mut().next() {
        status.mode = PortMode::Access { vlan: 10.try_into().expect("valid") };
    }
    assert_eq!(keys(&plan(&score(&["node-1"]), &world).expect("plan")), ["flip"]);
}

#[test]
fn a_failed_attempt_is_tried_again_and_the_last_one_closes_the_order() {
    let host = assigned("a", "node-1");
    let mut world = seen(vec![host.clone()]);
    let mut order = order(&world, &host, OrderState::Answered);
    let attempt = Attempt { boot: OneShot::Done(Timestamp::UNIX_EPOCH), failed: Some("digest".into()) };
    world.attempts.insert(order.id.clone(), attempt);
    world.orders.push(order.clone());
    let again = plan(&score(&["node-1"]), &world).expect("plan");
    assert_eq!(keys(&again), ["again-1.2", "reservation", "files", "boot-1.2", "install", "bond", "flip"]);
    order.attempt = MAX_ATTEMPTS;
    world.orders = vec![order.clone()];
    let given_up = plan(&score(&["node-1"]), &world).expect("plan");
    assert_eq!(keys(&given_up), ["give-up-1"]);
    let action = &given_up.steps[0].action;
    let ProvisioningAction::GiveUp { reason, .. } = action else { panic!("{action:?}") };
    assert_eq!(reason, "3 attempts to install it came to nothing, the last: digest");

    // Killed between the two records that this makes: the host has failed, its order is still open.
    world.hosts[0].lifecycle = Lifecycle::Failed;
    assert_eq!(keys(&plan(&score(&["node-1"]), &world).expect("plan")), ["give-up-1"]);

    (order.state, order.failure) = (OrderState::Failed, Some(reason.clone()));
    world.orders = vec![order];
    world.attempts.clear();
    let over = plan(&score(&["node-1"]), &world).expect("plan");
    assert!(over.steps.is_empty(), "{:?}", keys(&over));
    assert!(over.deferred[0].waits_for.contains("failed: 3 attempts"), "{:?}", over.deferred);
    assert_eq!(over.deferred[0].limit_s, Some(0), "no run waits for it");
    world.attended = true;
    assert_eq!(plan(&score(&["node-1"]), &world).expect("plan").deferred[0].limit_s, None, "unless a person watches");
}

#[test]
fn an_order_whose_last_token_expired_is_closed_and_one_that_is_installed_is_not() {
    let host = assigned("a", "node-1");
    let mut world = seen(vec![host.clone()]);
    let mut order = order(&world, &host, OrderState::Issued);
    (order.attempt, order.expires_at) = (MAX_ATTEMPTS, world.now);
    world.attempts.insert(order.id.clone(), Attempt { boot: OneShot::Never, failed: None });
    world.orders = vec![order.clone()];
    assert_eq!(keys(&plan(&score(&["node-1"]), &world).expect("plan")), ["give-up-1"]);
    order.state = OrderState::Installed;
    world.orders = vec![order];
    assert_eq!(keys(&plan(&score(&["node-1"]), &world).expect("plan")), ["bond", "flip"]);
}

#[test]
fn a_resumed_host_is_ordered_anew_at_its_own_address() {
    let host = assigned("a", "node-1");
    let mut world = seen(vec![host.clone()]);
    let failed = Order { attempt: MAX_ATTEMPTS, ..order(&world, &host, OrderState::Failed) };
    let reservation = |hostname: &str, address: &str, macs: Vec<_>| Reservation {
        hostname: hostname.parse().expect("valid"),
        address: address.parse().expect("valid"),
        macs,
    };
    // Every address is reserved, one of them for this host.
    world.reservations = vec![
        reservation("node-1", "10.10.0.11", host.macs().iter().copied().collect()),
        reservation("other", "10.10.0.12", Vec::new()),
    ];
    world.orders = vec![failed];
    let anew = plan(&score(&["node-1"]), &world).expect("plan");
    check(&anew).expect("compatible throughout");
    assert_eq!(keys(&anew), ["order-2", "files", "boot-2.1", "install", "bond", "flip"]);
    let ProvisioningAction::Issue { order } = &anew.steps[0].action else { panic!("{:?}", anew.steps[0]) };
    assert_eq!(order.address.to_string(), "10.10.0.11");
    // One that somebody else's machine has is not taken from it.
    world.reservations[0].macs.clear();
    let refused = plan(&score(&["node-1"]), &world).expect("plan");
    assert!(refused.steps.is_empty() && refused.deferred[0].waits_for.contains("a free address"), "{refused:?}");
}

#[test]
fn flips_share_a_switch_but_those_of_a_quorum_go_one_at_a_time() {
    let mut world = seen(vec![assigned("a", "node-1"), assigned("b", "node-2"), assigned("c", "node-3")]);
    let roles = ["node-1", "node-2", "node-3"];
    let quorum = roles[..2].iter().map(|role| role.parse().expect("valid"));
    world.network.hosts.last = "10.10.0.13".parse().expect("valid");
    let plan = plan(&score(&roles).with_quorum(quorum), &world).expect("plan");
    let flips: Vec<_> = plan.steps.iter().filter(|step| step.key.ends_with("/flip")).collect();
    let budgets: Vec<Vec<&str>> =
        flips.iter().map(|step| step.budgets.iter().skip(1).map(String::as_str).collect()).collect();
    assert_eq!(budgets, [vec!["flip/rack", "quorum/node-1"], vec!["flip/rack", "quorum/node-1"], vec!["flip/rack"]]);
}

#[test]
fn roles_go_to_free_hosts_only_when_nobody_watches() {
    let mut world = seen(vec![a_host("b"), a_host("a"), a_host("c")]);
    let wanted = score(&["node-1", "node-2"]);
    let chosen: Vec<HostId> = plan(&wanted, &world)
        .expect("plan")
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            ProvisioningAction::Assign { host, .. } => Some(host.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(chosen, [HostId::derive("a", 0), HostId::derive("b", 0)], "in order of their serial numbers");
    world.attended = true;
    let plan = plan(&wanted, &world).expect("plan");
    assert!(plan.steps.is_empty());
    assert_eq!(plan.deferred[0].waits_for, "hosts for the roles node-1, node-2");
    assert_eq!(plan.deferred[0].limit_s, None);
}

#[test]
fn addresses_are_not_given_twice_and_their_end_is_said() {
    let world = seen(vec![assigned("a", "node-1"), assigned("b", "node-2"), assigned("c", "node-3")]);
    let plan = plan(&score(&["node-1", "node-2", "node-3"]), &world).expect("plan");
    let addresses: Vec<String> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            ProvisioningAction::Issue { order } => Some(order.address.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(addresses, ["10.10.0.11", "10.10.0.12"]);
    assert!(plan.deferred[0].waits_for.contains("10.10.0.11 to 10.10.0.12 are taken"), "{:?}", plan.deferred);
}
