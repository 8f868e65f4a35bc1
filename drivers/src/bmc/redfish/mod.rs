//! BMCs that speak Redfish, by a small client of our own.
//!
//! Owns power, one-time boot and identity of one system behind one BMC. Each operation is a visit: the
//! certificate is compared with its pin, a session opened, the work done and read back, the session
//! closed. Does not know which host belongs to the BMC, nor when a restart is safe.
//!
//! Everything that a BMC says has limits: 1 MiB an answer, 256 members a collection, [`Patience`] for
//! time. Links lead to no other host.
//!
//! Read next: `visit` for what is done, `quirks` for what vendors do otherwise, `session` for what is
//! asked again, `boot` and `power` for what is sent.

mod boot;
mod client;
mod error;
mod power;
mod quirks;
mod resource;
mod session;
mod spec;
mod task;
mod visit;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use harmony_core::capability::{Bmc, BootDevice, PowerAction, PowerState};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::host::{BmcId, Firmware};
use harmony_core::net::MacAddress;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::WriteLog;
use crate::transport::tls::{CertificatePins, Trust};
use boot::Request;
use client::Client;
use error::RedfishError;
use quirks::Quirks;
pub use session::Patience;
use session::{Session, Visitor};
use spec::MAX_PASSWORD_BYTES;
pub use spec::{CertificateSource, NetworkBoot, RedfishSpec};
use visit::{Found, Visit};

/// Name of this driver in the site file and in the [`WriteLog`].
pub const DRIVER: &str = "redfish";

/// One BMC, or one system of a BMC that has several.
#[derive(Debug)]
pub struct Redfish {
    id: BmcId,
    spec: RedfishSpec,
    pins: CertificatePins,
    writes: WriteLog,
    patience: Patience,
    /// What was found at the last visit. One visit at a time: BMCs have few sessions.
    turn: Mutex<Option<Found>>,
}

impl Redfish {
    /// The BMC `id`. Nothing is contacted, no password is read yet. `state` is the folder of Harmony's
    /// own files; certificates are pinned in `certificates` there.
    #[must_use]
    pub fn new(id: BmcId, spec: RedfishSpec, state: &Path, writes: WriteLog) -> Self {
        let pins = CertificatePins::new(state.join("certificates"));
        Self { id, spec, pins, writes, patience: Patience::default(), turn: Mutex::default() }
    }

    /// The same with other limits of time.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// MACs of the system's NICs, as the BMC knows them, sorted. The NIC between host and BMC is left
    /// out; so are NICs that tell no MAC, as before the first start on some.
    ///
    /// # Errors
    /// If the BMC does not answer, or not so that it can be understood.
    pub async fn nic_macs(&self) -> DeviceResult<Vec<MacAddress>> {
        let operation = format!("failed to read the MACs from BMC `{}`", self.id);
        let mut visit = self.arrive(&operation).await?;
        let result = visit.nic_macs().await;
        self.leave(&operation, visit, result).await
    }

    fn known(&self, bmc: &BmcId) -> DeviceResult<()> {
        if *bmc == self.id {
            Ok(())
        } else {
            Err(DeviceError::new(FailureKind::Bug, format!("BMC `{bmc}` is not `{}`", self.id)))
        }
    }

    fn trust(&self) -> Result<Trust, RedfishError> {
        Ok(match &self.spec.certificate {
            CertificateSource::Sha256(fingerprint) => Trust::Pinned(*fingerprint),
            CertificateSource::FirstSight => self.pins.get(&self.pin_name())?.map_or(Trust::FirstSight, Trust::Pinned),
            CertificateSource::Authorities(path) => {
                let failed = |source| RedfishError::Authorities { path: path.clone(), source };
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.into()))? {
                    let certificate = certificate.map_err(|error| failed(error.into()))?;
                    roots.add(certificate).map_err(|error| failed(error.into()))?;
                }
                if roots.is_empty() {
                    return Err(failed("it holds no certificate".into()));
                }
                Trust::Authorities(Arc::new(roots))
            }
        })
    }

    fn pin_name(&self) -> String {
        format!("bmc/{}", self.id)
    }

    /// Connects, pins or compares the certificate, logs in, finds the system. Nothing secret is sent to
    /// a BMC whose certificate is not pinned.
    async fn arrive(&self, operation: &str) -> DeviceResult<Visit<'_>> {
        let turn = self.turn.lock().await;
        let quirks = turn.as_ref().map(|found| found.quirks);
        let failed = |error| self.failed(operation, error, quirks);
        let password = self.spec.password.read(MAX_PASSWORD_BYTES).map_err(|error| failed(error.into()))?;
        let trust = self.trust().map_err(failed)?;
        let client = Client::new(&self.spec.base_url(), trust, self.patience.request).map_err(failed)?;
        let visitor = Visitor {
            bmc: self.id.clone(),
            user: self.spec.user.clone(),
            password,
            patience: self.patience,
            writes: self.writes.clone(),
        };
        let mut visit = Visit { session: Session::new(client, visitor), found: None, turn };
        match visit.begin(&self.spec, |shown| self.pins.keep(&self.pin_name(), shown)).await {
            Ok(()) => Ok(visit),
            Err(error) => self.leave(operation, visit, Err(error)).await,
        }
    }

    /// Logs out, and says what became of the visit.
    async fn leave<T>(
        &self,
        operation: &str,
        mut visit: Visit<'_>,
        result: Result<T, RedfishError>,
    ) -> DeviceResult<T> {
        let quirks = visit.session.quirks();
        // What was found may be what was wrong.
        *visit.turn = visit.found.take().filter(|_| result.is_ok());
        visit.session.close().await;
        result.map_err(|error| self.failed(operation, error, quirks))
    }

    fn failed(&self, operation: &str, error: RedfishError, quirks: Option<Quirks>) -> DeviceError {
        let hint = error.hint(&self.id, &self.spec, self.pins.path());
        let failed = DeviceError::new(error.kind(quirks), operation).because(error);
        if let Some(hint) = hint { failed.hint(hint) } else { failed }
    }

    fn request(&self, device: BootDevice, firmware: Option<Firmware>) -> Request<'_> {
        Request { device, firmware, network_boot: self.spec.network_boot, uri: self.spec.http_boot_uri.as_deref() }
    }
}

#[async_trait]
impl Bmc for Redfish {
    fn bmcs(&self) -> Vec<BmcId> {
        vec![self.id.clone()]
    }

    async fn system_uuid(&self, bmc: &BmcId) -> DeviceResult<Option<Uuid>> {
        self.known(bmc)?;
        let operation = format!("failed to read the system UUID from BMC `{bmc}`");
        let mut visit = self.arrive(&operation).await?;
        let result = visit.uuid().await;
        self.leave(&operation, visit, result).await
    }

    async fn power_state(&self, bmc: &BmcId) -> DeviceResult<PowerState> {
        self.known(bmc)?;
        let operation = format!("failed to read the power state from BMC `{bmc}`");
        let mut visit = self.arrive(&operation).await?;
        let result = visit.power_state().await;
        self.leave(&operation, visit, result).await
    }

    async fn power(&self, bmc: &BmcId, action: PowerAction) -> DeviceResult<()> {
        self.known(bmc)?;
        let verb = match action {
            PowerAction::On => "switch on",
            PowerAction::Off => "switch off",
            PowerAction::Restart => "restart",
        };
        let operation = format!("failed to {verb} the machine of BMC `{bmc}`");
        let mut visit = self.arrive(&operation).await?;
        let result = visit.power(action).await;
        self.leave(&operation, visit, result).await
    }

    async fn set_next_boot(&self, bmc: &BmcId, device: BootDevice, firmware: Option<Firmware>) -> DeviceResult<()> {
        self.known(bmc)?;
        let operation = format!("failed to set the next boot device on BMC `{bmc}`");
        let mut visit = self.arrive(&operation).await?;
        let result = visit.set_next_boot(&self.request(device, firmware)).await;
        self.leave(&operation, visit, result).await
    }

    /// What would be sent to a BMC that has none of it set and offers the standard's own types.
    fn power_commands(
        &self,
        _: &BmcId,
        action: PowerAction,
        device: BootDevice,
        firmware: Option<Firmware>,
    ) -> Vec<String> {
        let system =
            format!("{}/redfish/v1/Systems/{}", self.spec.base_url(), self.spec.system.as_deref().unwrap_or("*"));
        let request = self.request(device, firmware);
        let (target, mode) = boot::usual(&request);
        let boot = boot::whole(target, mode, request.uri.filter(|_| target == "UefiHttp"));
        let (kind, remark) = match action {
            PowerAction::On => ("On", ""),
            PowerAction::Off => ("ForceOff", ""),
            PowerAction::Restart => ("ForceRestart", "  # On, if it is off"),
        };
        let reset = json!({ "ResetType": kind });
        vec![format!("PATCH {system} {boot}"), format!("POST {system}/Actions/ComputerSystem.Reset {reset}{remark}")]
    }
}
