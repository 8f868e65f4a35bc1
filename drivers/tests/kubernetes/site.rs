//! A simulated cluster on loopback, the files that an installer would have written for it, and the driver.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use harmony_core::capability::CsrState;
use harmony_core::cluster::{ClusterName, NodeKind};
use harmony_core::secret::Secret;
use harmony_drivers::WriteLog;
use harmony_drivers::cluster::kubernetes::{ApiAddress, ClusterFiles, Kubernetes, KubernetesSpec};
use harmony_sim::Speed;
use harmony_sim::cluster::{ClusterSpec, ClusterState, ClusterTiming, Kubelet, Server};
use harmony_sim::wire::https::Certificate;
use harmony_sim::wire::kubernetes::{
    KeyPairPem, KubernetesApi, OwnCluster, serve_api, serve_machine_config, serving_certificate,
};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The token that the API takes beside certificates.
pub(crate) const TOKEN: &str = "sha256~a-token-that-nobody-may-see";
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(crate) fn name() -> ClusterName {
    "ocp4".parse().expect("a name")
}

pub(crate) fn fqdn(host: &str) -> String {
    format!("{host}.ocp4.example.com")
}

/// An authority, and what it signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
        Self(issuer.expect("an authority"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn server(&self, name: &str) -> Certificate {
        serving_certificate(&[self.pair(CertificateParams::new(vec![name.to_owned()]).expect("a name"))])
            .expect("a certificate")
    }

    /// A client's certificate, which is good until this year.
    pub(crate) fn client(&self, user: &str, group: &str, year: i32) -> KeyPairPem {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.distinguished_name.push(DnType::CommonName, user);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        self.pair(params)
    }

    fn pair(&self, params: CertificateParams) -> KeyPairPem {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        KeyPairPem { certificates: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A user of a kubeconfig.
pub(crate) enum User {
    Certificate(KeyPairPem),
    Token(&'static str),
}

/// A kubeconfig as the installer writes it.
pub(crate) fn kubeconfig(authority: &Authority, user: &User) -> String {
    let data = |pem: &str| BASE64_STANDARD.encode(pem);
    let user = match user {
        User::Certificate(pair) => {
            json!({"client-certificate-data": data(&pair.certificates), "client-key-data": data(&pair.key)})
        }
        User::Token(token) => json!({"token": token}),
    };
    // JSON is YAML too.
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "admin",
        "clusters": [{"name": "ocp4", "cluster": {
            "server": "https://api.ocp4.example.com:6443", "certificate-authority-data": data(&authority.pem())}}],
        "contexts": [{"name": "admin", "context": {"cluster": "ocp4", "user": "admin"}}],
        "users": [{"name": "admin", "user": user}],
    })
    .to_string()
}

/// The folder of an installer's files.
pub(crate) struct Files {
    folder: TempDir,
}

impl Files {
    pub(crate) fn new(authority: &Authority, user: &User) -> Self {
        let files = Self { folder: TempDir::new().expect("a folder") };
        files.set_kubeconfig(&kubeconfig(authority, user));
        files
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    pub(crate) fn set_kubeconfig(&self, text: &str) {
        std::fs::write(self.kubeconfig(), text).expect("written");
    }

    /// The pointer of a machine config server that this authority has signed.
    pub(crate) fn pointer(&self, authority: &Authority) -> PathBuf {
        let source = format!("data:text/plain;charset=utf-8;base64,{}", BASE64_STANDARD.encode(authority.pem()));
        let pointer = json!({"ignition": {
            "config": {"merge": [{"source": "https://api-int.ocp4.example.com:22623/config/master"}]},
            "security": {"tls": {"certificateAuthorities": [{"source": source}]}}, "version": "3.2.0"}});
        let path = self.folder.path().join("master.ign");
        std::fs::write(&path, pointer.to_string()).expect("written");
        path
    }
}

/// A driver for what answers at this address.
pub(crate) fn driver(kubeconfig: &Path, pointer: Option<&Path>, spec: KubernetesSpec, writes: &WriteLog) -> Kubernetes {
    let files = ClusterFiles { kubeconfig: kubeconfig.to_owned(), pointer: pointer.map(Path::to_owned) };
    Kubernetes::new(spec, Arc::new(move |_| Ok(files.clone())), writes.clone())
}

pub(crate) fn spec(api: SocketAddr) -> KubernetesSpec {
    let api_address = Some(ApiAddress { address: api.ip(), port: Some(api.port()) });
    KubernetesSpec { api_address, answer_timeout_s: 5, connect_timeout_s: 2, ..KubernetesSpec::default() }
}

/// A cluster of three masters.
pub(crate) struct Site {
    pub(crate) cluster: Arc<OwnCluster>,
    pub(crate) api: Arc<KubernetesApi>,
    pub(crate) authority: Authority,
    pub(crate) files: Files,
    pub(crate) writes: WriteLog,
    millis: Arc<AtomicU64>,
    stop: CancellationToken,
    _until: DropGuard,
}

impl Site {
    /// Nothing runs yet.
    pub(crate) fn new() -> Self {
        let spec = ClusterSpec {
            name: name(),
            base_domain: "example.com".parse().expect("a domain"),
            masters: 3,
            seed: 3,
            epoch: Timestamp::from_second(1_700_000_000).expect("an hour"),
            speed: Speed::ONE,
            timing: ClusterTiming::default(),
        };
        let millis = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&millis);
        let clock = move || Duration::from_millis(clock.load(Ordering::SeqCst));
        let cluster = Arc::new(OwnCluster::new(ClusterState::new(spec), clock));
        let authority = Authority::new("kube-apiserver-lb-signer");
        let access: Arc<OwnCluster> = Arc::clone(&cluster);
        let api = KubernetesApi::new(access, &authority.pem(), vec![Secret::new(TOKEN)]).expect("an API");
        let admin = User::Certificate(authority.client("system:admin", "system:masters", 2060));
        let files = Files::new(&authority, &admin);
        let stop = CancellationToken::new();
        let until = stop.clone().drop_guard();
        Self { cluster, api, authority, files, writes: WriteLog::default(), millis, stop, _until: until }
    }

    /// The API of one machine on the wire; where.
    pub(crate) async fn serve(&self, server: Server) -> SocketAddr {
        let listener = TcpListener::bind((LOOPBACK, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let certificate = self.authority.server("api.ocp4.example.com");
        tokio::spawn(serve_api(Arc::clone(&self.api), server, listener, certificate, self.stop.clone()));
        address
    }

    /// The machine config server of one machine on the wire; where.
    pub(crate) async fn serve_config(&self, server: Server, certificate: Certificate) -> SocketAddr {
        let listener = TcpListener::bind((LOOPBACK, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let access: Arc<OwnCluster> = Arc::clone(&self.cluster);
        tokio::spawn(serve_machine_config(access, server, listener, certificate, self.stop.clone()));
        address
    }

    /// The driver, in front of what answers at this address.
    pub(crate) fn driver(&self, api: SocketAddr) -> Kubernetes {
        driver(&self.files.kubeconfig(), None, spec(api), &self.writes)
    }

    pub(crate) fn now(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }

    /// Lets time pass, change by change, until this holds.
    pub(crate) fn until(&self, holds: impl Fn(&mut ClusterState, Duration) -> bool) {
        for _ in 0..1000 {
            let next =
                self.cluster.ask(|state, now| if holds(state, now) { None } else { Some(state.next_change(now)) });
            let Some(next) = next else { return };
            let next = next.expect("something is under way");
            // Whole milliseconds, upwards: it has happened then.
            self.millis.store(u64::try_from(next.as_nanos().div_ceil(1_000_000)).expect("soon"), Ordering::SeqCst);
        }
        panic!("it never holds");
    }

    pub(crate) fn joins(&self, host: &str, kind: NodeKind, last: u8) {
        let addresses = vec![IpAddr::from([10, 0, 0, last])];
        let kubelet = Kubelet { fqdn: fqdn(host), kind, addresses, has_order: true };
        self.cluster.ask(|state, now| state.kubelet(now, kubelet));
    }

    /// Up to a bootstrap that answers.
    pub(crate) fn bootstrap(&self) {
        self.cluster.ask(ClusterState::bootstrap_started);
        self.until(ClusterState::api_is_up);
    }

    /// Up to three masters, and no bootstrap any more.
    pub(crate) fn control_plane(&self) {
        self.bootstrap();
        for last in 0..3 {
            self.joins(&format!("master-{last}"), NodeKind::Master, 10 + last);
        }
        self.until(ClusterState::bootstrap_is_complete);
        self.cluster.ask(ClusterState::bootstrap_stopped);
    }

    /// Until so many requests wait to be decided.
    pub(crate) fn until_pending(&self, count: usize) {
        self.until(|state, now| {
            let requests = state.certificate_requests(now);
            requests.iter().filter(|request| request.state == CsrState::Pending).count() == count
        });
    }
}
