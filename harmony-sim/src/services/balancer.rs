//! The load balancer's own state: services, servers, and which of them a connection is passed on to. Pure.
//!
//! A server begins as up, and its first failed check takes it down; from then on three failures count, and two
//! successes. Configured anew, servers that stay keep what is known of them, and whoever was drained takes part again.
//! Source: HAProxy configuration manual, `check`, `rise`, `fall`, `backup`, `balance`; `src/server.c` for the beginning.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use harmony_core::capability::{Balance, LbServer, LbService, ServerAdmin, ServerState};
use harmony_core::error::{DeviceError, FailureKind};
use harmony_core::net::Hostname;

/// Successes in a row that bring a server up.
const RISE: u32 = 2;
/// Failures in a row that take it down.
const FALL: u32 = 3;

/// The services.
#[derive(Default)]
pub(crate) struct Balancer {
    pub(super) services: BTreeMap<Hostname, Service>,
}

pub(super) struct Service {
    pub(super) spec: LbService,
    pub(super) servers: Vec<Server>,
    pub(super) next_check: Duration,
    /// Whose turn it is.
    turn: usize,
}

pub(super) struct Server {
    pub(super) spec: LbServer,
    pub(super) admin: ServerAdmin,
    pub(super) is_up: bool,
    /// Checks in a row that say otherwise.
    against: u32,
    pub(super) last_check: Option<&'static str>,
}

impl Server {
    fn new(spec: LbServer) -> Self {
        // One failure is enough at the beginning.
        Self { spec, admin: ServerAdmin::Ready, is_up: true, against: FALL - 1, last_check: None }
    }

    pub(super) fn checked(&mut self, outcome: &Result<(), &'static str>) {
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

    pub(super) fn state(&self) -> ServerState {
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
                IpAddr::V4(from) => usize::try_from(u32::from(from)).unwrap_or(0),
                IpAddr::V6(from) => from.segments().iter().map(|part| usize::from(*part)).sum(),
            },
        };
        Some(Some(able[at % able.len()]))
    }

    pub(super) fn set(&mut self, spec: &LbService, now: Duration) {
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

    /// Whether a service is as asked, and everybody takes part in it.
    pub(super) fn has(&self, wanted: &LbService) -> bool {
        self.services.get(&wanted.name).is_some_and(|there| {
            there.spec == *wanted && there.servers.iter().all(|server| server.admin == ServerAdmin::Ready)
        })
    }

    /// The services, one line for each server.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let of = |service: &Service| {
            let (name, listen) = (service.spec.name.clone(), format!("{:?}", service.spec.listen));
            let line = move |server: &Server| {
                let LbServer { name: of, address, backup } = &server.spec;
                format!("service {name} on {listen}: {of} {address}, backup {backup}, {:?}", server.admin)
            };
            service.servers.iter().map(line).collect::<Vec<_>>()
        };
        self.services.values().flat_map(of)
    }

    /// What the balancer's own syntax check would refuse.
    pub(super) fn refuses(&self, wanted: &[LbService]) -> Option<DeviceError> {
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

#[cfg(test)]
mod tests {
    use harmony_core::capability::HealthCheck;

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
