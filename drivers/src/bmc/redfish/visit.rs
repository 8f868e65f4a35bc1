//! What is done at a BMC between login and logout.

use harmony_core::capability::{PowerAction, PowerState};
use harmony_core::error::FailureKind;
use harmony_core::net::MacAddress;
use reqwest::StatusCode;
use serde_json::json;
use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::boot::{BootError, Override, Request};
use super::error::RedfishError;
use super::power::{self, Reset};
use super::quirks::Quirks;
use super::resource::{ActionInfo, Boot, EthernetInterface, ResourcePath, ServiceRoot, System};
use super::session::Session;
use super::spec::RedfishSpec;
use super::task;
use crate::transport::PinFileError;
use crate::transport::tls::{Fingerprint, Trust};

/// Most systems that are named where one must be chosen.
const MAX_CHOICES: usize = 16;

/// What was found at a BMC, and stays so.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) system: ResourcePath,
    pub(super) quirks: Quirks,
}

/// A visit to a BMC.
pub(super) struct Visit<'a> {
    pub(super) session: Session,
    /// There once the visit has begun.
    pub(super) found: Option<Found>,
    /// Where to leave it for the next visit.
    pub(super) turn: MutexGuard<'a, Option<Found>>,
}

impl Visit<'_> {
    /// Reads the service root, pins the certificate, logs in, finds the system.
    pub(super) async fn begin(
        &mut self,
        spec: &RedfishSpec,
        pin: impl FnOnce(Fingerprint) -> Result<Fingerprint, PinFileError>,
    ) -> Result<(), RedfishError> {
        let root = ResourcePath::root();
        // The root is for everybody; some want a login even for that, and get one once they are pinned.
        let first = self.session.read::<ServiceRoot>(&root).await;
        let is_closed = matches!(&first, Err(error) if error.status() == Some(StatusCode::UNAUTHORIZED));
        let verifier = self.session.client().verifier();
        if let (Trust::FirstSight, Some(shown), true) = (verifier.trust(), verifier.seen(), first.is_ok() || is_closed)
        {
            let pinned = pin(shown)?;
            if pinned != shown {
                return Err(RedfishError::CertificateChanged { pinned, shown });
            }
        }
        let service = if is_closed {
            self.session.use_basic();
            self.session.read::<ServiceRoot>(&root).await?.0
        } else {
            first?.0
        };
        self.session.set_quirks(Quirks::of(&service, None));
        self.session.login(service.sessions()).await?;
        let found = match self.turn.take() {
            Some(found) => found,
            None => self.find(&service, spec.system.as_deref()).await?,
        };
        self.session.set_quirks(found.quirks);
        self.found = Some(found);
        Ok(())
    }

    /// The one system, or the one that is wanted.
    async fn find(&mut self, root: &ServiceRoot, wanted: Option<&str>) -> Result<Found, RedfishError> {
        let systems = root.systems.as_ref().ok_or(RedfishError::NoSystem)?;
        let members = self.session.members(&systems.path).await?;
        let choices = || {
            let ids: Vec<_> = members.iter().take(MAX_CHOICES).map(ResourcePath::last_segment).collect();
            ids.join(", ")
        };
        let system = match (members.as_slice(), wanted) {
            ([], _) => return Err(RedfishError::NoSystem),
            (members, Some(wanted)) => {
                let found = members.iter().find(|member| member.last_segment() == wanted);
                let unknown = || RedfishError::UnknownSystem { wanted: wanted.to_owned(), choices: choices() };
                found.ok_or_else(unknown)?.clone()
            }
            ([system], None) => system.clone(),
            (_, None) => return Err(RedfishError::SeveralSystems { choices: choices() }),
        };
        let (first, _): (System, _) = self.session.read(&system).await?;
        Ok(Found { quirks: Quirks::of(root, first.manufacturer.as_deref()), system })
    }

    /// What a visit that has begun has found.
    fn found(&self) -> Result<Found, RedfishError> {
        self.found.clone().ok_or(RedfishError::NoSystem)
    }

    async fn system(&mut self) -> Result<(System, Option<String>), RedfishError> {
        let path = self.found()?.system;
        self.session.read(&path).await
    }

    pub(super) async fn power_state(&mut self) -> Result<PowerState, RedfishError> {
        Ok(power::state(self.system().await?.0.power_state.as_deref()))
    }

    /// Its byte order differs by vendor. Nothing where the BMC tells none, or a placeholder.
    pub(super) async fn uuid(&mut self) -> Result<Option<Uuid>, RedfishError> {
        let uuid = self.system().await?.0.uuid.and_then(|text| text.trim().parse::<Uuid>().ok());
        Ok(uuid.filter(|uuid| !uuid.is_nil() && !uuid.is_max()))
    }

    pub(super) async fn nic_macs(&mut self) -> Result<Vec<MacAddress>, RedfishError> {
        let (Found { quirks, .. }, (system, _)) = (self.found()?, self.system().await?);
        let Some(nics) = system.ethernet_interfaces else { return Ok(Vec::new()) };
        let mut macs = Vec::new();
        for path in self.session.members(&nics.path).await? {
            let (nic, _): (EthernetInterface, _) = self.session.read(&path).await?;
            if !quirks.is_host_to_bmc(&nic) {
                let mac = nic.permanent_mac.as_deref().into_iter().chain(nic.mac.as_deref());
                let mut macs_of_it = mac.filter_map(|text| text.trim().parse::<MacAddress>().ok());
                macs.extend(macs_of_it.find(|mac| *mac != MacAddress::new([0; 6])));
            }
        }
        macs.sort_unstable();
        macs.dedup();
        Ok(macs)
    }

    pub(super) async fn power(&mut self, action: PowerAction) -> Result<(), RedfishError> {
        let (quirks, patience) = (self.found()?.quirks, self.session.patience());
        let (mut system, mut started) = (self.system().await?.0, Instant::now());
        while power::is_changing(&power::state(system.power_state.as_deref())) && started.elapsed() < patience.follow {
            sleep(patience.pause).await;
            system = self.system().await?.0;
        }
        let path = self.found()?.system;
        let action_at = system.reset().ok_or(RedfishError::NoReset { path })?;
        let target = action_at.target.clone();
        let allowed = match (&action_at.allowed, action_at.info.clone()) {
            (None, Some(info)) => self.session.read::<ActionInfo>(&info).await?.0.allowed("ResetType"),
            (allowed, _) => allowed.clone(),
        };
        let state = power::state(system.power_state.as_deref());
        let Some(reset) = power::choose(action, &state, allowed.as_deref())? else { return Ok(()) };
        started = Instant::now();
        let refused = match self.session.post(&target, &json!({ "ResetType": reset.kind })).await {
            Ok(answer) => {
                task::wait(&mut self.session, &answer, quirks).await?;
                None
            }
            // Whether it was done can be seen, unless it is a restart.
            Err(error) if reset.is_absolute() => Some(error),
            Err(error) => return Err(error),
        };
        self.follow_power(&reset, refused, started).await
    }

    /// Waits until the power is as the reset makes it. After a refusal it is looked at once: it may have
    /// been so already. After a lost answer the reset may have been done.
    async fn follow_power(
        &mut self,
        reset: &Reset,
        refused: Option<RedfishError>,
        started: Instant,
    ) -> Result<(), RedfishError> {
        let patience = self.session.patience();
        let is_final =
            refused.as_ref().is_some_and(|error| error.kind(self.session.quirks()) != FailureKind::Unreachable);
        loop {
            // A BMC may be silent for a while after it has switched.
            let seen = match self.power_state().await {
                Ok(state) if state == reset.leads_to => return Ok(()),
                Ok(state) => RedfishError::PowerDidNotFollow { state, after: patience.follow },
                Err(error) if !error.kind(self.session.quirks()).is_retryable() => return Err(error),
                Err(error) => error,
            };
            if is_final || started.elapsed() >= patience.follow {
                return Err(refused.unwrap_or(seen));
            }
            sleep(patience.pause).await;
        }
    }

    /// Sets the override and reads it back.
    pub(super) async fn set_next_boot(&mut self, request: &Request<'_>) -> Result<(), RedfishError> {
        let (Found { system: path, quirks }, patience) = (self.found()?, self.session.patience());
        let mut lost = None;
        let mut is_second = false;
        let wanted = loop {
            let (system, tag) = self.system().await?;
            let boot = system.boot.as_ref().ok_or(BootError::Absent)?;
            let settings = self.settings(&system).await?;
            let pending = settings.as_ref().map(|(_, boot, _)| boot);
            let wanted = Override::choose(request, boot, pending, quirks)?;
            let changes = wanted.changes(boot, pending, quirks);
            if changes == super::boot::Changes::default() {
                return Ok(());
            }
            let mut outcome = Ok(());
            if let (Some(body), Some((path, _, tag))) = (&changes.settings, &settings) {
                outcome = self.send(path, body, tag.as_deref(), is_second, quirks).await;
            }
            if let (Ok(()), Some(body)) = (&outcome, &changes.system) {
                outcome = self.send(&path, body, tag.as_deref(), is_second, quirks).await;
            }
            match outcome {
                Ok(()) => break wanted,
                // Somebody else has changed it in between, or the tag has two forms: once more, on what is there now.
                Err(error) if error.status() == Some(StatusCode::PRECONDITION_FAILED) && !is_second => is_second = true,
                Err(error) if error.kind(Some(quirks)) == FailureKind::Unreachable => {
                    lost = Some(error);
                    break wanted;
                }
                Err(error) => return Err(error),
            }
        };
        let (started, mut pause) = (Instant::now(), patience.pause);
        loop {
            let (system, _) = self.system().await?;
            let settings = self.settings(&system).await?;
            let boot = system.boot.unwrap_or_default();
            let Some(shown) = wanted.differs(&boot, settings.as_ref().map(|(_, boot, _)| boot)) else { return Ok(()) };
            if started.elapsed() + pause > patience.read {
                return Err(lost.unwrap_or(BootError::Ignored(shown).into()));
            }
            sleep(pause).await;
            pause = (pause * 2).min(patience.longest_pause);
        }
    }

    async fn send(
        &mut self,
        path: &ResourcePath,
        body: &serde_json::Value,
        tag: Option<&str>,
        verbatim: bool,
        quirks: Quirks,
    ) -> Result<(), RedfishError> {
        let answer = self.session.patch(path, body, tag, verbatim).await?;
        task::wait(&mut self.session, &answer, quirks).await
    }

    /// The settings resource, its `Boot` and its entity tag, where the system has one with a `Boot`.
    async fn settings(
        &mut self,
        system: &System,
    ) -> Result<Option<(ResourcePath, Boot, Option<String>)>, RedfishError> {
        let Some(path) = system.settings().cloned() else { return Ok(None) };
        match self.session.read::<System>(&path).await {
            Ok((settings, tag)) => Ok(settings.boot.map(|boot| (path, boot, tag))),
            // Announced and not there: then everything goes to the system.
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
