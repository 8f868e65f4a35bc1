//! A whole run as records: three unknown hosts, of which one ends bonded, one fails, and one has a port
//! on which the witnesses disagree. Tests stop it where they want to look.

use std::collections::BTreeSet;

use harmony_core::boot::PortKind;
use harmony_core::capability::{LacpPortState, LinkState, PortMode, PortStatus};
use harmony_core::event::{Event, Outcome, Record};
use harmony_core::host::{
    Assignment, Disk, Firmware, Host, Lifecycle, Nic, PortWitnesses, SystemIdentity, WitnessKind,
};
use harmony_core::net::{MacAddress, VlanId};
use harmony_core::score::plan::{Deferred, StepSummary};
use jiff::{SignedDuration, Timestamp};

const INVENTORY: &str = "InventoryScore";
const PROVISIONING: &str = "HostProvisioningScore";

/// Where the run is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Until {
    /// Two hosts have reported, one was only seen by its boot request.
    Discovered,
    /// All have reported; roles are waited for.
    Roles,
    /// Two hosts have roles and install; a step of one is tried again.
    Installing,
    /// One host is bonded, one failed.
    Ended,
}

/// The run from its start.
pub(crate) fn records(until: Until) -> Vec<Record> {
    let mut run = Run { at: "2026-03-02T12:00:00Z".parse().expect("valid"), records: Vec::new() };
    run.discovery();
    if until >= Until::Roles {
        run.roles();
    }
    if until >= Until::Installing {
        run.installation();
    }
    if until >= Until::Ended {
        run.end();
    }
    run.records
}

/// What happens from there to its end.
pub(crate) fn after(until: Until) -> Vec<Record> {
    records(Until::Ended).split_off(records(until).len())
}

struct Run {
    at: Timestamp,
    records: Vec<Record>,
}

impl Run {
    /// After so many seconds, this happens.
    fn after(&mut self, seconds: i64, event: Event) {
        self.at = self.at.checked_add(SignedDuration::from_secs(seconds)).expect("in range");
        let seq = self.records.len() as u64 + 1;
        self.records.push(Record { seq, at: self.at, event });
    }

    fn host(&mut self, seconds: i64, mut host: Host) {
        host.last_seen = Some(self.at);
        self.after(seconds, Event::HostChanged { host: Box::new(host) });
    }

    fn started(&mut self, seconds: i64, score: &str, step: &str, attempt: u32) {
        self.after(seconds, Event::StepStarted { score: score.into(), step: step.into(), attempt });
    }

    fn done(&mut self, seconds: i64, score: &str, step: &str) {
        let took_ms = seconds.unsigned_abs() * 1000 + 400;
        self.after(seconds, Event::StepFinished { score: score.into(), step: step.into(), took_ms });
    }

    fn waiting(&mut self, seconds: i64, score: &str, step: &str, waits_for: &str, evidence: &[&str], left: u64) {
        let evidence = evidence.iter().map(ToString::to_string).collect();
        let (score, step, waits_for) = (score.into(), step.into(), waits_for.into());
        self.after(seconds, Event::StepWaiting { score, step, waits_for, evidence, seconds_left: left });
    }

    fn planned(&mut self, score: &str, steps: &[(&str, &str, &str)], deferred: Vec<Deferred>) {
        let summary = |(key, target, sentence): &(&str, &str, &str)| StepSummary {
            key: (*key).into(),
            target: (*target).into(),
            sentence: (*sentence).into(),
        };
        self.after(0, Event::Planned { score: score.into(), steps: steps.iter().map(summary).collect(), deferred });
    }

    fn discovery(&mut self) {
        let scores = [INVENTORY, PROVISIONING].map(String::from).to_vec();
        self.after(0, Event::RunStarted { site: "rack-7".into(), program: "virtual_rack".into(), scores });
        self.after(0, Event::ScoreStarted { score: INVENTORY.into() });
        self.planned(
            INVENTORY,
            &[
                ("scan/10.10.0.0-24", "network 10.10.0.0/24", "scan 10.10.0.0/24 for agents"),
                ("reports", "boot server", "collect the reports of hosts that announce themselves"),
            ],
            vec![],
        );
        self.started(0, INVENTORY, "scan/10.10.0.0-24", 1);
        self.done(3, INVENTORY, "scan/10.10.0.0-24");
        self.started(0, INVENTORY, "reports", 1);
        let status = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)].map(|(vm, nic)| access(vm, nic)).to_vec();
        self.after(1, Event::PortsRead { ports: status });
        self.host(6, seen(2));
        self.host(1, seen(1));
        self.host(1, seen(3));
        self.host(14, reported(1));
        self.waiting(
            0,
            INVENTORY,
            "reports",
            "2 more hosts to report (1 of 3 known)",
            &[
                "12:00:11Z iPXE asked for its boot script (10.10.0.102, 52:54:00:00:02:01)",
                "12:00:13Z fetched /os/live/vmlinuz (10.10.0.103)",
            ],
            575,
        );
        self.host(4, reported(3));
        let left = [
            "12:00:13Z fetched /os/live/vmlinuz (10.10.0.103)",
            "12:00:26Z agent announced itself on port 25000 (10.10.0.103, 52:54:00:00:03:01)",
        ];
        self.waiting(0, INVENTORY, "reports", "1 more host to report (2 of 3 known)", &left, 571);
    }

    fn roles(&mut self) {
        self.host(5, reported(2));
        self.done(1, INVENTORY, "reports");
        self.after(0, Event::ScoreFinished { score: INVENTORY.into(), outcome: Outcome::Converged });
        self.after(0, Event::ScoreStarted { score: PROVISIONING.into() });
        self.planned(PROVISIONING, &[], vec![waiting_for("master-0, master-1, worker-0", None)]);
    }

    fn installation(&mut self) {
        self.host(40, assigned(1, "master-0"));
        self.host(20, assigned(2, "worker-0"));
        let mut steps = Vec::new();
        for (vm, role) in [(1, "master-0"), (2, "worker-0")] {
            let (id, name) = (ID[vm - 1], NAME[vm - 1]);
            let target = format!("host {name} ({id})");
            let mut step = |key: &str, sentence: String| steps.push((format!("{id}/{key}"), target.clone(), sentence));
            step("order", format!("order the installation of {name} as {role}"));
            step("reservation", format!("reserve address and name for {name}"));
            step("access", format!("put the ports of {name} into access mode"));
            step("boot", format!("boot {name} from the network"));
            step("install", format!("follow the installation of {name}"));
            step("flip", format!("put the ports of {name} into LACP and verify both ends"));
        }
        let steps: Vec<_> = steps.iter().map(|(key, target, sentence)| (&**key, &**target, &**sentence)).collect();
        self.planned(PROVISIONING, &steps, vec![waiting_for("master-1", Some(3_600))]);
        let key = |vm: usize, step: &str| format!("{}/{step}", ID[vm - 1]);
        for vm in [1, 2] {
            self.started(1, PROVISIONING, &key(vm, "order"), 1);
            self.done(0, PROVISIONING, &key(vm, "order"));
            self.started(0, PROVISIONING, &key(vm, "reservation"), 1);
            self.done(1, PROVISIONING, &key(vm, "reservation"));
        }
        self.started(0, PROVISIONING, &key(1, "access"), 1);
        self.done(2, PROVISIONING, &key(1, "access"));
        self.started(0, PROVISIONING, &key(1, "boot"), 1);
        self.done(1, PROVISIONING, &key(1, "boot"));
        self.started(0, PROVISIONING, &key(1, "install"), 1);
        self.started(0, PROVISIONING, &key(2, "access"), 1);
        self.fail(30, 1, true);
        self.waiting(
            4,
            PROVISIONING,
            &key(1, "install"),
            "the answer file to be fetched",
            &[
                "12:02:09Z iPXE asked for its boot script (10.10.0.101, 52:54:00:00:01:01)",
                "12:02:09Z install script served (10.10.0.101, 52:54:00:00:01:01)",
                "12:02:15Z fetched /os/scos/rootfs.img (10.10.0.101)",
                "12:02:31Z installer started (10.10.0.101)",
            ],
            1_163,
        );
        self.started(3, PROVISIONING, &key(2, "access"), 2);
    }

    fn fail(&mut self, seconds: i64, attempt: u32, retries: bool) {
        let step = format!("{}/access", ID[1]);
        let evidence = [
            "12:01:50Z ovs-vsctl: unix:/run/ovs/db.sock: database connection failed",
            "12:01:52Z port tor/vm2p1: LACP in bond-worker-0 VLAN 10, no partner",
        ];
        self.after(
            seconds,
            Event::StepFailed {
                score: PROVISIONING.into(),
                step,
                attempt,
                error: "failed to put tor/vm2p1 and tor/vm2p2 into access mode in VLAN 10: no answer within 30 s"
                    .into(),
                evidence: evidence.map(String::from).to_vec(),
                hint: Some("check that the switch answers: `harmony switch status tor`".into()),
                retries,
            },
        );
    }

    fn end(&mut self) {
        let key = |step: &str| format!("{}/{step}", ID[0]);
        self.fail(30, 2, false);
        let mut failed = assigned(2, "worker-0");
        failed.lifecycle = Lifecycle::Failed;
        self.host(0, failed);
        self.done(51, PROVISIONING, &key("install"));
        self.started(0, PROVISIONING, &key("flip"), 1);
        self.after(3, Event::PortsRead { ports: vec![lacp(1, 1), lacp(1, 2)] });
        self.done(1, PROVISIONING, &key("flip"));
        let mut bonded = assigned(1, "master-0");
        bonded.lifecycle = Lifecycle::Provisioned;
        self.host(0, bonded);
        let outcome = Outcome::Failed {
            error: "1 of 12 steps failed: put the ports of calm-heron into access mode".into(),
            hint: Some("mend what the step names, then run again: what is done stays done".into()),
        };
        self.after(0, Event::ScoreFinished { score: PROVISIONING.into(), outcome: outcome.clone() });
        self.after(0, Event::RunFinished { outcome, took_ms: 188_400, writes: Default::default() });
    }
}

fn waiting_for(roles: &str, limit_s: Option<u64>) -> Deferred {
    let hint = "assign one: `a` in the hosts view, or `harmony host assign HOST ROLE`";
    let waits_for = format!("hosts for the roles {roles}");
    Deferred { key: "roles".into(), waits_for, hint: Some(hint.into()), limit_s }
}

const ID: [&str; 3] = ["hc-7KQ2M9X", "hc-3F8R1TC", "hc-V0N5B2D"];
const NAME: [&str; 3] = ["brisk-otter", "calm-heron", "proud-lynx"];

fn mac(vm: usize, nic: u8) -> MacAddress {
    MacAddress::new([0x52, 0x54, 0, 0, u8::try_from(vm).expect("small"), nic])
}

fn access(vm: usize, nic: u8) -> PortStatus {
    let mode = PortMode::Access { vlan: VlanId::try_from(10).expect("valid") };
    assert_eq!(mode.kind(), PortKind::Access);
    let port = format!("tor/vm{vm}p{nic}").parse().expect("valid");
    PortStatus { port, link: LinkState::Up, speed_mbps: Some(1000), mode, lacp: None }
}

fn lacp(vm: usize, nic: u8) -> PortStatus {
    let lag = format!("bond-master-{}", vm - 1).parse().expect("valid");
    let mode = PortMode::Lacp { lag, vlan: VlanId::try_from(10).ok(), fallback: false };
    let state = LacpPortState {
        system: "a6:b4:6e:e6:5b:47".parse().ok(),
        partner: Some(mac(vm, 1)),
        synchronised: true,
        collecting: true,
        distributing: true,
    };
    PortStatus { mode, lacp: Some(state), ..access(vm, nic) }
}

/// Known by its boot request only.
fn seen(vm: usize) -> Host {
    Host {
        id: ID[vm - 1].parse().expect("valid"),
        name: NAME[vm - 1].parse().expect("valid"),
        identity: SystemIdentity {
            uuid: Some(uuid::Uuid::from_u128(0x4c4c_4544_004b_4e10_805a_b7c0_4f42_4830 + vm as u128)),
            serial: Some(format!("LAB-{vm:04}")),
            macs: BTreeSet::from([mac(vm, 1), mac(vm, 2)]),
        },
        lifecycle: Lifecycle::Registered,
        assignment: None,
        model: None,
        firmware: None,
        cpus: None,
        memory_bytes: None,
        nics: vec![],
        disks: vec![],
        address: format!("10.10.0.{}", 100 + vm).parse().ok(),
        bmc: None,
        discovered_at: None,
        last_seen: None,
        revision: 1,
    }
}

/// After its report. The second has two disks, one of them in use; the third a disputed port.
fn reported(vm: usize) -> Host {
    let port = |nic: u8| format!("tor/vm{vm}p{nic}").parse().expect("valid");
    let nic = |number: u8| {
        let mut heard = PortWitnesses::default();
        heard.hear(WitnessKind::MacTable, port(number));
        match (vm, number) {
            (3, 2) => heard.hear(WitnessKind::AgentLldp, port(1)),
            _ => heard.hear(WitnessKind::AgentLldp, port(number)),
        }
        Nic {
            name: format!("enp1s{number}"),
            mac: mac(vm, number),
            speed_mbps: Some(1000),
            carrier: Some(true),
            booted: number == 1,
            port: heard,
            lldp: vec![],
        }
    };
    let disk = |name: &str, size_bytes: u64, signatures: &[&str]| Disk {
        name: name.into(),
        by_id: Some(format!("/dev/disk/by-id/virtio-S{vm}-{name}")),
        by_path: None,
        model: Some("QEMU HARDDISK".into()),
        serial: Some(format!("S{vm}-{name}")),
        wwn: None,
        size_bytes,
        rotational: None,
        signatures: signatures.iter().map(ToString::to_string).collect(),
    };
    let mut disks = vec![disk("vda", 21_474_836_480, &[])];
    if vm == 2 {
        disks.push(disk("vdb", 480_103_981_056, &["gpt", "LVM2_member"]));
    }
    Host {
        lifecycle: Lifecycle::Discovered,
        model: Some("QEMU Standard PC (Q35 + ICH9, 2009)".into()),
        firmware: Some(if vm == 1 { Firmware::Uefi } else { Firmware::Bios }),
        cpus: Some(2),
        memory_bytes: Some(2_147_483_648),
        nics: vec![nic(1), nic(2)],
        disks,
        bmc: format!("bmc-{vm}").parse().ok(),
        revision: 2,
        ..seen(vm)
    }
}

fn assigned(vm: usize, role: &str) -> Host {
    let assignment = Assignment { role: role.parse().expect("valid"), disk: Some(format!("S{vm}-vda")), erase: None };
    Host { lifecycle: Lifecycle::Acquired, assignment: Some(assignment), revision: 3, ..reported(vm) }
}
