//! The site's load balancer: its checks, carried out every few seconds on what really answers, and what it is told.
//!
//! Read next: `super::balancer` for what follows from a check.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{HealthCheck, LbService, LoadBalancer, ServerAdmin, ServerHealth};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::Hostname;

use super::connect::NoReply;
use crate::topology::SimTopology;
use crate::world::{Shared, State};

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

    /// Where the balancer listens.
    pub(crate) fn balanced_addresses(&self) -> BTreeSet<SocketAddr> {
        self.services.balancer.services.values().flat_map(|service| service.spec.listen.iter().copied()).collect()
    }

    /// The server that a connection is passed on to, if there is one.
    pub(crate) fn balance(&mut self, from: IpAddr, to: SocketAddr) -> Option<SocketAddr> {
        self.services.balancer.choose(from, to).flatten()
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
        let (refused, is_so) = self.world().with(|state| {
            let balancer = &state.services.balancer;
            (balancer.refuses(services), services.iter().all(|service| balancer.has(service)))
        });
        // What the configuration's check finds, or what is as it is already, never gets to the running balancer.
        if refused.is_some() || is_so {
            self.world().ask().await;
            return refused.map_or(Ok(()), Err);
        }
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
            let _ = writeln!(text, "  {} {}{backup}", server.name, server.address);
        }
        (format!("services/{}", service.name), text)
    }
}
