//! How a request finds its way: a name, an address, the load balancer or a machine, and what runs there.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::http::{StatusCode, Uri};
use bytes::Bytes;
use harmony_core::cluster::NodeKind;
use harmony_core::net::DnsName;

use super::Member;
use crate::cluster::{MachineConfigReply, Server};
use crate::machine::Running;
use crate::wire::kubernetes::ClusterKeys;
use crate::world::State;

/// Port of the API.
pub(crate) const API: u16 = 6443;
/// Port of the machine config server.
pub(crate) const MACHINE_CONFIG: u16 = 22623;
/// Port of every system's SSH server.
const SSH: u16 = 22;
/// Ports of the routers: HTTP, HTTPS, health.
const ROUTER: [u16; 3] = [80, 443, 1936];

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoReply {
    /// Nobody is there, or nothing passes.
    Silence,
    /// Nobody listens there.
    Refused,
    /// The connection is closed again at once.
    Cut,
    /// The name has no address.
    UnknownHost(String),
    /// Whoever answers is not whom the client believes.
    Certificate(&'static str),
    /// No URL that is answered here.
    Url,
}

impl std::error::Error for NoReply {}

impl fmt::Display for NoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence => f.write_str("dial tcp: i/o timeout"),
            Self::Refused => f.write_str("dial tcp: connect: connection refused"),
            Self::Cut => f.write_str("EOF"),
            Self::UnknownHost(name) => write!(f, "dial tcp: lookup {name}: no such host"),
            Self::Certificate(why) => write!(f, "tls: failed to verify certificate: x509: {why}"),
            Self::Url => f.write_str("unsupported URL"),
        }
    }
}

/// A GET over TLS.
pub(crate) struct HttpsGet<'a> {
    /// The client's address.
    pub(crate) from: IpAddr,
    /// The DNS servers that it asks; those that DHCP names, if it has none of its own.
    pub(crate) dns: Option<&'a [IpAddr]>,
    pub(crate) url: &'a str,
    /// The certificates that it believes.
    pub(crate) authorities: &'a [Vec<u8>],
}

impl State {
    /// Carries out a GET of a machine of a cluster.
    pub(crate) fn https(&mut self, get: &HttpsGet<'_>, now: Duration) -> Result<(StatusCode, Bytes), NoReply> {
        let uri: Uri = get.url.parse().map_err(|_| NoReply::Url)?;
        let address = self.address_of(uri.host().ok_or(NoReply::Url)?, get.dns)?;
        let port = uri.port_u16().unwrap_or(443);
        let id = self.reach(get.from, SocketAddr::new(address, port), now)?;
        let member = self.running_member(id).ok_or(NoReply::Refused)?;
        let cluster = self.services.installer.of(&member).ok_or(NoReply::Refused)?;
        if !get.authorities.contains(&cluster.authority) {
            return Err(NoReply::Certificate("certificate signed by unknown authority"));
        }
        if self.faults.expires_certificates() || self.has_expired(&member, now) {
            return Err(NoReply::Certificate("certificate has expired or is not yet valid"));
        }
        match (port, uri.path().strip_prefix("/config/")) {
            (MACHINE_CONFIG, Some(pool)) => self.machine_config(&member, id, pool, now),
            _ => Ok((StatusCode::NOT_FOUND, Bytes::new())),
        }
    }

    /// The address that a URL's host means to a machine which asks these DNS servers.
    pub(crate) fn address_of(&self, host: &str, servers: Option<&[IpAddr]>) -> Result<IpAddr, NoReply> {
        host.parse().or_else(|_| self.look_up(host, servers))
    }

    fn look_up(&self, host: &str, servers: Option<&[IpAddr]>) -> Result<IpAddr, NoReply> {
        let unknown = || NoReply::UnknownHost(host.to_owned());
        // The site's own server is the only one there is.
        if servers.is_some_and(|servers| !servers.contains(&self.network.address)) {
            return Err(unknown());
        }
        let name: DnsName = host.parse().map_err(|_| unknown())?;
        self.resolve(&name).first().copied().ok_or_else(unknown)
    }

    /// The machine at the other end of a connection, by way of the load balancer where that listens.
    pub(super) fn reach(&mut self, from: IpAddr, to: SocketAddr, now: Duration) -> Result<usize, NoReply> {
        match self.services.balancer.choose(from, to) {
            Some(Some(server)) => self.listener(server, now).map_err(|_| NoReply::Cut),
            // It accepts, finds no server, and closes.
            Some(None) => Err(NoReply::Cut),
            None => self.listener(to, now),
        }
    }

    /// The machine that listens at an address itself.
    pub(super) fn listener(&mut self, at: SocketAddr, now: Duration) -> Result<usize, NoReply> {
        let id = self.at_address(at.ip(), now).ok_or(NoReply::Silence)?;
        if self.listens(id, at.port(), now) { Ok(id) } else { Err(NoReply::Refused) }
    }

    fn listens(&mut self, id: usize, port: u16, now: Duration) -> bool {
        if port == SSH {
            return matches!(self.machines[id].running, Running::System { .. } | Running::Live { .. });
        }
        let Some((member, server)) = self.server(id) else { return false };
        let name = self.machines[id].system().map(|system| system.hostname.clone()).unwrap_or_default();
        let Some(cluster) = self.services.installer.of_mut(&member) else { return false };
        match port {
            API => cluster.state.api_serves(now, &server),
            MACHINE_CONFIG => cluster.state.machine_config(now, &server, "master").is_some(),
            port if ROUTER.contains(&port) => cluster.state.ingress_nodes(now).contains(&name),
            _ => false,
        }
    }

    /// What runs on a machine in its cluster.
    pub(crate) fn running_member(&self, id: usize) -> Option<Member> {
        let machine = &self.machines[id];
        if !matches!(machine.running, Running::System { .. }) {
            return None;
        }
        machine.system()?.member.clone().filter(|member| member.has_run)
    }

    /// The same, as the cluster knows it.
    fn server(&self, id: usize) -> Option<(Member, Server)> {
        let member = self.running_member(id)?;
        let server = match member.kind {
            NodeKind::Bootstrap => Server::Bootstrap,
            NodeKind::Master | NodeKind::Worker => Server::Master(self.machines[id].system()?.hostname.clone()),
        };
        Some((member, server))
    }

    /// What a member's servers show on the wire, if they can show anything.
    pub(crate) fn cluster_keys(&self, member: &Member) -> Option<&ClusterKeys> {
        self.services.installer.of(member)?.keys.as_ref()
    }

    /// What a front on the wire needs of the member that runs on a machine.
    pub(crate) fn front(&self, id: usize) -> Option<(Member, Server, ClusterKeys)> {
        let (member, server) = self.server(id)?;
        let keys = self.cluster_keys(&member)?.clone();
        Some((member, server, keys))
    }

    /// What the machine config server of a machine answers for a pool.
    pub(super) fn machine_config(
        &mut self,
        member: &Member,
        id: usize,
        pool: &str,
        now: Duration,
    ) -> Result<(StatusCode, Bytes), NoReply> {
        let (_, server) = self.server(id).ok_or(NoReply::Refused)?;
        let reply = self.pool_config(member, &server, pool, now).ok_or(NoReply::Refused)?;
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Ok((status, Bytes::from(reply.body)))
    }

    /// The same, of a server of the member's cluster. None where none runs.
    pub(super) fn pool_config(
        &mut self,
        member: &Member,
        server: &Server,
        pool: &str,
        now: Duration,
    ) -> Option<MachineConfigReply> {
        let cluster = self.services.installer.of_mut(member)?;
        let reply = cluster.state.machine_config(now, server, pool)?;
        if self.faults.misses_machine_config() {
            return Some(MachineConfigReply { status: StatusCode::NOT_FOUND.as_u16(), body: String::new() });
        }
        match cluster.pools.get(pool) {
            Some(text) if reply.status == StatusCode::OK.as_u16() => {
                Some(MachineConfigReply { body: text.clone(), ..reply })
            }
            _ => Some(reply),
        }
    }

    /// Whether the certificates of a member's cluster are too old to be believed before it has its own.
    pub(super) fn has_expired(&self, member: &Member, now: Duration) -> bool {
        let Ok(hour) = self.epoch.checked_add(now) else { return true };
        self.services.installer.of(member).is_none_or(|cluster| hour > cluster.artefacts.expires_at)
    }
}
