//! A dnsmasq that Harmony starts and owns: DHCP and router announcements, no DNS, no TFTP.
//!
//! Owns one folder: the configuration, a file per reservation, leases and log. The process detaches
//! itself, so that hosts keep their addresses when Harmony ends or is killed; the next run adopts it.
//! Does not know who serves the boot files that it announces, nor what a host is for.
//!
//! What a running dnsmasq 2.90 does with a changed reservation, as tried: it reads a new file at
//! once, but forgets nothing. A removed or emptied file stays in force, a changed address is taken
//! only if it never occurred before, and SIGHUP can end the process. So a *new* reservation is only
//! written, and a *changed or removed* one is followed by a restart, which takes a tenth of a second
//! and loses no lease. `restart-pending` in the folder stands until that is done, so that a run
//! killed in between is repaired by the next.
//!
//! Read next: `spec` for the configuration, `hosts` for the reservations, `daemon` for the process.

mod daemon;
mod hosts;
mod records;
mod spec;

use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{DhcpServer, Lease, Reservation};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::{Hostname, MacAddress};
use jiff::Timestamp;

use crate::WriteLog;
use crate::transport::process::{ProcessError, Program};
use daemon::Daemon;
pub use hosts::HostsError;
use spec::Files;
pub use spec::{BootFiles, DnsmasqConfig, DnsmasqConfigError, DnsmasqSpec, InterfaceName};

/// Name of this driver in the site file and in the [`WriteLog`].
pub const DRIVER: &str = "dnsmasq";
/// A log larger than this is put aside.
const MAX_LOG_BYTES: u64 = 32 << 20;
/// Time that dnsmasq has to take notice of a file, and another Harmony to finish its change.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Why dnsmasq is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Running processes cannot be listed.
    #[error("failed to list processes")]
    Find(#[source] std::io::Error),
    /// It does not take the configuration.
    #[error("dnsmasq refuses the configuration")]
    Refused(#[source] ProcessError),
    /// It did not start.
    #[error("dnsmasq did not start")]
    Start(#[source] ProcessError),
    /// It could not be signalled.
    #[error("dnsmasq could not be signalled")]
    Stop(#[source] std::io::Error),
    /// It does not end.
    #[error("dnsmasq still runs after SIGKILL")]
    StillRuns,
    /// A file of its folder.
    #[error("failed to write {}", .path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process holds the folder.
    #[error("another Harmony has been changing {} for {} s", .folder.display(), NOTICE_TIMEOUT.as_secs())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// It took no notice of a changed file.
    #[error("dnsmasq took no notice of {}", .path.display())]
    Unnoticed {
        /// The file.
        path: PathBuf,
    },
    /// It read a reservation and refused it.
    #[error("dnsmasq says: {0}")]
    Complaint(String),
}

/// A dnsmasq of ours.
#[derive(Debug)]
pub struct Dnsmasq {
    interface: InterfaceName,
    config: DnsmasqConfig,
    text: String,
    files: Files,
    daemon: Daemon,
    writes: WriteLog,
}

impl Dnsmasq {
    /// The dnsmasq of `config.state_dir`, which becomes an absolute path. Nothing is started or
    /// written yet.
    ///
    /// # Errors
    /// If a value cannot go into dnsmasq's configuration.
    pub fn new(spec: DnsmasqSpec, config: DnsmasqConfig, writes: WriteLog) -> Result<Self, DnsmasqConfigError> {
        let folder = std::path::absolute(&config.state_dir).unwrap_or_else(|_| config.state_dir.clone());
        let files = Files::new(&folder);
        let text = config.text(&spec.interface, &files)?;
        let program = Program::new(spec.program.unwrap_or_else(|| "dnsmasq".into()), "dnsmasq-base");
        let daemon = Daemon::new(program, files.config.clone());
        Ok(Self { interface: spec.interface, config, text, files, daemon, writes })
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// If processes cannot be listed.
    pub fn is_running(&self) -> DeviceResult<bool> {
        let found = self.daemon.find().map_err(|error| self.failed("failed to look for", DaemonError::Find(error)))?;
        Ok(!found.is_empty())
    }

    /// Makes it run with this configuration: adopts it, starts it, or starts it again.
    ///
    /// # Errors
    /// If it refuses the configuration (then an earlier one goes on running) or does not start.
    pub async fn ensure_running(&self) -> DeviceResult<()> {
        let failed = |error| self.failed("failed to start", error);
        let _lock = self.lock().await.map_err(failed)?;
        self.put_log_aside().await.map_err(failed)?;
        let is_current = std::fs::read_to_string(&self.files.config).is_ok_and(|text| text == self.text);
        let running = self.daemon.find().map_err(|error| failed(DaemonError::Find(error)))?;
        if running.len() == 1 && is_current && !self.restart_pending().exists() {
            return Ok(());
        }
        self.restart().await.map(drop).map_err(failed)
    }

    /// Ends it. Reservations and leases stay.
    ///
    /// # Errors
    /// If it cannot be ended.
    pub async fn stop(&self) -> DeviceResult<()> {
        let failed = |error| self.failed("failed to stop", error);
        if !self.is_running()? {
            return Ok(());
        }
        let _lock = self.lock().await.map_err(failed)?;
        self.writes.record(DRIVER, self.interface.as_str(), format!("stop {}", self.daemon.command()));
        self.daemon.stop().await.map_err(failed)
    }

    /// Ends it where it runs, and starts it with the configuration and reservations as they are.
    /// Returns where the new process's part of the log begins.
    async fn restart(&self) -> Result<u64, DaemonError> {
        let fresh = self.files.folder.join("dnsmasq.conf.new");
        write(&fresh, &self.text)?;
        self.daemon.test(&fresh).await?;
        self.writes.record(DRIVER, self.interface.as_str(), format!("start {}", self.daemon.command()));
        self.daemon.stop().await?;
        // Only now, so that the file always says what a running dnsmasq was started with.
        rename(&fresh, &self.files.config)?;
        let log_end = records::size(&self.files.log);
        self.daemon.start().await?;
        let pending = self.restart_pending();
        if pending.exists() {
            remove(&pending)?;
        }
        Ok(log_end)
    }

    fn restart_pending(&self) -> PathBuf {
        self.files.folder.join("restart-pending")
    }

    /// Makes the folders, and keeps other Harmony processes out while the lock lives.
    async fn lock(&self) -> Result<File, DaemonError> {
        std::fs::create_dir_all(&self.files.hosts)
            .map_err(|source| DaemonError::File { path: self.files.hosts.clone(), source })?;
        let path = self.files.folder.join("lock");
        let failed = |source| DaemonError::File { path: path.clone(), source };
        let file = File::create(&path).map_err(failed)?;
        let deadline = tokio::time::Instant::now() + NOTICE_TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
                Err(std::fs::TryLockError::WouldBlock) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(POLL).await
                }
                Err(std::fs::TryLockError::WouldBlock) => {
                    return Err(DaemonError::Busy { folder: self.files.folder.clone() });
                }
            }
        }
    }

    async fn put_log_aside(&self) -> Result<(), DaemonError> {
        if records::size(&self.files.log) <= MAX_LOG_BYTES {
            return Ok(());
        }
        rename(&self.files.log, &self.files.folder.join("dnsmasq.log.old"))?;
        let deadline = tokio::time::Instant::now() + NOTICE_TIMEOUT;
        // Asked again and again: a dnsmasq that has just started ignores the first time.
        while self.daemon.reopen_log()? && !self.files.log.exists() {
            if tokio::time::Instant::now() >= deadline {
                return Err(DaemonError::Unnoticed { path: self.files.log.clone() });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: DaemonError) -> DeviceError {
        let (kind, hint) = match &error {
            DaemonError::Start(cause) | DaemonError::Refused(cause) => {
                let said = cause.stderr();
                let hint = if said.contains("Address already in use") {
                    Some(
                        "another DHCP server listens on this interface: end it, or use it in the site file instead"
                            .to_owned(),
                    )
                } else if said.contains("ermission denied") || said.contains("Operation not permitted") {
                    Some("DHCP needs root".to_owned())
                } else {
                    cause.hint()
                };
                (cause.kind(), hint)
            }
            DaemonError::Busy { .. } => (FailureKind::Transient, Some("wait for the other run to end".to_owned())),
            DaemonError::Find(_) | DaemonError::Stop(_) | DaemonError::StillRuns => (FailureKind::Rejected, None),
            DaemonError::File { .. } => {
                (FailureKind::Rejected, Some(format!("look at the folder {}", self.files.folder.display())))
            }
            DaemonError::Unnoticed { .. } => {
                (FailureKind::Transient, Some(format!("look into {}", self.files.log.display())))
            }
            DaemonError::Complaint(_) => {
                (FailureKind::Rejected, Some(format!("look into {}", self.files.log.display())))
            }
        };
        let failed = DeviceError::new(kind, format!("{what} dnsmasq on `{}`", self.interface)).because(error);
        if let Some(hint) = hint { failed.hint(hint) } else { failed }
    }

    fn read_hosts(&self, operation: &str) -> DeviceResult<Vec<Reservation>> {
        hosts::read(&self.files.hosts).map_err(|error| {
            DeviceError::new(FailureKind::Invalid, operation)
                .hint(format!("move the file out of {}", self.files.hosts.display()))
                .because(error)
        })
    }

    /// Refuses what could never take effect, or would take it from another host.
    fn check(&self, wanted: &Reservation, operation: &str) -> DeviceResult<()> {
        let refuse = |kind, why: String, hint: &str| Err(DeviceError::new(kind, operation).because(why).hint(hint));
        let net = self.config.address;
        let IpAddr::V4(address) = wanted.address else {
            return refuse(
                FailureKind::Invalid,
                "this server gives IPv4 addresses only".into(),
                "reserve an IPv4 address",
            );
        };
        if !net.contains(&address) || [net.addr(), net.network(), net.broadcast()].contains(&address) {
            let why = format!("{address} is no host address of {} beside our own {}", net.trunc(), net.addr());
            return refuse(FailureKind::Invalid, why, "choose a free address of the provisioning network");
        }
        if wanted.macs.is_empty() || !wanted.macs.iter().all(|mac| mac.is_unicast()) {
            return refuse(
                FailureKind::Invalid,
                "it needs the MAC of at least one NIC".into(),
                "inventory the host first",
            );
        }
        for other in self.read_hosts(operation)?.iter().filter(|other| other.hostname != wanted.hostname) {
            let mac = other.macs.iter().find(|mac| wanted.macs.contains(mac));
            let what = if other.address == wanted.address {
                other.address.to_string()
            } else {
                mac.map(ToString::to_string).unwrap_or_default()
            };
            if !what.is_empty() {
                return refuse(
                    FailureKind::Conflict,
                    format!("`{}` has {what} reserved", other.hostname),
                    "remove that reservation, or choose another address",
                );
            }
        }
        for lease in self.read_leases(operation)? {
            if lease.address == wanted.address && !wanted.macs.contains(&lease.mac) {
                let until = lease.expires_at.map_or_else(|| "for ever".to_owned(), |at| format!("until {at}"));
                return refuse(
                    FailureKind::Conflict,
                    format!("{} has a lease of {address} {until}", lease.mac),
                    "choose an address outside the pool, or wait for that lease to end",
                );
            }
        }
        Ok(())
    }

    fn read_leases(&self, operation: &str) -> DeviceResult<Vec<Lease>> {
        records::read_leases(&self.files.leases, Timestamp::now()).map_err(|error| {
            DeviceError::new(FailureKind::Rejected, operation)
                .because(error)
                .hint(format!("look at {}", self.files.leases.display()))
        })
    }

    /// Writes a reservation's file, or removes it, and has a running dnsmasq act on it.
    async fn change(&self, path: &Path, text: Option<&str>) -> Result<(), DaemonError> {
        let before = std::fs::read_to_string(path).ok();
        let pending = self.restart_pending();
        if before.as_deref() == text && !pending.exists() {
            return Ok(());
        }
        if before.is_some() {
            write(&pending, "")?;
        }
        let mut log_end = records::size(&self.files.log);
        if before.as_deref() != text {
            let verb = if text.is_some() { "write" } else { "remove" };
            self.writes.record(DRIVER, self.interface.as_str(), format!("{verb} {}", path.display()));
            match text {
                // dnsmasq reads whatever appears in its folder: a file made there would be read half written.
                Some(text) => {
                    let fresh = self.files.folder.join("reservation.new");
                    write(&fresh, text)?;
                    rename(&fresh, path)?;
                }
                None => remove(path)?,
            }
        }
        if self.daemon.find().map_err(DaemonError::Find)?.is_empty() {
            return Ok(());
        }
        if pending.exists() {
            log_end = self.restart().await?;
        }
        if text.is_some() { self.noticed(path, log_end).await } else { Ok(()) }
    }

    /// Waits until the log says that dnsmasq has read a reservation.
    async fn noticed(&self, path: &Path, log_end: u64) -> Result<(), DaemonError> {
        let deadline = tokio::time::Instant::now() + NOTICE_TIMEOUT;
        loop {
            let log = records::read_from(&self.files.log, log_end, MAX_LOG_BYTES)
                .map_err(|source| DaemonError::File { path: self.files.log.clone(), source })?;
            if let Some(verdict) = records::verdict(&log, path) {
                return verdict.map_err(DaemonError::Complaint);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(DaemonError::Unnoticed { path: path.to_owned() });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn write(path: &Path, text: &str) -> Result<(), DaemonError> {
    std::fs::write(path, text).map_err(|source| DaemonError::File { path: path.to_owned(), source })
}

fn rename(from: &Path, to: &Path) -> Result<(), DaemonError> {
    std::fs::rename(from, to).map_err(|source| DaemonError::File { path: to.to_owned(), source })
}

fn remove(path: &Path) -> Result<(), DaemonError> {
    std::fs::remove_file(path).map_err(|source| DaemonError::File { path: path.to_owned(), source })
}

#[async_trait]
impl DhcpServer for Dnsmasq {
    async fn reservations(&self) -> DeviceResult<Vec<Reservation>> {
        self.read_hosts(&format!("failed to read the reservations of dnsmasq on `{}`", self.interface))
    }

    async fn set_reservation(&self, reservation: &Reservation) -> DeviceResult<()> {
        let operation = format!("failed to reserve {} for `{}` in", reservation.address, reservation.hostname);
        let failed = |error| self.failed(&operation, error);
        let _lock = self.lock().await.map_err(failed)?;
        self.check(reservation, operation.trim_end_matches(" in"))?;
        let path = hosts::file(&self.files.hosts, &reservation.hostname);
        self.change(&path, Some(&hosts::text(reservation))).await.map_err(failed)
    }

    async fn remove_reservation(&self, hostname: &Hostname) -> DeviceResult<()> {
        let failed = |error| self.failed(&format!("failed to remove the reservation of `{hostname}` from"), error);
        let _lock = self.lock().await.map_err(failed)?;
        self.change(&hosts::file(&self.files.hosts, hostname), None).await.map_err(failed)
    }

    async fn leases(&self) -> DeviceResult<Vec<Lease>> {
        self.read_leases(&format!("failed to read the leases of dnsmasq on `{}`", self.interface))
    }

    async fn recent_log(&self, mac: MacAddress, limit: usize) -> DeviceResult<Vec<String>> {
        records::read_log(&self.files.log, mac, limit).map_err(|error| {
            DeviceError::new(
                FailureKind::Rejected,
                format!("failed to read the log of dnsmasq on `{}`", self.interface),
            )
            .because(error)
        })
    }

    fn reservation_record(&self, reservation: &Reservation) -> (String, String) {
        let path = hosts::file(&self.files.hosts, &reservation.hostname);
        (path.display().to_string(), hosts::text(reservation))
    }
}
