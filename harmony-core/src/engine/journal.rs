//! Numbers a run's events, makes them durable, then sends them to whoever watches.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::capability::PortStatus;
use crate::clock::SharedClock;
use crate::event::{Event, EventBus, Outcome, Record};
use crate::net::PortRef;
use crate::store::{RunId, SharedStore, StoreResult};

/// How often the inventory is looked at for hosts that changed.
const HOST_INTERVAL: std::time::Duration = std::time::Duration::from_millis(500);

/// The journal of one run. What it has told is in the store before anybody acts on it.
pub struct Journal {
    store: SharedStore,
    clock: SharedClock,
    bus: EventBus,
    run: RunId,
    seq: Mutex<u64>,
    ports: Mutex<BTreeMap<PortRef, PortStatus>>,
}

impl Journal {
    /// Begins a run.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn begin(store: &SharedStore, clock: &SharedClock, bus: &EventBus, program: &str) -> StoreResult<Self> {
        let run = store.begin_run(program, clock.now()).await?;
        Ok(Self {
            store: store.clone(),
            clock: clock.clone(),
            bus: bus.clone(),
            run,
            seq: Mutex::new(0),
            ports: Mutex::default(),
        })
    }

    /// The run's number.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Journals an event, then sends it.
    ///
    /// # Errors
    /// If the store cannot be written; then nothing was sent.
    pub async fn tell(&self, event: Event) -> StoreResult<()> {
        let mut seq = self.seq.lock().await;
        let record = Record { seq: *seq + 1, at: self.clock.now(), event };
        self.store.append(self.run, &record).await?;
        *seq = record.seq;
        self.bus.send(record);
        Ok(())
    }

    /// Tells of ports that differ from what was last told of them.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn saw_ports(&self, ports: &[PortStatus]) -> StoreResult<()> {
        let mut known = self.ports.lock().await;
        let changed: Vec<PortStatus> =
            ports.iter().filter(|status| known.get(&status.port) != Some(status)).cloned().collect();
        if changed.is_empty() {
            return Ok(());
        }
        known.extend(changed.iter().map(|status| (status.port.clone(), status.clone())));
        self.tell(Event::PortsRead { ports: changed }).await
    }

    /// Tells of hosts as they change and are forgotten; once the run is `over`, of what changed until then.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn watch_hosts(&self, over: &CancellationToken) -> StoreResult<()> {
        let (mut revision, mut told) = (0, BTreeSet::new());
        loop {
            let is_last = over.is_cancelled();
            let changes = self.store.hosts_changed_since(revision).await?;
            revision = changes.revision;
            for host in changes.hosts {
                told.insert(host.id.clone());
                self.tell(Event::HostChanged { host: Box::new(host) }).await?;
            }
            for host in changes.forgotten {
                // Those forgotten before this run are no news.
                if told.remove(&host) {
                    self.tell(Event::HostForgotten { host }).await?;
                }
            }
            if is_last {
                return Ok(());
            }
            let _ = tokio::time::timeout(HOST_INTERVAL, over.cancelled()).await;
        }
    }

    /// Ends the run.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn end(&self, outcome: &Outcome) -> StoreResult<()> {
        let word = match outcome {
            Outcome::Converged => "converged",
            Outcome::Stopped => "stopped",
            Outcome::PlanDone { .. } => "plan done",
            Outcome::Failed { .. } => "failed",
        };
        self.store.end_run(self.run, word, self.clock.now()).await
    }
}
