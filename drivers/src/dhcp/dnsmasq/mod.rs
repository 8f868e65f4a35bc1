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
//! Read next: `spec` for the configuration, `hosts` for the reservations,
//! `transport::daemon` for the process.

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
use nix::sys::signal::Signal;

use crate::WriteLog;
use crate::transport::confirmed::{lock, remove, rename, write};
use crate::transport::daemon::{Daemon, DaemonError};
use crate::transport::process::Program;
pub use hosts::HostsError;
use spec::Files;
pub(crate) use spec::plain;
pub use spec::{BootFiles, DnsmasqConfig, DnsmasqConfigError, DnsmasqSpec, InterfaceName};

/// Name of this driver in the site file and in the [`WriteLog`].
pub const DRIVER: &str = "dnsmasq";
/// A log larger than this is put aside.
const MAX_LOG_BYTES: u64 = 32 << 20;
/// Time that dnsmasq has to take notice of a file.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Why dnsmasq is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum DnsmasqError {
    /// Its process or its files.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
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
        let option = conf_file(&files.config);
        let daemon = Daemon::new("dnsmasq", program, vec![option.clone()], option);
        Ok(Self { interface: spec.interface, config, text, files, daemon, writes })
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// If processes cannot be listed.
    pub fn is_running(&self) -> DeviceResult<bool> {
        self.daemon.is_running().map_err(|error| self.failed("failed to look for", error.into()))
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
        let running = self.daemon.find().map_err(|error| failed(error.into()))?;
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
        self.daemon.stop().await.map_err(|error| failed(error.into()))
    }

    /// Ends it where it runs, and starts it with the configuration and reservations as they are.
    /// Returns where the new process's part of the log begins.
    async fn restart(&self) -> Result<u64, DnsmasqError> {
        let fresh = self.files.folder.join("dnsmasq.conf.new");
        write(&fresh, &self.text)?;
        self.daemon.test(vec!["--test".to_owned(), conf_file(&fresh)]).await?;
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
    async fn lock(&self) -> Result<File, DnsmasqError> {
        let lock = lock(&self.files.folder).await?;
        std::fs::create_dir_all(&self.files.hosts).map_err(DaemonError::file(&self.files.hosts))?;
        Ok(lock)
    }

    async fn put_log_aside(&self) -> Result<(), DnsmasqError> {
        if records::size(&self.files.log) <= MAX_LOG_BYTES {
            return Ok(());
        }
        rename(&self.files.log, &self.files.folder.join("dnsmasq.log.old"))?;
        let deadline = tokio::time::Instant::now() + NOTICE_TIMEOUT;
        // SIGUSR2 makes it open its log anew. (SIGHUP would make it read everything again, and has been seen to
        // end it.) Asked again and again: a dnsmasq that has just started ignores the first time.
        while self.daemon.signal(Signal::SIGUSR2)? && !self.files.log.exists() {
            if tokio::time::Instant::now() >= deadline {
                return Err(DnsmasqError::Unnoticed { path: self.files.log.clone() });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: DnsmasqError) -> DeviceError {
        let log = || Some(format!("look into {}", self.files.log.display()));
        let (kind, hint) = match &error {
            DnsmasqError::Daemon(cause) if cause.stderr().contains("Address already in use") => (
                cause.kind(),
                Some(
                    "another DHCP server listens on this interface: end it, or use it in the site file instead".into(),
                ),
            ),
            DnsmasqError::Daemon(cause)
                if ["ermission denied", "Operation not permitted"].iter().any(|why| cause.stderr().contains(why)) =>
            {
                (cause.kind(), Some("DHCP needs root".to_owned()))
            }
            DnsmasqError::Daemon(cause) => (cause.kind(), cause.hint()),
            DnsmasqError::Unnoticed { .. } => (FailureKind::Transient, log()),
            DnsmasqError::Complaint(_) => (FailureKind::Rejected, log()),
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

    /// What it would be started with if it had these reservations and no others, as one file: a line each in place of
    /// the folder that it reads them from, in which `dnsmasq --test` does not look.
    ///
    /// # Errors
    /// A reservation that it cannot have.
    pub fn config_text(&self, reservations: &[Reservation]) -> DeviceResult<String> {
        let mut lines = String::new();
        for (at, wanted) in reservations.iter().enumerate() {
            self.check(wanted, &reservations[..at], &of_reserving(wanted))?;
            lines += &format!("dhcp-host={}", hosts::text(wanted));
        }
        let line = |line: &str| if line.starts_with("dhcp-hostsdir=") { lines.clone() } else { format!("{line}\n") };
        Ok(self.text.lines().map(line).collect())
    }

    /// Refuses what could never take effect, or would take it from another host.
    fn check(&self, wanted: &Reservation, known: &[Reservation], operation: &str) -> DeviceResult<()> {
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
        for other in known.iter().filter(|other| other.hostname != wanted.hostname) {
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
        Ok(())
    }

    /// Refuses an address that another machine has just now.
    fn check_leases(&self, wanted: &Reservation, operation: &str) -> DeviceResult<()> {
        let is_others = |lease: &Lease| lease.address == wanted.address && !wanted.macs.contains(&lease.mac);
        let Some(lease) = self.read_leases(operation)?.into_iter().find(is_others) else { return Ok(()) };
        let until = lease.expires_at.map_or_else(|| "for ever".to_owned(), |at| format!("until {at}"));
        Err(DeviceError::new(FailureKind::Conflict, operation)
            .because(format!("{} has a lease of {} {until}", lease.mac, lease.address))
            .hint("choose an address outside the pool, or wait for that lease to end"))
    }

    fn read_leases(&self, operation: &str) -> DeviceResult<Vec<Lease>> {
        records::read_leases(&self.files.leases, Timestamp::now()).map_err(|error| {
            DeviceError::new(FailureKind::Rejected, operation)
                .because(error)
                .hint(format!("look at {}", self.files.leases.display()))
        })
    }

    /// Writes a reservation's file, or removes it, and has a running dnsmasq act on it.
    async fn change(&self, path: &Path, text: Option<&str>) -> Result<(), DnsmasqError> {
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
        if !self.daemon.is_running()? {
            return Ok(());
        }
        if pending.exists() {
            log_end = self.restart().await?;
        }
        if text.is_some() { self.noticed(path, log_end).await } else { Ok(()) }
    }

    /// Waits until the log says that dnsmasq has read a reservation.
    async fn noticed(&self, path: &Path, log_end: u64) -> Result<(), DnsmasqError> {
        let deadline = tokio::time::Instant::now() + NOTICE_TIMEOUT;
        loop {
            let log = records::read_from(&self.files.log, log_end, MAX_LOG_BYTES)
                .map_err(DaemonError::file(&self.files.log))?;
            if let Some(verdict) = records::verdict(&log, path) {
                return verdict.map_err(DnsmasqError::Complaint);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(DnsmasqError::Unnoticed { path: path.to_owned() });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// What is done when an address is reserved, for messages.
fn of_reserving(wanted: &Reservation) -> String {
    format!("failed to reserve {} for `{}`", wanted.address, wanted.hostname)
}

fn conf_file(path: &Path) -> String {
    format!("--conf-file={}", path.display())
}

#[async_trait]
impl DhcpServer for Dnsmasq {
    async fn reservations(&self) -> DeviceResult<Vec<Reservation>> {
        self.read_hosts(&format!("failed to read the reservations of dnsmasq on `{}`", self.interface))
    }

    async fn set_reservation(&self, reservation: &Reservation) -> DeviceResult<()> {
        let operation = of_reserving(reservation);
        let failed = |error| self.failed(&format!("{operation} in"), error);
        let _lock = self.lock().await.map_err(failed)?;
        self.check(reservation, &self.read_hosts(&operation)?, &operation)?;
        self.check_leases(reservation, &operation)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_one_file_it_has_its_reservations_and_no_folder_of_them() {
        let spec = DnsmasqSpec { interface: "ctl0".to_owned().try_into().expect("valid"), program: None };
        let dnsmasq = Dnsmasq::new(spec, spec::tests::config(), WriteLog::default()).expect("valid");
        let reservation = |name: &str, last: u8| Reservation {
            hostname: name.parse().expect("valid"),
            address: [10, 10, 0, last].into(),
            macs: vec![MacAddress::new([0x52, 0x54, 0, 0, 0, last])],
        };
        let kept = [reservation("a.lab", 11), reservation("b.lab", 12)];
        let text = dnsmasq.config_text(&kept).expect("can be");
        let lines = "dhcp-host=52:54:00:00:00:0b,10.10.0.11,a.lab\ndhcp-host=52:54:00:00:00:0c,10.10.0.12,b.lab\n";
        assert_eq!(text.replace(lines, "dhcp-hostsdir=/var/lib/harmony/dhcp/hosts\n"), dnsmasq.text);
        let error = dnsmasq.config_text(&[reservation("a.lab", 11), reservation("b.lab", 11)]).expect_err("taken");
        assert_eq!(error.kind(), FailureKind::Conflict);
        assert!(dnsmasq.config_text(&[reservation("a.lab", 1)]).is_err(), "our own address");
    }
}
