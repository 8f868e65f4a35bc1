//! A dnsmasq that Harmony starts and owns: DNS only. The one for DHCP ([`crate::dhcp::dnsmasq`]) is another process.
//!
//! Owns one folder: the configuration with the records in it, and a log. The process detaches itself, so that hosts
//! can look names up when Harmony ends or is killed; the next run adopts it. Does not know what a name is for.
//!
//! dnsmasq reads records only when it starts, so a change is a restart: judged by `dnsmasq --test`, renamed into
//! place, started again, which takes a tenth of a second, and then asked over DNS. Resolvers ask again within
//! seconds when no answer comes. If it does not start or does not answer as it should, the earlier file is put back.
//!
//! Read next: `spec` for the head of the configuration, `records` for what follows, `transport::daemon` for the
//! process.

mod records;
mod spec;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{DnsRecord, DnsServer};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind, chain};
use harmony_core::net::DnsName;

use super::client::{self, AskError};
use crate::WriteLog;
use crate::dhcp::dnsmasq::DnsmasqConfigError;
use crate::transport::confirmed::{ConfirmedFile, lock};
use crate::transport::daemon::{Daemon, DaemonError};
use crate::transport::process::Program;
use records::Records;
pub use records::RecordsError;
pub use spec::DnsmasqDnsSpec;

/// Name of this driver in the [`WriteLog`]; in the site file it is `dnsmasq`.
pub const DRIVER: &str = "dnsmasq-dns";
/// Time that it has to answer as it should after a start.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Why dnsmasq is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum DnsmasqDnsError {
    /// Its process or its files.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// Its file holds what Harmony did not write.
    #[error("{} was changed by hand", .path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Where.
        #[source]
        source: RecordsError,
    },
    /// Somebody else has the name.
    #[error("{} has `{name}`, and is not Harmony's", .path.display())]
    Foreign {
        /// The name.
        name: DnsName,
        /// The hosts file.
        path: PathBuf,
    },
    /// A wildcard whose address leads back.
    #[error("a wildcard has no name that an address could lead back to")]
    ReverseWildcard,
    /// It runs, and answers something else.
    #[error("it does not answer as it should after {} s: {seen}", ANSWER_TIMEOUT.as_secs())]
    Answers {
        /// What it says instead.
        seen: String,
    },
}

/// A dnsmasq of ours, for DNS.
#[derive(Debug)]
pub struct DnsmasqDns {
    server: SocketAddr,
    hosts: Vec<PathBuf>,
    head: String,
    folder: PathBuf,
    file: ConfirmedFile,
    daemon: Daemon,
    writes: WriteLog,
}

/// What is to be asked once it runs.
enum Proof<'a> {
    Answers,
    Record(&'a DnsRecord),
}

impl DnsmasqDns {
    /// The dnsmasq of `state_dir`, a folder of its own. Nothing is started or written yet.
    ///
    /// # Errors
    /// If a value cannot go into dnsmasq's configuration.
    pub fn new(spec: DnsmasqDnsSpec, state_dir: &Path, writes: WriteLog) -> Result<Self, DnsmasqConfigError> {
        let folder = std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned());
        let (server, head) = (spec.server()?, spec.head(&folder)?);
        let config = folder.join("dnsmasq.conf");
        let program = Program::new(spec.program.unwrap_or_else(|| "dnsmasq".into()), "dnsmasq-base");
        let option = conf_file(&config);
        let daemon = Daemon::new("dnsmasq", program, vec![option.clone()], option);
        Ok(Self { server, hosts: spec.hosts, head, folder, file: ConfirmedFile::new(&config), daemon, writes })
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// If processes cannot be listed.
    pub fn is_running(&self) -> DeviceResult<bool> {
        self.daemon.is_running().map_err(|error| self.failed("failed to look for", error.into()))
    }

    /// Makes it run with this configuration and the records that it has: adopts it, starts it, or starts it again.
    ///
    /// # Errors
    /// If it refuses the configuration (then an earlier one goes on running) or does not start.
    pub async fn ensure_running(&self) -> DeviceResult<()> {
        let failed = |error| self.failed("failed to start", error);
        let _lock = lock(&self.folder).await.map_err(|error| failed(error.into()))?;
        let records = self.file.text().map_err(|error| failed(error.into()))?;
        let records = self.parse(&records).map_err(failed)?;
        self.use_records(&records, Proof::Answers).await.map_err(failed)
    }

    /// Ends it. Records stay.
    ///
    /// # Errors
    /// If it cannot be ended.
    pub async fn stop(&self) -> DeviceResult<()> {
        let failed = |error| self.failed("failed to stop", error);
        if !self.is_running()? {
            return Ok(());
        }
        let _lock = lock(&self.folder).await.map_err(|error| failed(error.into()))?;
        self.writes.record(DRIVER, self.server.to_string(), format!("stop {}", self.daemon.command()));
        self.daemon.stop().await.map_err(|error| failed(error.into()))
    }

    /// What it would be started with if it had these records and no others.
    ///
    /// # Errors
    /// A record that it cannot have.
    pub fn config_text(&self, wanted: &[DnsRecord]) -> DeviceResult<String> {
        let mut records = Records::new();
        for record in wanted {
            self.admit(&mut records, record).map_err(|error| self.failed(&of_setting(record), error))?;
        }
        Ok(records::render(&self.head, &records))
    }

    fn parse(&self, text: &str) -> Result<Records, DnsmasqDnsError> {
        let path = self.file.path().to_owned();
        records::parse(text).map_err(|source| DnsmasqDnsError::Text { path, source })
    }

    /// The records that it is known to have.
    fn read(&self) -> Result<Records, DnsmasqDnsError> {
        self.parse(&self.file.confirmed()?)
    }

    fn refuse_foreign(&self, name: &DnsName) -> Result<(), DnsmasqDnsError> {
        for path in &self.hosts {
            if records::hosts_file_has(path, name).map_err(DaemonError::file(path))? {
                return Err(DnsmasqDnsError::Foreign { name: name.clone(), path: path.clone() });
            }
        }
        Ok(())
    }

    /// Adds a record, or puts it in the place of the one of its name.
    fn admit(&self, records: &mut Records, record: &DnsRecord) -> Result<(), DnsmasqDnsError> {
        if record.reverse && record.name.is_wildcard() {
            return Err(DnsmasqDnsError::ReverseWildcard);
        }
        self.refuse_foreign(&record.name)?;
        records.insert(record.name.clone(), record.clone());
        Ok(())
    }

    async fn set(&self, record: &DnsRecord) -> Result<(), DnsmasqDnsError> {
        let _lock = lock(&self.folder).await?;
        let mut records = self.read()?;
        self.admit(&mut records, record)?;
        self.use_records(&records, Proof::Record(record)).await
    }

    async fn remove(&self, name: &DnsName) -> Result<(), DnsmasqDnsError> {
        let _lock = lock(&self.folder).await?;
        let mut records = self.read()?;
        if records.remove(name).is_none() && !self.file.is_pending() {
            return Ok(());
        }
        self.use_records(&records, Proof::Answers).await
    }

    /// Has it run with these records, and no others.
    async fn use_records(&self, records: &Records, proof: Proof<'_>) -> Result<(), DnsmasqDnsError> {
        let text = records::render(&self.head, records);
        let is_written = self.file.text()? == text;
        if is_written && !self.file.is_pending() && self.daemon.find()?.len() == 1 {
            return Ok(());
        }
        if !is_written {
            let fresh = self.file.propose(&text)?;
            let judged = self.daemon.test(vec!["--test".to_owned(), conf_file(fresh)]).await;
            judged.inspect_err(|_| self.file.withdraw())?;
            self.writes.record(DRIVER, self.server.to_string(), format!("write {}", self.file.path().display()));
            self.file.adopt()?;
        }
        let error = match self.restart(&proof).await {
            Ok(()) => return Ok(self.file.confirm()?),
            Err(error) => error,
        };
        // One that never ran has nothing to go back to; started with no configuration, it would serve everybody.
        if self.file.is_pending() && !self.file.confirmed()?.is_empty() {
            self.writes.record(DRIVER, self.server.to_string(), format!("put back {}", self.file.path().display()));
            self.file.put_back()?;
            // What matters to a person is the first failure; what was not confirmed is tried again by the next run.
            if self.restart(&Proof::Answers).await.is_ok() {
                self.file.confirm()?;
            }
        }
        Err(error)
    }

    async fn restart(&self, proof: &Proof<'_>) -> Result<(), DnsmasqDnsError> {
        self.writes.record(DRIVER, self.server.to_string(), format!("start {}", self.daemon.command()));
        self.daemon.stop().await?;
        self.daemon.start().await?;
        let deadline = tokio::time::Instant::now() + ANSWER_TIMEOUT;
        loop {
            let seen = match self.look(proof).await {
                Ok(None) => return Ok(()),
                Ok(Some(seen)) => seen,
                Err(error) => chain(&error),
            };
            if tokio::time::Instant::now() >= deadline {
                return Err(DnsmasqDnsError::Answers { seen });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What is not as it should be, if anything.
    async fn look(&self, proof: &Proof<'_>) -> Result<Option<String>, AskError> {
        let Proof::Record(record) = proof else {
            return client::is_answering(self.server).await.map(|()| None);
        };
        let addresses = client::resolve(self.server, &record.name).await?;
        if addresses != [record.address] {
            return Ok(Some(format!("`{}` has {addresses:?}", record.name)));
        }
        let names = client::resolve_back(self.server, record.address).await?;
        let leads_back = names.contains(&record.name);
        Ok((leads_back != record.reverse).then(|| format!("{} leads back to {names:?}", record.address)))
    }

    fn failed(&self, what: &str, error: DnsmasqDnsError) -> DeviceError {
        let (kind, hint) = match &error {
            DnsmasqDnsError::Daemon(cause) if cause.stderr().contains("Address already in use") => (
                FailureKind::Conflict,
                Some(
                    "another DNS server listens there: end it, or choose other addresses in [dns] `listen`".to_owned(),
                ),
            ),
            DnsmasqDnsError::Daemon(cause) => (cause.kind(), cause.hint()),
            DnsmasqDnsError::Text { path, .. } => (
                FailureKind::Invalid,
                Some(format!("undo that change, or move {} away: it is written anew", path.display())),
            ),
            DnsmasqDnsError::Foreign { path, .. } => (
                FailureKind::Conflict,
                Some(format!("remove the name from {}, or leave it to whoever keeps that file", path.display())),
            ),
            DnsmasqDnsError::ReverseWildcard => {
                (FailureKind::Invalid, Some("ask for the wildcard without the way back".to_owned()))
            }
            DnsmasqDnsError::Answers { .. } => (
                FailureKind::Rejected,
                Some(format!("the earlier file was put back; look into {}", self.folder.join("dnsmasq.log").display())),
            ),
        };
        let failed = DeviceError::new(kind, format!("{what} the DNS server dnsmasq on {}", self.server)).because(error);
        if let Some(hint) = hint { failed.hint(hint) } else { failed }
    }

    fn not_answered(&self, what: &str, error: AskError) -> DeviceError {
        let failed = DeviceError::new(error.kind(), format!("failed to look {what} up")).because(error);
        failed.hint("Harmony starts its DNS server at the next `apply`; see whether something blocks the way to it")
    }
}

/// What is done when a record is set, for messages.
fn of_setting(record: &DnsRecord) -> String {
    format!("failed to set `{}` to {} in", record.name, record.address)
}

fn conf_file(path: &Path) -> String {
    format!("--conf-file={}", path.display())
}

#[async_trait]
impl DnsServer for DnsmasqDns {
    async fn dns_records(&self) -> DeviceResult<Vec<DnsRecord>> {
        let records = self.read().map_err(|error| self.failed("failed to read the records of", error))?;
        Ok(records.into_values().collect())
    }

    async fn set_dns_record(&self, record: &DnsRecord) -> DeviceResult<()> {
        self.set(record).await.map_err(|error| self.failed(&of_setting(record), error))
    }

    async fn remove_dns_record(&self, name: &DnsName) -> DeviceResult<()> {
        self.remove(name).await.map_err(|error| self.failed(&format!("failed to remove `{name}` from"), error))
    }

    async fn resolve(&self, name: &DnsName) -> DeviceResult<Vec<IpAddr>> {
        client::resolve(self.server, name).await.map_err(|error| self.not_answered(&format!("`{name}`"), error))
    }

    async fn resolve_back(&self, address: IpAddr) -> DeviceResult<Vec<DnsName>> {
        let names = client::resolve_back(self.server, address).await;
        names.map_err(|error| self.not_answered(&address.to_string(), error))
    }

    fn dns_record_text(&self, record: &DnsRecord) -> (String, String) {
        (self.file.path().display().to_string(), records::lines(record))
    }
}
