//! The site's load balancer: connections are passed on to servers whose checks pass, at that time.
//!
//! Checks are carried out every few seconds on what really answers. A server begins as up, and its first failed check
//! takes it down; from then on three failures count, and two successes. Configured anew, servers that stay keep what is
//! known of them, and whoever was drained takes part again.
//! Source: HAProxy configuration manual, `check`, `rise`, `fall`, `backup`, `balance`; `src/server.c` for the beginning.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{
    Balance, HealthCheck, LbServer, LbService, LoadBalancer, ServerAdmin, ServerHealth, ServerState,
};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::Hostname;

use super::connect::NoReply;
use crate::topology::SimTopology;
use crate::world::{Shared, State};

/// Successes in a row that bring a server up.
const RISE: u32 = 2;
/// Failures in a row that take it down.
const FALL: u32 = 3;

/// The services.
#[derive(Default)]
pub(crate) struct Balancer {
    services: BTreeMap<Hostname, Service>,
}

struct Service {
    spec: LbService,
    servers: Vec<Server>,
    next_check: Duration,
    /// Whose turn it is.
    turn: usize,
}

struct Server {
    spec: LbServer,
    admin: ServerAdmin,
    is_up: bool,
    /// Checks in a row that say otherwise.
    against: u32,
    last_check: Option<&'static str>,
}

impl Server {
    fn new(spec: LbServer) -> Self {
        // One failure is enough at the beginning.
        Self { spec, admin: ServerAdmin::Ready, is_up: true, against: FALL - 1, last_check: None }
    }

    fn checked(&mut self, outcome: &Result<(), &'static str>) {
        let passes = outcome.is_ok();
        self.last_check = Some(outcome.err().unwrap_or("passed"));
        if passes == self.is_up {
            self.against = 0;
            return;
        }
        self.against += 1;
        if self.against >= if self.is_up { FALL } else { RISE } {
            (self.is_up, self.against) = (passes, 0);
        }
    }

    fn takes(&self) -> bool {
        self.is_up && self.admin == ServerAdmin::Ready
    }

    fn state(&self) -> ServerState {
        match self.admin {
            ServerAdmin::Maintenance => ServerState::Maintenance,
            ServerAdmin::Drain if self.is_up => ServerState::Drain,
            ServerAdmin::Ready if self.is_up => ServerState::Up,
            ServerAdmin::Drain | ServerAdmin::Ready => ServerState::Down,
        }
    }
}

impl Balancer {
    /// The server for a connection to an address; none within, if there is none; none, if nothing listens there.
    pub(super) fn choose(&mut self, from: IpAddr, to: SocketAddr) -> Option<Option<SocketAddr>> {
        let service = self.services.values_mut().find(|service| service.spec.listen.contains(&to))?;
        let ready = |backup: bool| {
            let servers = service.servers.iter().filter(move |server| server.spec.backup == backup && server.takes());
            servers.map(|server| server.spec.address).collect::<Vec<_>>()
        };
        let mut able = ready(false);
        if able.is_empty() {
            // Of those in reserve, the first alone.
            able = ready(true);
            able.truncate(1);
        }
        if able.is_empty() {
            return Some(None);
        }
        let at = match service.spec.balance {
            Balance::RoundRobin => {
                service.turn = service.turn.wrapping_add(1);
                service.turn
            }
            Balance::Source => match from {
                IpAddr::V4(from) => u32::from(from) as usize,
                IpAddr::V6(from) => from.segments().iter().map(|part| usize::from(*part)).sum(),
            },
        };
        Some(Some(able[at % able.len()]))
    }

    fn set(&mut self, spec: &LbService, now: Duration) {
        let before = self.services.remove(&spec.name);
        // Of another check, nothing is known.
        let before = before.filter(|before| before.spec.check == spec.check);
        let mut known: Vec<Server> = before.map(|before| before.servers).unwrap_or_default();
        let server = |wanted: &LbServer| {
            let at = known
                .iter()
                .position(|server| server.spec.name == wanted.name && server.spec.address == wanted.address);
            match at.map(|at| known.swap_remove(at)) {
                Some(server) => Server { spec: wanted.clone(), admin: ServerAdmin::Ready, ..server },
                None => Server::new(wanted.clone()),
            }
        };
        let servers = spec.servers.iter().map(server).collect();
        self.services.insert(spec.name.clone(), Service { spec: spec.clone(), servers, next_check: now, turn: 0 });
    }

    /// What the balancer's own syntax check would refuse.
    fn refuses(&self, wanted: &[LbService]) -> Option<DeviceError> {
        let fail = |kind, name: &Hostname, why: String| {
            Some(DeviceError::new(kind, format!("failed to set the load balancer's service {name}")).because(why))
        };
        for service in wanted {
            if service.listen.is_empty() {
                return fail(FailureKind::Invalid, &service.name, "it listens nowhere".to_owned());
            }
            let others = self
                .services
                .values()
                .map(|other| &other.spec)
                .filter(|other| !wanted.iter().any(|new| new.name == other.name));
            for other in others.chain(wanted.iter().filter(|other| other.name != service.name)) {
                if let Some(taken) = service.listen.iter().find(|at| other.listen.contains(at)) {
                    return fail(FailureKind::Conflict, &service.name, format!("{taken} is taken by {}", other.name));
                }
            }
        }
        None
    }
}

impl State {
    /// Carries out the checks that are due. When the next one is.
    pub(super) fn check_servers(&mut self, now: Duration) -> Option<Duration> {
        let due: Vec<Hostname> = self
            .services
            .balancer
            .services
            .iter()
            .filter(|(_, service)| service.next_check <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            let Some(service) = self.services.balancer.services.get_mut(&name) else { continue };
            service.next_check = now + service.spec.interval().max(Duration::from_secs(1));
            let check = service.spec.check.clone();
            let at: Vec<SocketAddr> = service.servers.iter().map(|server| server.spec.address).collect();
            let outcomes: Vec<_> = at.into_iter().map(|at| self.check_server(&check, at, now)).collect();
            let mut changes = Vec::new();
            if let Some(service) = self.services.balancer.services.get_mut(&name) {
                for (server, outcome) in service.servers.iter_mut().zip(&outcomes) {
                    let before = server.is_up;
                    server.checked(outcome);
                    if server.is_up != before {
                        let how = if server.is_up { "up" } else { "down" };
                        changes.push(format!("load balancer: {name}/{} is {how}", server.spec.name));
                    }
                }
            }
            changes.iter().for_each(|line| self.note(now, line));
        }
        self.services.balancer.services.values().map(|service| service.next_check).min()
    }

    fn check_server(&mut self, check: &HealthCheck, at: SocketAddr, now: Duration) -> Result<(), &'static str> {
        if let Some(id) = self.at_address(at.ip(), now)
            && self.faults.balancer_loses(&self.machines[id].name)
        {
            return Err("Layer4 timeout");
        }
        let at = match check {
            HealthCheck::Tcp | HealthCheck::Https { .. } => at,
            HealthCheck::Http { port, .. } => SocketAddr::new(at.ip(), *port),
        };
        match self.listener(at, now) {
            Ok(_) => Ok(()),
            Err(NoReply::Refused) => Err("Layer4 connection problem: Connection refused"),
            Err(_) => Err("Layer4 timeout"),
        }
    }
}

impl Shared {
    async fn balance<T: Send>(
        &self,
        command: String,
        change: impl FnOnce(&mut State, Duration) -> DeviceResult<T> + Send,
    ) -> DeviceResult<T> {
        let effect = async {
            let now = self.now();
            self.with(|state| {
                let result = change(state, now);
                state.services.changed.notify_one();
                result
            })
        };
        self.write("load-balancer", "prov", command, effect).await
    }
}

#[async_trait]
impl LoadBalancer for SimTopology {
    async fn services(&self) -> DeviceResult<Vec<LbService>> {
        self.world().ask().await;
        let services =
            |state: &mut State| state.services.balancer.services.values().map(|service| service.spec.clone()).collect();
        Ok(self.world().with(services))
    }

    async fn set_services(&self, services: &[LbService]) -> DeviceResult<()> {
        let names: Vec<String> = services
            .iter()
            .map(|service| {
                let servers: Vec<&str> = service.servers.iter().map(|server| server.name.as_str()).collect();
                format!("{} ({})", service.name, servers.join(", "))
            })
            .collect();
        self.world()
            .balance(format!("set {}", names.join("; ")), |state, now| {
                let balancer = &mut state.services.balancer;
                if let Some(error) = balancer.refuses(services) {
                    return Err(error);
                }
                services.iter().for_each(|service| balancer.set(service, now));
                Ok(())
            })
            .await
    }

    async fn remove_services(&self, names: &[Hostname]) -> DeviceResult<()> {
        let told: Vec<&str> = names.iter().map(Hostname::as_str).collect();
        self.world()
            .balance(format!("remove {}", told.join(", ")), |state, _| {
                names.iter().for_each(|name| drop(state.services.balancer.services.remove(name)));
                Ok(())
            })
            .await
    }

    async fn server_health(&self) -> DeviceResult<Vec<ServerHealth>> {
        self.world().ask().await;
        self.world().with(|state| {
            let mut health = Vec::new();
            for service in state.services.balancer.services.values() {
                health.extend(service.servers.iter().map(|server| ServerHealth {
                    service: service.spec.name.clone(),
                    server: server.spec.name.clone(),
                    state: server.state(),
                    sessions: 0,
                    last_check: server.last_check.map(str::to_owned),
                }));
            }
            health.sort_by(|a, b| (&a.service, &a.server).cmp(&(&b.service, &b.server)));
            Ok(health)
        })
    }

    async fn set_server(&self, service: &Hostname, server: &Hostname, admin: ServerAdmin) -> DeviceResult<()> {
        let word = match admin {
            ServerAdmin::Ready => "ready",
            ServerAdmin::Drain => "drain",
            ServerAdmin::Maintenance => "maintenance",
        };
        self.world()
            .balance(format!("set {service}/{server} to {word}"), |state, _| {
                let found = state.services.balancer.services.get_mut(service);
                let found = found.and_then(|found| found.servers.iter_mut().find(|found| found.spec.name == *server));
                let missing = || {
                    DeviceError::new(FailureKind::Conflict, format!("failed to set {service}/{server} to {word}"))
                        .because("the load balancer has no such server")
                };
                found.map(|found| found.admin = admin).ok_or_else(missing)
            })
            .await
    }

    fn service_text(&self, service: &LbService) -> (String, String) {
        let listen: Vec<String> = service.listen.iter().map(ToString::to_string).collect();
        let mut text = format!("{} listens on {}\n", service.name, listen.join(", "));
        for server in &service.servers {
            let backup = if server.backup { " backup" } else { "" };
            text.push_str(&format!("  {} {}{backup}\n", server.name, server.address));
        }
        (format!("services/{}", service.name), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_begins_as_up_falls_at_once_and_rises_after_two() {
        let spec = LbServer { name: "a".parse().expect("valid"), address: ([10, 0, 0, 1], 6443).into(), backup: false };
        let mut server = Server::new(spec);
        let ups: Vec<bool> = [false, true, true, false, false, true, false, false, false]
            .into_iter()
            .map(|passes| {
                server.checked(&if passes { Ok(()) } else { Err("no") });
                server.is_up
            })
            .collect();
        assert_eq!(ups, [false, false, true, true, true, true, true, true, false]);
    }

    #[test]
    fn who_is_in_reserve_is_asked_last() {
        let server = |name: &str, last: u8, backup| LbServer {
            name: name.parse().expect("valid"),
            address: ([10, 0, 0, last], 6443).into(),
            backup,
        };
        let listen: SocketAddr = ([10, 0, 0, 9], 6443).into();
        let spec = LbService {
            name: "api".parse().expect("valid"),
            listen: vec![listen],
            balance: Balance::RoundRobin,
            check: HealthCheck::Tcp,
            interval_s: 5,
            servers: vec![server("a", 1, false), server("b", 2, false), server("c", 3, true)],
        };
        let mut balancer = Balancer::default();
        balancer.set(&spec, Duration::ZERO);
        let from: IpAddr = [10, 0, 0, 50].into();
        let chosen =
            |balancer: &mut Balancer| balancer.choose(from, listen).expect("it listens").map(|at| at.ip().to_string());
        let two = [chosen(&mut balancer), chosen(&mut balancer)];
        assert_eq!(
            two.iter().flatten().map(String::as_str).collect::<std::collections::BTreeSet<_>>(),
            ["10.0.0.1", "10.0.0.2"].into()
        );
        let service = balancer.services.values_mut().next().expect("one");
        service.servers.iter_mut().take(2).for_each(|server| server.is_up = false);
        assert_eq!(chosen(&mut balancer).as_deref(), Some("10.0.0.3"));
        balancer.services.values_mut().for_each(|service| service.servers[2].admin = ServerAdmin::Drain);
        assert_eq!(chosen(&mut balancer), None);
        assert_eq!(balancer.choose(from, ([10, 0, 0, 8], 6443).into()), None);
    }
}
