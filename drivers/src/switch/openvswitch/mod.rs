//! Open vSwitch, through `ovs-vsctl` and `ovs-appctl`.
//!
//! Owns one bridge. Configuration is read and written through the database, each time in one
//! transaction; LACP state and the MAC table come from the control socket of `ovs-vswitchd`, which
//! does not put them into the database. Does not know which host is behind a port.
//!
//! Limits of the product, as seen in 3.1:
//! - It sends LLDP and counts what it receives, but shows no neighbour, so
//!   [`Switch::lldp_neighbours`] is always empty.
//! - It does not say on which member of a LAG an address was learnt, so [`Switch::mac_table`] leaves
//!   such addresses out.
//! - A port that leaves a LAG with other members goes to access mode; the others stay in that LAG,
//!   even alone.
//!
//! Read next: [`command`](self) for the transactions, `snapshot` for what is read.

mod command;
mod lacp;
mod mac_table;
mod snapshot;
mod spec;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{
    LacpFallback, LacpPortState, LagSpec, LldpNeighbour, MacTableEntry, PortMode, PortStatus, Switch,
};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::{LagName, PortRef, SwitchId, VlanId};
use tokio::sync::Mutex;

use crate::WriteLog;
use crate::transport::process::{ProcessError, Program};
use command::Transaction;
use snapshot::{INTERFACE_COLUMNS, PORT_COLUMNS, Port, Snapshot};
pub use spec::OpenVswitchSpec;

/// Seconds that `ovs-vsctl` waits for the database, and for `ovs-vswitchd` to take a change.
const TIMEOUT_SECONDS: u64 = 10;
const PACKAGE: &str = "openvswitch-switch";
/// Name of this driver in the site file and in the [`WriteLog`].
pub const DRIVER: &str = "openvswitch";

/// One bridge of an Open vSwitch.
#[derive(Debug)]
pub struct OpenVswitch {
    id: SwitchId,
    spec: OpenVswitchSpec,
    vsctl: Program,
    appctl: Program,
    writes: WriteLog,
    /// A change is read, decided and written without another change of ours in between.
    changing: Mutex<()>,
}

impl OpenVswitch {
    /// The switch `id`. Nothing is contacted yet.
    #[must_use]
    pub fn new(id: SwitchId, spec: OpenVswitchSpec, writes: WriteLog) -> Self {
        let (vsctl, appctl) = (Program::new("ovs-vsctl", PACKAGE), Program::new("ovs-appctl", PACKAGE));
        Self { id, spec, vsctl, appctl, writes, changing: Mutex::default() }
    }

    async fn vsctl<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<Vec<u8>, ProcessError> {
        let options =
            [format!("--db={}", self.spec.db), format!("--timeout={TIMEOUT_SECONDS}"), "--format=json".to_owned()];
        let args = options.into_iter().chain(args.into_iter().map(str::to_owned));
        // Its own timeout speaks first, and leaves the database clean.
        let run = self.vsctl.run(args).timeout(Duration::from_secs(TIMEOUT_SECONDS + 2));
        Ok(run.output().await?.stdout)
    }

    async fn appctl(&self, doing: &str, args: &[&str]) -> DeviceResult<String> {
        let Some(socket) = self.spec.control_socket() else {
            return Err(DeviceError::new(
                FailureKind::Invalid,
                format!("failed to read {doing} of switch `{}`", self.id),
            )
            .hint("add `appctl`, the control socket of ovs-vswitchd, to the switch in the site file"));
        };
        let args = ["-t".into(), socket.clone().into_os_string()].into_iter().chain(args.iter().map(Into::into));
        let output = self.appctl.run(args).timeout(Duration::from_secs(TIMEOUT_SECONDS)).output().await;
        let output = output.map_err(|error| {
            let unreachable = error.stderr().contains("cannot connect");
            let kind = if unreachable { FailureKind::Unreachable } else { error.kind() };
            let hint = error.hint().unwrap_or_else(|| {
                format!(
                    "is ovs-vswitchd running, and `{}` its control socket (`appctl` in the site file)?",
                    socket.display()
                )
            });
            DeviceError::new(kind, format!("failed to read {doing} of switch `{}`", self.id)).hint(hint).because(error)
        })?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn snapshot(&self) -> DeviceResult<Snapshot> {
        let (ports, interfaces) = (format!("--columns={PORT_COLUMNS}"), format!("--columns={INTERFACE_COLUMNS}"));
        let bridge = self.spec.bridge.as_str();
        let args = [
            "--columns=ports",
            "list",
            "Bridge",
            bridge,
            "--",
            &ports,
            "list",
            "Port",
            "--",
            &interfaces,
            "list",
            "Interface",
        ];
        let operation = || format!("failed to read the ports of switch `{}`", self.id);
        let stdout = self.vsctl(args).await.map_err(|error| self.explain(error, operation()))?;
        Snapshot::parse(&stdout).map_err(|error| DeviceError::new(FailureKind::Invalid, operation()).because(error))
    }

    /// What a failed `ovs-vsctl` means.
    fn explain(&self, error: ProcessError, operation: String) -> DeviceError {
        let (db, bridge) = (&self.spec.db, &self.spec.bridge);
        let (kind, hint) =
            if error.stderr().contains("database connection failed") || error.kind() == FailureKind::Unreachable {
                (
                    FailureKind::Unreachable,
                    Some(format!(
                        "is Open vSwitch running, and is `{db}` its database (`db` of the switch in the site file)?"
                    )),
                )
            } else if error.stderr().contains("no row") && error.stderr().contains("in table Bridge") {
                (
                    FailureKind::Invalid,
                    Some(format!("it has no bridge `{bridge}` (`bridge` of the switch in the site file)")),
                )
            } else {
                (error.kind(), error.hint())
            };
        let error = DeviceError::new(kind, operation).because(error);
        if let Some(hint) = hint { error.hint(hint) } else { error }
    }

    /// The names of ports of this switch, sorted, none twice; each is on the bridge and may be used.
    fn checked<'a>(&self, ports: &'a [PortRef], seen: &Snapshot) -> DeviceResult<Vec<&'a str>> {
        for port in ports {
            let usable = self.spec.host_ports.is_empty() || self.spec.host_ports.contains(&port.port);
            let own = port.port == self.spec.bridge;
            if port.switch != self.id || own || seen.find(port.port.as_str()).is_none() {
                let known = self.host_ports(seen).join(", ");
                return Err(DeviceError::new(
                    FailureKind::Invalid,
                    format!("switch `{}` has no port `{}`", self.id, port.port),
                )
                .hint(format!("its ports are: {known}")));
            }
            if !usable {
                return Err(DeviceError::new(FailureKind::Invalid, format!("port `{port}` is no host port"))
                    .hint("add it to `host_ports` of the switch in the site file if a server is plugged into it"));
            }
        }
        let names: BTreeSet<&str> = ports.iter().map(|port| port.port.as_str()).collect();
        Ok(names.into_iter().collect())
    }

    /// All ports that servers may be plugged into.
    fn host_ports<'s>(&'s self, seen: &'s Snapshot) -> Vec<&'s str> {
        if !self.spec.host_ports.is_empty() {
            return self.spec.host_ports.iter().map(|port| port.as_str()).collect();
        }
        let members = seen.ports.iter().flat_map(|port| &port.members).map(|member| member.name.as_str());
        members.filter(|name| *name != self.spec.bridge.as_str()).collect()
    }

    /// Refuses what re-creating a port would break, and takes ports out of LAGs that keep others.
    fn leave_lags(&self, names: &[&str], seen: &Snapshot, operation: &str) -> DeviceResult<Transaction> {
        let mut leaving = Vec::new();
        for name in names {
            let Some((port, interface)) = seen.find(name) else { continue };
            if !matches!(interface.kind.as_str(), "" | "system") {
                return Err(DeviceError::new(FailureKind::Rejected, operation).because(format!(
                    "`{name}` is an interface of type {}, whose options would be lost with its row",
                    interface.kind
                )));
            }
            if port.members.iter().any(|member| !names.contains(&member.name.as_str())) {
                leaving.push((*name, port.name.as_str()));
            }
        }
        Ok(command::detach(leaving))
    }

    async fn write(&self, transaction: &Transaction, operation: &str) -> DeviceResult<()> {
        self.writes.record(DRIVER, self.id.as_str(), transaction.line(&self.spec.db));
        self.vsctl(transaction.args()).await.map(drop).map_err(|error| self.explain(error, operation.to_owned()))
    }

    fn not_as_asked(operation: &str, seen: impl std::fmt::Display) -> DeviceError {
        DeviceError::new(FailureKind::Conflict, operation)
            .because(format!("read again, it is {seen}"))
            .hint("something else changes this switch; look who, then run again")
    }

    fn names(ports: &[PortRef]) -> Vec<&str> {
        let names: BTreeSet<&str> = ports.iter().map(|port| port.port.as_str()).collect();
        names.into_iter().collect()
    }

    fn shown(ports: &[PortRef]) -> String {
        let ports: Vec<String> = ports.iter().map(|port| format!("`{port}`")).collect();
        format!("{} {}", if ports.len() == 1 { "port" } else { "ports" }, ports.join(", "))
    }
}

#[async_trait]
impl Switch for OpenVswitch {
    async fn get_port_status(&self, ports: &[PortRef]) -> DeviceResult<Vec<PortStatus>> {
        let seen = self.snapshot().await?;
        let mut wanted = ports.to_vec();
        if wanted.is_empty() {
            let name = |name: &str| name.parse().ok().map(|port| PortRef::new(self.id.clone(), port));
            wanted = self.host_ports(&seen).into_iter().filter_map(name).collect();
        }
        self.checked(&wanted, &seen)?;
        let found: Vec<_> =
            wanted.into_iter().filter_map(|port| Some((seen.find(port.port.as_str())?, port))).collect();
        let any_lag = found.iter().any(|((port, _), _)| matches!(port.mode(), PortMode::Lacp { .. }));
        let lacp: BTreeMap<String, LacpPortState> =
            if any_lag { lacp::parse(&self.appctl("the LACP state", &["lacp/show"]).await?) } else { BTreeMap::new() };
        let status = |((port, interface), name): ((&Port, &snapshot::Interface), PortRef)| PortStatus {
            port: name,
            link: interface.link.clone(),
            speed_mbps: interface.speed_mbps,
            mode: port.mode(),
            lacp: lacp.get(&interface.name).cloned().filter(|_| port.is_lag()),
        };
        Ok(found.into_iter().map(status).collect())
    }

    async fn set_ports_access_mode(&self, ports: &[PortRef], vlan: VlanId) -> DeviceResult<()> {
        if ports.is_empty() {
            return Ok(());
        }
        let operation = format!("failed to put {} into access mode, VLAN {vlan}", Self::shown(ports));
        let _changing = self.changing.lock().await;
        let seen = self.snapshot().await?;
        let names = self.checked(ports, &seen)?;
        let is_done = |seen: &Snapshot, name: &str| seen.find(name).is_some_and(|(port, _)| port.is_access(vlan));
        let open: Vec<&str> = names.iter().copied().filter(|name| !is_done(&seen, name)).collect();
        if open.is_empty() {
            return Ok(());
        }
        let leave = self.leave_lags(&open, &seen, &operation)?;
        self.write(&leave.then(command::access(self.spec.bridge.as_str(), &open, vlan)), &operation).await?;
        let seen = self.snapshot().await?;
        match names.iter().find(|name| !is_done(&seen, name)) {
            None => Ok(()),
            Some(name) => {
                let mode = seen.find(name).map_or_else(|| "gone".to_owned(), |(port, _)| port.mode().to_string());
                Err(Self::not_as_asked(&operation, format!("{name}: {mode}")))
            }
        }
    }

    async fn set_ports_lacp_mode(&self, lag: &LagSpec) -> DeviceResult<()> {
        let operation =
            format!("failed to bundle {} in LAG `{}`, VLAN {}", Self::shown(&lag.ports), lag.name, lag.vlan);
        let _changing = self.changing.lock().await;
        let seen = self.snapshot().await?;
        let names = self.checked(&lag.ports, &seen)?;
        if names.len() < 2 {
            return Err(DeviceError::new(FailureKind::Invalid, operation)
                .because("a bond of Open vSwitch has two members or more"));
        }
        let name = lag.name.as_str();
        let is_done =
            |seen: &Snapshot| seen.port(name).is_some_and(|port| port.is_lag_of(&names, lag.vlan, alone(lag)));
        if is_done(&seen) {
            return Ok(());
        }
        // A member that the LAG is to lose must first be given a mode of its own by its owner.
        if let Some(other) =
            seen.port(name).and_then(|port| port.members.iter().find(|m| !names.contains(&m.name.as_str())))
        {
            return Err(DeviceError::new(FailureKind::Conflict, operation)
                .because(format!("`{name}` exists and has port `{}`", other.name))
                .hint(format!(
                    "put port `{}/{}` into access mode first, or name the LAG otherwise",
                    self.id, other.name
                )));
        }
        let leave = self.leave_lags(&names, &seen, &operation)?;
        self.write(
            &leave.then(command::lag(self.spec.bridge.as_str(), name, &names, lag.vlan, alone(lag))),
            &operation,
        )
        .await?;
        let seen = self.snapshot().await?;
        if is_done(&seen) {
            return Ok(());
        }
        Err(Self::not_as_asked(
            &operation,
            seen.port(name).map_or_else(|| "gone".to_owned(), |port| port.mode().to_string()),
        ))
    }

    async fn mac_table(&self) -> DeviceResult<Vec<MacTableEntry>> {
        let text = self.appctl("the MAC table", &["fdb/show", self.spec.bridge.as_str()]).await?;
        let seen = self.snapshot().await?;
        let entry = |(mac, interface, vlan): mac_table::Learnt| {
            let port = PortRef::new(self.id.clone(), interface.parse().ok()?);
            Some(MacTableEntry { mac, port, vlan })
        };
        Ok(mac_table::parse(&text, &seen).into_iter().filter_map(entry).collect())
    }

    /// Always empty: Open vSwitch hears LLDP but has no command that shows whom it heard.
    async fn lldp_neighbours(&self) -> DeviceResult<Vec<LldpNeighbour>> {
        Ok(Vec::new())
    }

    /// By `lacp-fallback-ab`.
    fn lags_fall_back(&self, switch: &SwitchId) -> bool {
        *switch == self.id
    }

    fn access_mode_commands(&self, ports: &[PortRef], vlan: VlanId) -> Vec<String> {
        vec![command::access(self.spec.bridge.as_str(), &Self::names(ports), vlan).line(&self.spec.db)]
    }

    fn lacp_mode_commands(&self, lag: &LagSpec) -> Vec<String> {
        let names = Self::names(&lag.ports);
        vec![
            command::lag(self.spec.bridge.as_str(), lag.name.as_str(), &names, lag.vlan, alone(lag))
                .line(&self.spec.db),
        ]
    }
}

/// The member of a LAG that works while no partner is heard: Open vSwitch lets one, which by itself it chooses by chance.
fn alone(lag: &LagSpec) -> Option<&str> {
    lag.ports.first().filter(|_| lag.fallback).map(|port| port.port.as_str())
}

#[async_trait]
impl LacpFallback for OpenVswitch {
    async fn set_lacp_fallback(&self, switch: &SwitchId, lag: &LagName, enabled: bool) -> DeviceResult<()> {
        let operation = format!(
            "failed to turn fallback of LAG `{lag}` on switch `{switch}` {}",
            if enabled { "on" } else { "off" }
        );
        let is_done = |seen: &Snapshot| match seen.port(lag.as_str()).map(Port::mode) {
            Some(PortMode::Lacp { fallback, .. }) => Ok(fallback == enabled),
            _ => Err(DeviceError::new(FailureKind::Invalid, operation.clone()).because("there is no such LAG")),
        };
        let _changing = self.changing.lock().await;
        if is_done(&self.snapshot().await?)? {
            return Ok(());
        }
        self.write(&command::fallback(lag.as_str(), enabled), &operation).await?;
        if is_done(&self.snapshot().await?)? { Ok(()) } else { Err(Self::not_as_asked(&operation, "unchanged")) }
    }
}
