//! A store whose calls take no time in the world.
//!
//! A store on SQLite answers from a thread of its own. To a runtime whose time is paused that looks like
//! idleness, so that time would jump to the next timer; and which of two tasks goes on first would depend on the
//! machine. This wrapper blocks the whole runtime until the store has answered: time stands still,
//! and a run can be repeated exactly. The store has a runtime of its own, so that its timers and
//! tasks go on meanwhile. For simulations only.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use harmony_core::boot::{BootEvent, BootToken, Order, OrderId, OrderState};
use harmony_core::capability::BootEntry;
use harmony_core::event::Record;
use harmony_core::host::{Assignment, BmcId, Host, HostId, Lifecycle, LifecycleEvent, PortWitnesses};
use harmony_core::net::MacAddress;
use harmony_core::store::{
    Document, HostChanges, LifecycleEntry, OneShot, RunId, RunRow, SharedStore, Sighting, Store, StoreResult,
    StoredReport,
};
use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};
use tokio::task::coop::unconstrained;

/// A store for a world with paused time.
pub struct StillStore {
    inner: SharedStore,
    /// Always there until it is dropped.
    runtime: Option<Runtime>,
    on_append: Mutex<Option<OnAppend>>,
    known: Mutex<Known>,
}

/// What was read since something was last written, the journal apart. Most of a run is waiting, and whoever waits reads the
/// same again every second.
#[derive(Default)]
struct Known {
    changes: BTreeMap<i64, HostChanges>,
    order: BTreeMap<OrderId, Option<Order>>,
    orders: BTreeMap<(), Vec<Order>>,
    events: BTreeMap<(HostId, Option<Timestamp>), Vec<BootEvent>>,
}

/// Where the writing of a journal entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Append {
    /// Nothing of it is written.
    Before,
    /// It is durable, and the run does not know yet.
    After,
}

/// What a test does at a journal entry, such as to end the run there by unwinding.
pub type OnAppend = Box<dyn FnMut(&Record, Append) + Send>;

impl StillStore {
    /// Opens a store on a runtime of its own: `StillStore::open(Inventory::open("sqlite::memory:"))`.
    ///
    /// # Errors
    /// Those of the opening.
    ///
    /// # Panics
    /// If the operating system gives no thread.
    pub fn open<S: Store + 'static, E>(opening: impl Future<Output = Result<S, E>>) -> Result<Arc<Self>, E> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        #[expect(clippy::expect_used, reason = "a simulation without threads cannot begin")]
        let runtime = runtime.expect("the operating system gives a thread");
        let inner = {
            let _entered = runtime.enter();
            futures::executor::block_on(unconstrained(opening))?
        };
        Ok(Arc::new(Self {
            inner: Arc::new(inner),
            runtime: Some(runtime),
            on_append: Mutex::default(),
            known: Mutex::default(),
        }))
    }

    /// Calls `act` right before and right after each journal entry is made durable, in place of what
    /// was called so far.
    pub fn on_append(&self, act: Option<OnAppend>) {
        *self.on_append.lock().unwrap_or_else(PoisonError::into_inner) = act;
    }

    fn appending(&self, record: &Record, moment: Append) {
        if let Some(act) = self.on_append.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            act(record, moment);
        }
    }

    /// Waits for the store while nothing else happens. A task's budget of polls does not count here:
    /// it would only be renewed after the wait.
    fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        let _entered = self.runtime.as_ref().map(Runtime::enter);
        futures::executor::block_on(unconstrained(call))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write: what was read before may be so no more. Also where it failed: nobody knows how far it came.
    fn change<T>(&self, call: impl Future<Output = T>) -> T {
        let done = self.wait(call);
        *self.known() = Known::default();
        done
    }

    /// A read that is repeated often.
    fn recall<K: Ord, V: Clone>(
        &self,
        among: fn(&mut Known) -> &mut BTreeMap<K, V>,
        key: K,
        read: impl Future<Output = StoreResult<V>>,
    ) -> StoreResult<V> {
        // Held until it is kept: a write meanwhile, by another thread, forgets it after that.
        let mut known = self.known();
        let known = among(&mut known);
        if let Some(found) = known.get(&key) {
            return Ok(found.clone());
        }
        let found = self.wait(read)?;
        known.insert(key, found.clone());
        Ok(found)
    }
}

impl Drop for StillStore {
    fn drop(&mut self) {
        // Dropping a runtime inside another one is not allowed to wait for its threads.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[async_trait]
impl Store for StillStore {
    async fn hosts(&self) -> StoreResult<Vec<Host>> {
        self.wait(self.inner.hosts())
    }

    async fn hosts_changed_since(&self, revision: i64) -> StoreResult<HostChanges> {
        self.recall(|known| &mut known.changes, revision, self.inner.hosts_changed_since(revision))
    }

    async fn host(&self, id: &HostId) -> StoreResult<Option<Host>> {
        self.wait(self.inner.host(id))
    }

    async fn host_by_mac(&self, mac: MacAddress) -> StoreResult<Option<Host>> {
        self.wait(self.inner.host_by_mac(mac))
    }

    async fn record_sighting(&self, sighting: &Sighting) -> StoreResult<HostId> {
        self.change(self.inner.record_sighting(sighting))
    }

    async fn unread_announcements(&self) -> StoreResult<Vec<(HostId, SocketAddr)>> {
        self.wait(self.inner.unread_announcements())
    }

    async fn record_report(&self, address: IpAddr, body: &str, at: Timestamp) -> StoreResult<HostId> {
        self.change(self.inner.record_report(address, body, at))
    }

    async fn reports(&self, host: &HostId) -> StoreResult<Vec<StoredReport>> {
        self.wait(self.inner.reports(host))
    }

    async fn set_port_witnesses(&self, host: &HostId, nic: MacAddress, port: &PortWitnesses) -> StoreResult<()> {
        self.change(self.inner.set_port_witnesses(host, nic, port))
    }

    async fn set_bmc(&self, host: &HostId, bmc: &BmcId) -> StoreResult<()> {
        self.change(self.inner.set_bmc(host, bmc))
    }

    async fn assign(&self, host: &HostId, assignment: &Assignment, at: Timestamp) -> StoreResult<()> {
        self.change(self.inner.assign(host, assignment, at))
    }

    async fn unassign(&self, host: &HostId, note: &str, at: Timestamp) -> StoreResult<Lifecycle> {
        self.change(self.inner.unassign(host, note, at))
    }

    async fn forget(&self, host: &HostId) -> StoreResult<()> {
        self.change(self.inner.forget(host))
    }

    async fn lifecycle(
        &self,
        host: &HostId,
        event: LifecycleEvent,
        note: &str,
        at: Timestamp,
    ) -> StoreResult<Lifecycle> {
        self.change(self.inner.lifecycle(host, event, note, at))
    }

    async fn history(&self, host: &HostId) -> StoreResult<Vec<LifecycleEntry>> {
        self.wait(self.inner.history(host))
    }

    async fn create_order(&self, order: &Order, token: &BootToken) -> StoreResult<()> {
        self.change(self.inner.create_order(order, token))
    }

    async fn orders(&self) -> StoreResult<Vec<Order>> {
        self.recall(|known| &mut known.orders, (), self.inner.orders())
    }

    async fn latest_order(&self, host: &HostId) -> StoreResult<Option<Order>> {
        self.wait(self.inner.latest_order(host))
    }

    async fn order(&self, id: &OrderId) -> StoreResult<Option<Order>> {
        self.recall(|known| &mut known.order, id.clone(), self.inner.order(id))
    }

    async fn order_token(&self, id: &OrderId) -> StoreResult<Option<BootToken>> {
        self.wait(self.inner.order_token(id))
    }

    async fn advance_order(
        &self,
        id: &OrderId,
        from: OrderState,
        to: OrderState,
        failure: Option<&str>,
    ) -> StoreResult<()> {
        self.change(self.inner.advance_order(id, from, to, failure))
    }

    async fn reissue_order(&self, id: &OrderId, token: &BootToken, expires_at: Timestamp) -> StoreResult<()> {
        self.change(self.inner.reissue_order(id, token, expires_at))
    }

    async fn redeem_token(&self, id: &OrderId, token: &BootToken, now: Timestamp) -> StoreResult<()> {
        self.change(self.inner.redeem_token(id, token, now))
    }

    async fn put_document(&self, document: &Document) -> StoreResult<()> {
        self.change(self.inner.put_document(document))
    }

    async fn document(&self, hash: &str) -> StoreResult<Option<Document>> {
        self.wait(self.inner.document(hash))
    }

    async fn boot_entries(&self) -> StoreResult<Vec<BootEntry>> {
        self.wait(self.inner.boot_entries())
    }

    async fn boot_entry(&self, host: &HostId) -> StoreResult<Option<BootEntry>> {
        self.wait(self.inner.boot_entry(host))
    }

    async fn set_boot_entry(&self, entry: &BootEntry) -> StoreResult<()> {
        self.change(self.inner.set_boot_entry(entry))
    }

    async fn remove_boot_entry(&self, host: &HostId) -> StoreResult<()> {
        self.change(self.inner.remove_boot_entry(host))
    }

    async fn add_boot_event(&self, event: &BootEvent) -> StoreResult<()> {
        self.change(self.inner.add_boot_event(event))
    }

    async fn boot_events(&self, host: &HostId, since: Option<Timestamp>) -> StoreResult<Vec<BootEvent>> {
        self.recall(|known| &mut known.events, (host.clone(), since), self.inner.boot_events(host, since))
    }

    async fn failed_installations(&self, since: Timestamp) -> StoreResult<BTreeSet<HostId>> {
        self.wait(self.inner.failed_installations(since))
    }

    async fn latest_boot_events(&self, limit: u32) -> StoreResult<Vec<BootEvent>> {
        self.wait(self.inner.latest_boot_events(limit))
    }

    async fn begin_run(&self, program: &str, at: Timestamp) -> StoreResult<RunId> {
        self.change(self.inner.begin_run(program, at))
    }

    async fn end_run(&self, run: RunId, outcome: &str, at: Timestamp) -> StoreResult<()> {
        self.change(self.inner.end_run(run, outcome, at))
    }

    async fn runs(&self) -> StoreResult<Vec<RunRow>> {
        self.wait(self.inner.runs())
    }

    async fn append(&self, run: RunId, record: &Record) -> StoreResult<()> {
        self.appending(record, Append::Before);
        self.wait(self.inner.append(run, record))?;
        self.appending(record, Append::After);
        Ok(())
    }

    async fn journal(&self, run: RunId) -> StoreResult<Vec<Record>> {
        self.wait(self.inner.journal(run))
    }

    async fn one_shot(&self, key: &str) -> StoreResult<OneShot> {
        self.wait(self.inner.one_shot(key))
    }

    async fn one_shots(&self, keys: &[String]) -> StoreResult<BTreeMap<String, OneShot>> {
        self.wait(self.inner.one_shots(keys))
    }

    async fn mark_one_shot(&self, key: &str, done: bool, at: Timestamp) -> StoreResult<()> {
        self.change(self.inner.mark_one_shot(key, done, at))
    }
}
