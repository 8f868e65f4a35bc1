//! HAProxy: one that is there and reads a file of Harmony's besides its own, or one that Harmony starts and owns.
//!
//! Owns that one file, and how a running HAProxy is brought to use it: judged by `haproxy -c`, renamed into place,
//! read by a reload that cuts no connection, and found again on the runtime socket; put back if it is not.
//! Does not know what the services are for. Sections that Harmony did not write are neither shown nor touched.
//!
//! What HAProxy 2.6 does, as tried: it listens with `SO_REUSEPORT`, so a second process or section takes part of
//! the connections of an address without any error; a reload whose text cannot be used leaves the earlier
//! process running, and says so nowhere. That is why the file ends in an empty section that is named after what
//! stands before it: only a process that has read this very text has it.
//!
//! Read next: `text` for the file, `stat` for what is read from the runtime socket, `check` for what is found
//! before, `change` for the order of things.

mod change;
mod check;
mod error;
#[cfg(test)]
pub(super) mod samples;
mod socket;
mod spec;
mod stat;
mod text;

use std::path::Path;

use async_trait::async_trait;
use harmony_core::capability::{LbService, LoadBalancer, ServerAdmin, ServerHealth};
use harmony_core::error::DeviceResult;
use harmony_core::net::Hostname;

use crate::WriteLog;
use crate::transport::confirmed::ConfirmedFile;
use crate::transport::daemon::Daemon;
use crate::transport::process::Program;
pub use check::ServiceError;
pub use error::HaproxyError;
pub use socket::SocketError;
pub use spec::{HaproxySpec, HaproxySpecError};
pub use text::TextError;
pub(super) use text::section;

/// Name of this driver in the site file and in the [`WriteLog`].
pub const DRIVER: &str = "haproxy";

/// A HAProxy.
#[derive(Debug)]
pub struct Haproxy {
    places: spec::Places,
    program: Program,
    /// Words of the command that reloads one that is not ours.
    reload: Vec<String>,
    /// The process that is ours.
    daemon: Option<Daemon>,
    file: ConfirmedFile,
    writes: WriteLog,
}

impl Haproxy {
    /// The HAProxy of a site; `state_dir` is a folder of its own. Nothing is started or written yet.
    ///
    /// # Errors
    /// If the spec says too little, or a path cannot go into HAProxy's configuration.
    pub fn new(spec: HaproxySpec, state_dir: &Path, writes: WriteLog) -> Result<Self, HaproxySpecError> {
        let places = spec::Places::new(&spec, state_dir)?;
        let program = Program::new(spec.program.unwrap_or_else(|| "haproxy".into()), "haproxy");
        let file = ConfirmedFile::new(&places.config);
        let daemon = spec.run.then(|| {
            // A master that stays, and a worker for each text that it is made to read.
            let mut args = vec!["-W".to_owned(), "-D".to_owned()];
            args.extend(places.files(&places.config));
            Daemon::new("haproxy", program.clone(), args, places.config.display().to_string())
        });
        Ok(Self { places, program, reload: spec.reload, daemon, file, writes })
    }

    /// What it would be started with if it had these services and no others: Harmony's file, after the main file where
    /// Harmony writes that one too. HAProxy reads several files as if they were one.
    ///
    /// # Errors
    /// Services that it cannot have.
    pub fn config_text(&self, services: &[LbService]) -> DeviceResult<String> {
        let names = names(services.iter().map(|service| &service.name));
        let failed = |error: ServiceError| self.failed(&format!("failed to set {names} of"), error.into());
        let services = check::admitted(services).map_err(failed)?;
        check::apart(&services).map_err(failed)?;
        let main = self.daemon.as_ref().map(|_| self.places.main_text() + "\n").unwrap_or_default();
        Ok(main + &text::render(&services))
    }

    /// The services that it is known to have, out of Harmony's file.
    fn read(&self) -> Result<text::Services, HaproxyError> {
        let text = self.file.confirmed()?;
        text::parse(&text).map_err(|source| HaproxyError::Text { path: self.places.config.clone(), source })
    }

    async fn stat(&self) -> Result<stat::Stat, HaproxyError> {
        let command = "show stat";
        let answer = socket::ask(&self.places.socket, command).await?;
        let garbled = |reason| SocketError::Garbled { command: command.to_owned(), reason };
        Ok(stat::Stat::parse(&answer).map_err(garbled)?)
    }

    async fn admin(&self, service: &Hostname, server: &Hostname) -> Result<ServerAdmin, HaproxyError> {
        let command = format!("show servers state {service}");
        let answer = socket::ask(&self.places.socket, &command).await?;
        let reason = "the server is not in it";
        stat::admin(&answer, server.as_str()).ok_or_else(|| SocketError::Garbled { command, reason }.into())
    }

    async fn set_admin(&self, service: &Hostname, server: &Hostname, admin: ServerAdmin) -> Result<(), HaproxyError> {
        let is_ours = |service: &LbService| service.servers.iter().any(|known| known.name == *server);
        if !self.read()?.get(service).is_some_and(is_ours) {
            return Err(HaproxyError::UnknownServer);
        }
        if self.admin(service, server).await? == admin {
            return Ok(());
        }
        let word = match admin {
            ServerAdmin::Ready => "ready",
            ServerAdmin::Drain => "drain",
            ServerAdmin::Maintenance => "maint",
        };
        let command = format!("set server {service}/{server} state {word}");
        self.writes.record(DRIVER, self.device(), &command);
        socket::order(&self.places.socket, &command).await?;
        let now = self.admin(service, server).await?;
        if now == admin { Ok(()) } else { Err(HaproxyError::Unchanged { command, now }) }
    }

    /// What it is called in messages and in the log of writes.
    fn device(&self) -> String {
        self.places.config.display().to_string()
    }
}

/// "services `a`, `b`", for messages.
pub(super) fn names<'a>(names: impl IntoIterator<Item = &'a Hostname>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    format!("load balancer {} {}", if names.len() == 1 { "service" } else { "services" }, names.join(", "))
}

#[async_trait]
impl LoadBalancer for Haproxy {
    async fn services(&self) -> DeviceResult<Vec<LbService>> {
        let services = self.read().map_err(|error| self.failed("failed to read the services of", error))?;
        Ok(services.into_values().collect())
    }

    async fn set_services(&self, services: &[LbService]) -> DeviceResult<()> {
        let change = self.change(|all| {
            all.extend(check::admitted(services)?);
            Ok(())
        });
        let names = names(services.iter().map(|service| &service.name));
        change.await.map_err(|error| self.failed(&format!("failed to set {names} of"), error))
    }

    async fn remove_services(&self, gone: &[Hostname]) -> DeviceResult<()> {
        let change = self.change(|all| {
            all.retain(|name, _| !gone.contains(name));
            Ok(())
        });
        change.await.map_err(|error| self.failed(&format!("failed to remove {} from", names(gone)), error))
    }

    async fn server_health(&self) -> DeviceResult<Vec<ServerHealth>> {
        let failed = |error| self.failed("failed to read how the servers are of", error);
        let services = self.read().map_err(failed)?;
        if services.is_empty() {
            return Ok(Vec::new());
        }
        let stat = self.stat().await.map_err(failed)?;
        let mut health: Vec<ServerHealth> = stat
            .servers()
            .iter()
            .filter_map(|row| {
                let (name, service) = services.get_key_value(&row.service.parse().ok()?)?;
                let server = service.servers.iter().find(|server| server.name.as_str() == row.server)?;
                Some(ServerHealth {
                    service: name.clone(),
                    server: server.name.clone(),
                    state: row.state.clone(),
                    sessions: row.sessions,
                    last_check: row.last_check.clone(),
                })
            })
            .collect();
        health.sort_by(|a, b| (&a.service, &a.server).cmp(&(&b.service, &b.server)));
        Ok(health)
    }

    async fn set_server(&self, service: &Hostname, server: &Hostname, admin: ServerAdmin) -> DeviceResult<()> {
        let operation = format!("failed to set server `{server}` of load balancer service `{service}` in");
        self.set_admin(service, server, admin).await.map_err(|error| self.failed(&operation, error))
    }

    fn service_text(&self, service: &LbService) -> (String, String) {
        (self.device(), text::section(service))
    }
}
