//! HAProxy on loopback addresses of the test's own, with servers behind it that say their name.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use harmony_core::capability::{Balance, HealthCheck, LbServer, LbService, LoadBalancer, ServerState};
use harmony_drivers::WriteLog;
use harmony_drivers::load_balancer::haproxy::{Haproxy, HaproxySpec};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::dnsmasq::script;
use crate::world::{end_daemon, free_port, require, run, until};

/// Programs that it needs, each with its Debian package.
pub(crate) const NEEDS: [(&str, &str); 1] = [("haproxy", "haproxy")];

/// An address of the loopback network that no other test has.
fn own_address() -> IpAddr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, low, COUNT.fetch_add(1, Ordering::Relaxed)).into()
}

/// A server: on `port` it says its name and then repeats what it is told, on `check_port` it says over HTTP whether
/// it is well.
pub(crate) struct Server {
    name: &'static str,
    address: IpAddr,
    well: Arc<AtomicBool>,
    /// Looks that it answered since it last changed.
    pub(crate) looks: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Server {
    pub(crate) fn set_well(&self, well: bool) {
        self.well.store(well, Ordering::SeqCst);
        self.looks.store(0, Ordering::SeqCst);
    }

    pub(crate) fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    /// How the service names it.
    pub(crate) fn entry(&self, site: &Site) -> LbServer {
        let address = SocketAddr::new(self.address, site.port);
        LbServer { name: self.name.parse().expect("a name"), address, backup: self.name == "bootstrap" }
    }
}

/// HAProxy, the ports of its servers, and its folder.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) writes: WriteLog,
    pub(crate) address: IpAddr,
    /// Where servers answer.
    pub(crate) port: u16,
    /// Where servers say whether they are well.
    pub(crate) check_port: u16,
}

impl Site {
    pub(crate) fn new() -> Self {
        require(&NEEDS);
        let (folder, writes) = (tempfile::tempdir().expect("folder"), WriteLog::default());
        Self { folder, writes, address: own_address(), port: free_port(), check_port: free_port() }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A HAProxy that Harmony owns.
    pub(crate) fn owned(&self) -> Haproxy {
        self.owned_by("haproxy".into())
    }

    pub(crate) fn owned_by(&self, program: PathBuf) -> Haproxy {
        let spec = HaproxySpec { run: true, program: Some(program), ..HaproxySpec::default() };
        Haproxy::new(spec, &self.file("lb"), self.writes.clone()).expect("valid")
    }

    /// Starts one that is somebody else's, with these files.
    pub(crate) fn start_foreign(&self, files: &[&str]) {
        let (pid, socket) = (self.file("haproxy.pid"), self.file("admin.sock"));
        let stats = format!("global\n    stats socket {} mode 600 level admin expose-fd listeners\n", socket.display());
        // What Debian's file says, and a service of its owner's.
        let defaults =
            "defaults\n    mode http\n    timeout connect 5s\n    timeout client 50s\n    timeout server 50s\n";
        let own = format!("listen intranet\n    bind {}\n    http-request return status 200\n", self.listen(7));
        std::fs::write(self.file("haproxy.cfg"), format!("{stats}{defaults}{own}")).expect("written");
        std::fs::write(self.file("harmony.cfg"), "").expect("written");
        let files: Vec<String> = files.iter().map(|name| self.file(name).display().to_string()).collect();
        let mut args = vec!["-W", "-D", "-p"];
        let pid_file = pid.display().to_string();
        args.push(&pid_file);
        files.iter().for_each(|file| args.extend(["-f", file]));
        run("haproxy", &args);
        script(&self.file("reload"), &format!("#!/bin/sh\nkill -USR2 $(cat {pid_file})"));
    }

    /// The driver for that.
    pub(crate) fn foreign(&self) -> Haproxy {
        let spec = HaproxySpec {
            config: Some(self.file("harmony.cfg")),
            main_config: vec![self.file("haproxy.cfg")],
            socket: Some(self.file("admin.sock")),
            reload: vec![self.file("reload").display().to_string()],
            ..HaproxySpec::default()
        };
        Haproxy::new(spec, &self.file("lb"), self.writes.clone()).expect("valid")
    }

    /// The n-th address to listen on.
    pub(crate) fn listen(&self, n: u8) -> SocketAddr {
        SocketAddr::new(self.address, self.port + u16::from(n))
    }

    /// The n-th service, whose servers say over HTTP whether they are well.
    pub(crate) fn service(&self, name: &str, n: u8, servers: &[&Server]) -> LbService {
        LbService {
            name: name.parse().expect("a name"),
            listen: vec![self.listen(n)],
            balance: Balance::RoundRobin,
            check: HealthCheck::Http { path: "/healthz/ready".to_owned(), port: self.check_port },
            interval_s: 1,
            servers: servers.iter().map(|server| server.entry(self)).collect(),
        }
    }

    /// Starts a server that is well; `tls` where its only port speaks TLS, and is looked at there.
    pub(crate) async fn server(&self, name: &'static str, tls: Option<tokio_rustls::TlsAcceptor>) -> Server {
        let (well, looks) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let address = own_address();
        let mut server = Server { name, address, well: well.clone(), looks: looks.clone(), tasks: Vec::new() };
        if tls.is_none() {
            let listener = TcpListener::bind((address, self.port)).await.expect("free");
            server.tasks.push(tokio::spawn(serve(listener, move |stream| repeat(stream, name))));
        }
        let port = if tls.is_some() { self.port } else { self.check_port };
        let listener = TcpListener::bind((address, port)).await.expect("free");
        server.tasks.push(tokio::spawn(serve(listener, move |stream| {
            let (tls, well, looks) = (tls.clone(), well.clone(), looks.clone());
            async move {
                match tls {
                    Some(tls) => answer(tls.accept(stream).await.ok()?, &well, &looks).await,
                    None => answer(stream, &well, &looks).await,
                }
            }
        })));
        server
    }

    /// Connects through a service, and reads who is there.
    pub(crate) async fn connect(&self, n: u8) -> std::io::Result<(BufReader<TcpStream>, String)> {
        let mut stream = BufReader::new(TcpStream::connect(self.listen(n)).await?);
        let mut name = String::new();
        stream.read_line(&mut name).await?;
        Ok((stream, name.trim_end().to_owned()))
    }

    /// Waits until a server is as given.
    pub(crate) async fn until_is(&self, haproxy: &impl LoadBalancer, server: &str, state: &ServerState) {
        until(&format!("{server} {state}"), async || {
            let health = haproxy.server_health().await.expect("read");
            health.iter().any(|row| row.server.as_str() == server && row.state == *state).then_some(())
        })
        .await;
    }

    pub(crate) fn writes(&self) -> Vec<String> {
        let folder = self.folder.path().display().to_string();
        self.writes.entries().into_iter().map(|write| write.command.replace(&folder, "")).collect()
    }
}

/// Whether what was said on a connection comes back.
pub(crate) async fn is_alive(stream: &mut BufReader<TcpStream>) -> bool {
    let mut line = String::new();
    stream.get_mut().write_all(b"still there?\n").await.is_ok()
        && stream.read_line(&mut line).await.is_ok()
        && line == "still there?\n"
}

async fn serve<F: Future<Output = Option<()>> + Send + 'static>(
    listener: TcpListener,
    each: impl Fn(TcpStream) -> F + Send,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(each(stream));
    }
}

async fn repeat(mut stream: TcpStream, name: &'static str) -> Option<()> {
    stream.write_all(format!("{name}\n").as_bytes()).await.ok()?;
    let (mut read, mut write) = stream.split();
    tokio::io::copy(&mut read, &mut write).await.ok().map(drop)
}

async fn answer(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    well: &AtomicBool,
    looks: &AtomicUsize,
) -> Option<()> {
    let mut request = [0; 1024];
    let length = stream.read(&mut request).await.ok()?;
    let is_asked =
        request[..length].starts_with(b"GET /readyz ") || request[..length].starts_with(b"GET /healthz/ready ");
    let status = if is_asked && well.load(Ordering::SeqCst) { "200 OK" } else { "500 Not Well" };
    let answer = format!("HTTP/1.0 {status}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.ok()?;
    looks.fetch_add(1, Ordering::SeqCst);
    stream.shutdown().await.ok()
}

/// TLS with a certificate that nobody has signed.
pub(crate) fn tls() -> tokio_rustls::TlsAcceptor {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["master-0".to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("they match");
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

impl Drop for Site {
    fn drop(&mut self) {
        end_daemon(&self.file("haproxy.pid"));
        let haproxy = self.owned();
        let stopping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
            runtime.block_on(haproxy.stop())
        });
        let _ = stopping.join();
    }
}
