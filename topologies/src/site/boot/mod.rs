//! The boot server of a site: in this process, or in one of its own that outlives who started it.
//!
//! A run may be killed while a host streams its image, which must not cost the host its
//! installation. So a run has its boot server started apart, and the next run adopts the one that it
//! finds (`docs/adr/0006-boot-server-outlives-its-run.md`).
//!
//! Read next: `apart`.

mod apart;

use std::process::Command;
use std::sync::Arc;

use harmony_boot::{AgentBinary, BootConfig, BootError, BootServer};
use harmony_core::clock::SharedClock;
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::store::SharedStore;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use apart::{Apart, Place, Record};

/// Makes the command that runs the boot server.
pub(super) type Launch = Arc<dyn Fn() -> Command + Send + Sync>;

/// The boot server as this process uses it.
pub(super) struct BootService {
    store: SharedStore,
    clock: SharedClock,
    place: Place,
    launch: Option<Launch>,
    running: Mutex<Running>,
}

enum Running {
    No,
    Here(BootServer),
    Apart(Apart),
}

impl BootService {
    /// One in this process.
    pub(super) fn new(file: &super::SiteFile, store: SharedStore, clock: SharedClock) -> Self {
        let place = Place::new(&file.site.state, file.boot_address());
        Self { store, clock, place, launch: None, running: Mutex::new(Running::No) }
    }

    /// From now on, one in a process of its own.
    pub(super) fn apart(&mut self, launch: Launch) {
        self.launch = Some(launch);
    }

    /// Starts or adopts it, unless it runs already.
    pub(super) async fn ensure_running(&self, config: BootConfig) -> DeviceResult<()> {
        let mut running = self.running.lock().await;
        let Some(launch) = &self.launch else {
            if !matches!(*running, Running::Here(_)) {
                *running = Running::Here(self.serve(config, false).await?);
            }
            return Ok(());
        };
        let before = std::mem::replace(&mut *running, Running::No);
        let (place, settings, command) = (self.place.clone(), fingerprint(&config), launch());
        let joined = blocking(move || match before {
            Running::Apart(apart) if apart.answers() => Ok(apart),
            _ => Apart::join(place, &settings, command),
        });
        *running = Running::Apart(joined.await?);
        Ok(())
    }

    /// Serves in this process until `stop`, for runs that find it.
    pub(super) async fn run(&self, config: BootConfig, stop: impl Future<Output = ()>) -> DeviceResult<()> {
        let server = self.serve(config, true).await?;
        stop.await;
        server.shutdown().await;
        Ok(())
    }

    /// Stops it, if no other run uses it.
    pub(super) async fn stop(&self) {
        match std::mem::replace(&mut *self.running.lock().await, Running::No) {
            Running::No => {}
            Running::Here(server) => server.shutdown().await,
            // Dropped on a thread that may block.
            Running::Apart(apart) => drop(tokio::task::spawn_blocking(move || drop(apart)).await),
        }
    }

    async fn serve(&self, config: BootConfig, apart: bool) -> DeviceResult<BootServer> {
        let (listen, settings) = (config.http, fingerprint(&config));
        let start = || BootServer::start(config.clone(), self.store.clone(), self.clock.clone());
        let mut started = start().await;
        let place = self.place.clone();
        // What a killed run has left makes room for who was asked for by a person.
        if matches!(started, Err(BootError::Listen { .. })) && !apart && blocking(move || place.stop_unused()).await? {
            started = start().await;
        }
        let server = started.map_err(|source| {
            DeviceError::new(FailureKind::Rejected, format!("failed to start the boot server on {listen}"))
                .because(source)
                .hint("is another harmony serving this site? its address is [boot] in the site file")
        })?;
        let record = Record { instance: server.instance(), pid: std::process::id(), settings, apart };
        self.place.write(&record)?;
        Ok(server)
    }
}

/// A fingerprint of everything that a boot server is told, so that a change of the site file or of
/// the agent is noticed. It is kept where only the owner reads: a secret is part of it.
fn fingerprint(config: &BootConfig) -> String {
    let agent = match &config.agent {
        AgentBinary::File(path) => std::fs::metadata(path).map(|agent| (agent.len(), agent.modified().ok())).ok(),
        AgentBinary::Memory(_) => None,
    };
    let token = config.agent_token.as_ref().map_or("", |token| token.expose());
    let text = format!("{}\n{config:?}\n{agent:?}\n{token}", env!("CARGO_PKG_VERSION"));
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> DeviceResult<T> + Send + 'static) -> DeviceResult<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(DeviceError::new(FailureKind::Bug, "failed to look after the boot server").because(error))
    })
}
