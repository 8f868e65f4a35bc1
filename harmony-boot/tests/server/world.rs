//! A boot server on loopback, clients at several addresses of it, and a clock that tests set.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harmony_boot::{BootConfig, BootError, BootServer, TftpConfig};
use harmony_core::boot::{BootEventKind, BootToken, LinkPlan, Order, OrderId, OrderState};
use harmony_core::capability::{BootEntry, BootTarget};
use harmony_core::clock::Clock;
use harmony_core::host::{HostId, SystemIdentity};
use harmony_core::net::MacAddress;
use harmony_core::secret::Secret;
use harmony_core::store::{Document, PROGRESS_MARK, SharedStore, Sighting, TOKEN_MARK};
use harmony_inventory::Inventory;
use harmony_templates::LiveEnvironment;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Response, StatusCode};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const TOKEN: &str = "4f3c2b1a00112233445566778899aabb";
pub(crate) const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFhhcm1vbnlIYXJtb255SGFybW9ueQ operator@site";
/// Where the reserved address of the order is: it is loopback, too.
pub(crate) const RESERVED: u8 = 11;

pub(crate) struct TestClock(Mutex<Timestamp>);

impl TestClock {
    pub(crate) fn advance(&self, seconds: i64) {
        *self.0.lock().expect("not poisoned") += SignedDuration::from_secs(seconds);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("not poisoned")
    }
}

pub(crate) struct World {
    pub(crate) server: BootServer,
    pub(crate) store: SharedStore,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) folder: TempDir,
}

pub(crate) fn mac(last: u8) -> MacAddress {
    MacAddress::new([0x52, 0x54, 0, 0, 0, last])
}

/// The query of machine 1, 2, …: two MACs each.
pub(crate) fn query(machine: u8) -> String {
    let macs = [2 * machine, 2 * machine + 1].map(|last| format!("&mac={}", mac(last).hyphenated())).concat();
    format!("uuid=00000000-0000-4000-8000-0000000000{machine:02x}{macs}&serial=SN-{machine}")
}

pub(crate) fn config(folder: &TempDir) -> BootConfig {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("os")).expect("makes");
    std::fs::create_dir_all(path("tftp")).expect("makes");
    std::fs::write(path("agent"), b"\x7fELF agent").expect("writes");
    BootConfig {
        http: loopback,
        tftp: Some(TftpConfig { listen: loopback, root: path("tftp").into() }),
        base_url: None,
        assets: path("os").into(),
        agent: path("agent").into(),
        authorized_keys: format!("# who may\n{KEY}\n"),
        live: LiveEnvironment::Initramfs { kernel: "live/vmlinuz".into(), initrd: "live/initramfs".into() },
        live_args: vec!["console=ttyS0".into()],
        agent_token: None,
        private: None,
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await.expect("starts")
    }

    pub(crate) async fn with(change: impl FnOnce(&mut BootConfig)) -> Result<Self, BootError> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(&folder);
        change(&mut config);
        let store: SharedStore = Arc::new(Inventory::open("sqlite::memory:").await.expect("opens"));
        let start = "2026-01-01T00:00:00Z".parse().expect("a time");
        let clock = Arc::new(TestClock(Mutex::new(start)));
        let server = BootServer::start(config, store.clone(), clock.clone()).await?;
        Ok(Self { server, store, clock, folder })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.http_addr())
    }

    /// `GET` from 127.0.0.`from`.
    pub(crate) async fn get(&self, from: u8, path: &str) -> (StatusCode, String) {
        let response = self.send(from, reqwest::Method::GET, path).await;
        (response.status(), response.text().await.expect("a body"))
    }

    pub(crate) async fn send(&self, from: u8, method: reqwest::Method, path: &str) -> Response {
        client(from).request(method, self.url(path)).send().await.expect("an answer")
    }

    /// Sends bytes as they are, and reads until the server closes.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.server.http_addr()).await.expect("connects");
        stream.write_all(request.as_bytes()).await.expect("sends");
        let mut answer = Vec::new();
        // A reset after the answer is an end, too.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// All evidence, oldest first.
    pub(crate) async fn kinds(&self) -> Vec<BootEventKind> {
        let events = self.store.latest_boot_events(1000).await.expect("reads");
        events.into_iter().map(|event| event.kind).collect()
    }

    /// Waits until there is such evidence.
    pub(crate) async fn until(&self, wanted: &BootEventKind) {
        let seen = async {
            while !self.kinds().await.contains(wanted) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(20), seen).await.is_err() {
            panic!("{wanted:?} is not among {:?}", self.kinds().await);
        }
    }

    /// Registers machine 1 and orders its installation: script and answer file are set.
    pub(crate) async fn order(&self) -> Order {
        let order = self.order_without_entry().await;
        let answer_url = format!("/answer/{}/{}/{TOKEN_MARK}", order.id.host, order.id.number);
        let progress = format!("/progress/{}/{}/{PROGRESS_MARK}/", order.id.host, order.id.number);
        let script = Document::new("boot.ipxe", format!("#!ipxe\nkernel k a={answer_url} p={progress}\n"));
        let answer = Document::new("config.ign", "{\"ignition\":{\"version\":\"3.2.0\"}}\n");
        for document in [&script, &answer] {
            self.store.put_document(document).await.expect("stores");
        }
        let target =
            BootTarget::Install { order: order.id.clone(), script: script.hash, answer: answer.hash, base: None };
        let entry = BootEntry { host: order.id.host.clone(), macs: vec![mac(2), mac(3)], target };
        self.store.set_boot_entry(&entry).await.expect("stores");
        order
    }

    pub(crate) async fn order_without_entry(&self) -> Order {
        let host = self.machine(1).await;
        let now = self.clock.now();
        let order = Order {
            id: OrderId { host, number: 1 },
            role: "node-0".parse().expect("a role"),
            hostname: "node-0".parse().expect("a name"),
            address: loopback(RESERVED),
            disk_serial: "S".into(),
            disk_path: "/dev/vda".into(),
            link: LinkPlan::bond("bond0", mac(2), vec![]),
            issued_at: now,
            expires_at: now + SignedDuration::from_secs(600),
            attempt: 1,
            state: OrderState::Issued,
            failure: None,
        };
        self.store.create_order(&order, &BootToken(Secret::new(TOKEN))).await.expect("orders");
        order
    }

    /// Registers a machine, as [`query`] describes it.
    pub(crate) async fn machine(&self, machine: u8) -> HostId {
        let uuid = format!("00000000-0000-4000-8000-0000000000{machine:02x}").parse().expect("a UUID");
        let macs = [mac(2 * machine), mac(2 * machine + 1)];
        let identity = SystemIdentity::new(Some(uuid), Some(&format!("SN-{machine}")), macs);
        let sighting = Sighting { identity, address: None, agent_port: None, at: self.clock.now() };
        self.store.record_sighting(&sighting).await.expect("registers")
    }

    pub(crate) async fn state(&self, id: &OrderId) -> OrderState {
        self.store.order(id).await.expect("reads").expect("an order").state
    }
}

pub(crate) fn loopback(last: u8) -> IpAddr {
    [127, 0, 0, last].into()
}

/// A client at 127.0.0.`from`.
pub(crate) fn client(from: u8) -> reqwest::Client {
    // reqwest wants to know how TLS is spoken, even where it never is.
    let tls =
        rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()));
    let tls = tls.with_safe_default_protocol_versions().expect("ring has them");
    let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
    client.local_address(loopback(from)).build().expect("a client")
}

/// The URL path in a script that begins with this.
pub(crate) fn path_in(script: &str, beginning: &str) -> String {
    let start = script.find(beginning).unwrap_or_else(|| panic!("no {beginning} in {script}"));
    script[start..].split_whitespace().next().expect("a word").to_owned()
}
