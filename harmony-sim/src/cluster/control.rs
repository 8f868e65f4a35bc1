//! The control plane: first the bootstrap's, then the masters' own; and the machine config server, which moves with it.

use std::time::Duration;

use harmony_core::cluster::NodeKind;

use super::clockwork::Change;
use super::faults::ClusterFault;
use super::{ClusterRule, ClusterState};

/// A machine on which an API or a machine config server may run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// The bootstrap.
    Bootstrap,
    /// A master, by its name in full.
    Master(String),
}

/// What becomes of a request to the API of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiStanding {
    /// Nobody listens.
    Silent,
    /// It listens, and is not ready: etcd has no quorum.
    NotReady,
    /// It is ready.
    Ready,
}

/// What a machine config server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineConfigReply {
    /// The HTTP status.
    pub status: u16,
    /// The pool's Ignition, or an error in words.
    pub body: String,
}

/// How far the bootstrap is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Bootstrap {
    /// Not there, or not any more.
    #[default]
    Absent,
    /// Pulls images.
    Starting,
    /// Answers.
    Serving,
    /// Has done its work: its own control plane is gone.
    Done,
}

/// The state of the control plane.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) bootstrap: Bootstrap,
    /// When it began to serve: its rounds of approval count from here.
    serving_since: Duration,
    starts: u32,
    /// A change of the control plane is under way.
    is_moving: bool,
    /// The masters are etcd's members.
    pub(super) on_masters: bool,
    pub(super) is_complete: bool,
    pub(super) is_installed: bool,
    pub(super) is_installing: bool,
    /// As somebody set it; the installer sets it where there are no workers yet.
    is_unschedulable: bool,
    /// As labels and taints have it.
    pub(super) is_tainted: bool,
}

impl ClusterState {
    /// A bootstrap has started from its disk.
    pub fn bootstrap_started(&mut self, now: Duration) {
        self.advance(now);
        if matches!(self.control.bootstrap, Bootstrap::Starting | Bootstrap::Serving) {
            return;
        }
        self.control.starts += 1;
        self.control.bootstrap = Bootstrap::Starting;
        let (time, start) = (self.about(self.spec.timing.bootstrap), self.control.starts);
        if !self.faults.contains(&ClusterFault::BootstrapNeverServes) {
            self.clock.after(time, Change::BootstrapServes { start });
        }
        self.note("bootstrap: pulls its images");
        self.settle();
    }

    /// The bootstrap has been switched off, or restarts.
    pub fn bootstrap_stopped(&mut self, now: Duration) {
        self.advance(now);
        if self.control.bootstrap != Bootstrap::Absent {
            self.control.bootstrap = Bootstrap::Absent;
            self.note("bootstrap: is off");
        }
        self.settle();
    }

    pub(super) fn bootstrap_serves(&mut self, start: u32) {
        if self.control.bootstrap != Bootstrap::Starting || self.control.starts != start {
            return;
        }
        // `bootkube.sh` does nothing where its work is done.
        self.control.bootstrap = if self.control.is_complete { Bootstrap::Done } else { Bootstrap::Serving };
        self.control.serving_since = self.clock.now();
        self.note("bootstrap: API and machine config server answer");
        for request in self.requests.keys().cloned().collect::<Vec<_>>() {
            self.await_approval(request);
        }
    }

    /// The bootstrap looks at all requests now and then. Source: installer `approve-csr.sh`.
    pub(super) fn await_approval(&mut self, request: String) {
        if self.control.bootstrap == Bootstrap::Serving {
            let period = self.spec.timing.approval.max(Duration::from_millis(1));
            let passed = self.clock.now().saturating_sub(self.control.serving_since).as_nanos() % period.as_nanos();
            let rest = period.saturating_sub(Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX)));
            self.clock.after(rest, Change::Approval { request });
        }
    }

    pub(super) fn settle_control(&mut self) {
        let ready = self.masters().filter(|member| member.is_ready()).count();
        if self.control.bootstrap != Bootstrap::Serving || self.control.is_moving || ready < self.spec.masters {
            return;
        }
        self.control.is_moving = true;
        let (time, change) = if self.control.on_masters {
            (self.spec.timing.bootstrap_complete, Change::Complete)
        } else {
            (self.spec.timing.control_plane, Change::ControlPlane)
        };
        let time = self.about(time);
        self.clock.after(time, change);
    }

    pub(super) fn control_plane_serves(&mut self) {
        self.control.is_moving = false;
        // Whoever has lost a master, or the bootstrap, on the way begins again.
        if self.control.bootstrap == Bootstrap::Serving
            && self.masters().filter(|member| member.is_ready()).count() >= self.spec.masters
        {
            self.control.on_masters = true;
            self.members.values_mut().filter(|member| member.kind == NodeKind::Master).for_each(|member| {
                member.is_etcd_member = true;
            });
            self.note("control plane: serves on the masters");
        }
    }

    pub(super) fn bootstrap_is_done(&mut self) {
        self.control.is_moving = false;
        if self.control.bootstrap == Bootstrap::Serving {
            self.control.bootstrap = Bootstrap::Done;
            self.control.is_complete = true;
            self.note("bootstrap: complete");
        }
    }

    /// Whether etcd has a quorum of the masters that are its members.
    fn has_quorum(&self) -> bool {
        let (up, all) = self
            .masters()
            .filter(|member| member.is_etcd_member)
            .fold((0, 0), |(up, all), member| (up + usize::from(member.is_up), all + 1));
        self.control.on_masters && up > all / 2
    }

    /// Whether there is an API anywhere.
    pub(super) fn has_api(&self) -> bool {
        let by_bootstrap = self.control.bootstrap == Bootstrap::Serving;
        // Until the masters have taken over, etcd is the bootstrap's; from then on it is theirs.
        if self.control.on_masters { self.has_quorum() } else { by_bootstrap }
    }

    /// Rule 2, when a master stops.
    pub(super) fn check_quorum(&mut self, stopped: &str) {
        if self.control.on_masters && !self.has_quorum() {
            self.violate(ClusterRule::QuorumLost, format!("etcd has no quorum since {stopped} stopped"));
        }
    }

    /// Whether an API answers anywhere.
    pub fn api_is_up(&mut self, now: Duration) -> bool {
        self.advance(now);
        self.has_api()
    }

    /// What becomes of a request to the API of one machine. Whether it is asked, a load balancer decides.
    pub fn api_standing(&mut self, now: Duration, server: &Server) -> ApiStanding {
        self.advance(now);
        let listens = match server {
            Server::Bootstrap => self.control.bootstrap == Bootstrap::Serving,
            Server::Master(name) => self.members.get(name).is_some_and(|member| member.is_up && member.is_etcd_member),
        };
        match (listens, self.has_api()) {
            (false, _) => ApiStanding::Silent,
            (true, false) => ApiStanding::NotReady,
            (true, true) => ApiStanding::Ready,
        }
    }

    /// Whether the API of one machine answers `/readyz` with `ok`.
    pub fn api_serves(&mut self, now: Duration, server: &Server) -> bool {
        self.api_standing(now, server) == ApiStanding::Ready
    }

    /// What the machine config server of one machine answers for a pool; nothing, where nobody listens.
    pub fn machine_config(&mut self, now: Duration, server: &Server, pool: &str) -> Option<MachineConfigReply> {
        self.advance(now);
        let refuse = |status, body: String| Some(MachineConfigReply { status, body });
        match server {
            Server::Bootstrap if self.control.bootstrap != Bootstrap::Serving => None,
            // Source: machine-config-operator `pkg/server/bootstrap_server.go`: any other pool is an internal error.
            Server::Bootstrap if !matches!(pool, "master" | "arbiter") => {
                refuse(500, format!("refusing to serve bootstrap configuration to pool \"{pool}\""))
            }
            Server::Master(name) => {
                let is_up = self.members.get(name).is_some_and(|member| member.is_up && member.is_etcd_member);
                if !is_up || !self.operator_works("machine-config") {
                    return None;
                }
                match pool {
                    "master" | "worker" => Some(self.pool_ignition(pool)),
                    _ => refuse(404, String::new()),
                }
            }
            Server::Bootstrap => Some(self.pool_ignition(pool)),
        }
    }

    /// A small configuration that is a pool's: what is in it, nobody here needs.
    fn pool_ignition(&self, pool: &str) -> MachineConfigReply {
        let text = format!("rendered-{pool}");
        let body = serde_json::json!({
            "ignition": {"version": "3.2.0"},
            "storage": {"files": [{
                "path": "/etc/machine-config-daemon/currentconfig", "mode": 420, "overwrite": true,
                "contents": {"source": format!("data:,{text}")},
            }]},
        });
        MachineConfigReply { status: 200, body: body.to_string() }
    }

    /// Whether the bootstrap said that its work is done.
    pub fn bootstrap_is_complete(&mut self, now: Duration) -> bool {
        self.advance(now);
        self.control.is_complete
    }

    /// Whether masters are to run workloads.
    pub fn masters_schedulable(&mut self, now: Duration) -> bool {
        self.advance(now);
        !self.control.is_unschedulable
    }

    /// Sets whether they are to.
    pub fn set_masters_schedulable(&mut self, now: Duration, schedulable: bool) {
        self.advance(now);
        if self.control.is_unschedulable == schedulable {
            self.control.is_unschedulable = !schedulable;
            let time = self.about(self.spec.timing.relabel);
            self.clock.after(time, Change::Relabel);
            self.note(format!("scheduler: masters are {}schedulable", if schedulable { "" } else { "un" }));
        }
        self.settle();
    }

    pub(super) fn relabel(&mut self) {
        self.control.is_tainted = self.control.is_unschedulable;
    }

    /// Whether the cluster's version is installed.
    pub fn install_is_complete(&mut self, now: Duration) -> bool {
        self.advance(now);
        self.control.is_installed
    }
}
