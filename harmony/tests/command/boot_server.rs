//! The boot server of a run in a process of its own: it outlives a killed run, is adopted by the next,
//! and ends with the last that ends in order.
//!
//! A run is this test program started once more ([`run_of_the_tests`]); its boot server is `harmony boot-server`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harmony_core::capability::Topology as _;
use harmony_core::clock::SystemClock;
use harmony_core::error::chain;
use harmony_inventory::Inventory;
use harmony_topologies::site::{SiteFile, SiteTopology};
use tempfile::TempDir;

/// Names the site file to the process that is the run.
const RUN: &str = "HARMONY_TEST_RUN";
/// More than the buffers of a connection hold.
const IMAGE_BYTES: usize = 64 << 20;

/// A site on loopback whose DHCP server is nobody's business.
struct Site {
    folder: TempDir,
    address: SocketAddr,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        let site = Self { folder, address: free };
        std::fs::create_dir(site.path("assets")).expect("made");
        std::fs::write(site.path("assets/image"), vec![7; IMAGE_BYTES]).expect("written");
        std::fs::write(site.path("agent"), "no program").expect("written");
        site.write("console=ttyS0");
        site
    }

    fn write(&self, live_args: &str) {
        let text = format!(
            r#"
[site]
name = "test"
state = "state"
[network]
cidr = "127.0.0.0/24"
address = "127.0.0.1"
vlan = 10
pool = ["127.0.0.100", "127.0.0.199"]
hosts = ["127.0.0.11", "127.0.0.99"]
[dhcp]
driver = "program"
[boot]
listen = "{}"
tftp_root = "assets"
assets = "assets"
agent = "agent"
live = "initramfs"
live_kernel = "/os/vmlinuz"
live_initrd = "/os/initrd.img"
live_args = "{live_args}"
install_kernel = "/os/vmlinuz"
install_initrd = "/os/initrd.img"
install_image = "/os/image"
[ssh]
key_file = "ssh/key"
"#,
            self.address
        );
        std::fs::write(self.path("site.toml"), text).expect("written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What tells the server apart from any other; absent if nobody listens.
    fn instance(&self) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.lines().last()?.strip_prefix("ok ").map(str::to_owned)
    }

    fn is_gone(&self) {
        until("the boot server to end", || TcpStream::connect(self.address).is_err());
    }

    fn run(&self) -> Result<Run, String> {
        Run::start(&self.path("site.toml"))
    }

    fn serve(&self) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harmony"));
        command.arg("--site").arg(self.path("site.toml")).arg("serve").stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("starts");
        until("harmony serve to listen", || {
            let record = std::fs::read_to_string(self.path("state/boot-server.json")).unwrap_or_default();
            record.contains(&format!("\"pid\":{},", child.id())) && self.instance().is_some()
        });
        child
    }
}

impl Drop for Site {
    /// A test that failed leaves no process behind.
    fn drop(&mut self) {
        let record = std::fs::read_to_string(self.path("state/boot-server.json")).unwrap_or_default();
        let pid = record.split("\"pid\":").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok());
        if let Some(pid) = pid.filter(|_| self.instance().is_some()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A run that has its boot server, and waits.
struct Run {
    process: Child,
    stdin: Option<ChildStdin>,
    /// Kept open, for what the run prints at its end.
    _stdout: BufReader<ChildStdout>,
}

impl Run {
    fn start(site: &Path) -> Result<Self, String> {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["boot_server::run_of_the_tests", "--exact", "--nocapture"]).env(RUN, site);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let stdin = process.stdin.take();
        let mut stdout = BufReader::new(process.stdout.take().expect("piped"));
        let mut line = String::new();
        while stdout.read_line(&mut line).expect("text") > 0 {
            match line.trim_end().split_once("the run ") {
                Some((_, "is ready")) => return Ok(Self { process, stdin, _stdout: stdout }),
                Some((_, error)) => {
                    let error = error.to_owned();
                    drop(stdout);
                    let _ = process.wait();
                    return Err(error);
                }
                None => line.clear(),
            }
        }
        panic!("the run said nothing: {:?}", process.wait());
    }

    fn kill(mut self) {
        self.process.kill().expect("runs");
        let _ = self.process.wait();
    }

    fn end(mut self) {
        drop(self.stdin.take());
        assert!(self.process.wait().expect("ends").success());
    }
}

/// What [`Run`] starts; for whoever runs the tests it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn run_of_the_tests() {
    let Some(path) = std::env::var_os(RUN).map(PathBuf::from) else { return };
    let file = SiteFile::read(&path).expect("a site");
    let database = file.site.state.join("harmony.db");
    let inventory = Inventory::open(&database.to_string_lossy()).await.expect("opens");
    let state = file.site.state.clone();
    let site = SiteTopology::new(file, Arc::new(inventory), Arc::new(SystemClock)).expect("a site");
    let site = site.with_boot_server_apart(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harmony"));
        command.arg("boot-server").env("HARMONY_BOOT_SERVER", &state).env("HARMONY_SITE", &path);
        command
    });
    match site.prepare().await {
        Ok(()) => {
            site.prepare().await.expect("again");
            println!("the run is ready");
            let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await;
        }
        Err(error) => println!("the run {} hint: {}", chain(&error), error.hint_text().unwrap_or_default()),
    }
}

#[test]
fn a_killed_run_leaves_its_boot_server_and_a_host_its_image() {
    let site = Site::new();
    let first = site.run().expect("starts");
    let instance = site.instance().expect("serves");
    let mut host = TcpStream::connect(site.address).expect("connects");
    write!(host, "GET /os/image HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("asked");
    let mut received = vec![0; 4096];
    host.read_exact(&mut received).expect("the beginning");
    first.kill();
    let second = site.run().expect("adopts");
    assert_eq!(site.instance().as_ref(), Some(&instance), "the same server");
    host.read_to_end(&mut received).expect("the rest");
    assert!(received.len() > IMAGE_BYTES, "{} bytes", received.len());
    second.end();
    site.is_gone();
}

#[test]
fn the_last_run_that_ends_in_order_ends_the_boot_server() {
    let site = Site::new();
    let (first, second) = (site.run().expect("starts"), site.run().expect("adopts"));
    let instance = site.instance();
    first.end();
    assert_eq!(site.instance(), instance, "the other run uses it");
    second.end();
    site.is_gone();
}

#[test]
fn other_settings_need_another_server() {
    let site = Site::new();
    let first = site.run().expect("starts");
    let instance = site.instance();
    site.write("quiet");
    let error = site.run().err().expect("the first run would be served by settings that it does not know");
    assert!(error.contains("another run uses it") && error.contains("hint: let that run end"), "{error}");
    first.kill();
    let second = site.run().expect("replaces");
    assert!(site.instance().is_some() && site.instance() != instance);
    second.end();
    site.is_gone();
}

#[test]
fn a_server_that_a_person_started_is_used_and_not_stopped() {
    let site = Site::new();
    site.run().expect("starts").kill();
    let left = site.instance();
    let mut serve = site.serve();
    let instance = site.instance();
    assert_ne!(instance, left, "what a killed run left made room");
    site.run().expect("adopts").end();
    assert_eq!(site.instance(), instance, "it is not the run's to stop");
    site.write("quiet");
    let error = site.run().err().expect("old settings");
    assert!(error.contains("other settings") && error.contains("harmony serve"), "{error}");
    serve.kill().expect("runs");
    let _ = serve.wait();
}

#[test]
fn a_stranger_at_its_address_is_an_error_and_left_alone() {
    let site = Site::new();
    let listener = TcpListener::bind(site.address).expect("free");
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut asked = [0; 1024];
            let _ = client.read(&mut asked);
            let _ = client
                .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok 9b2f0a51-0000-4000-8000-000000000000\n");
        }
    });
    let error = site.run().err().expect("refused");
    assert!(error.contains(&site.address.to_string()) && error.contains("something else answers"), "{error}");
    let mut serve = Command::new(env!("CARGO_BIN_EXE_harmony"));
    let output = serve.arg("--site").arg(site.path("site.toml")).arg("serve").output().expect("starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("in use") && told.contains("hint: "), "{told}");
}

#[test]
fn a_boot_server_that_cannot_serve_says_why() {
    let site = Site::new();
    std::fs::remove_file(site.path("agent")).expect("there");
    let error = site.run().err().expect("no agent");
    assert!(error.contains("failed to read the inventory agent") && error.contains("boot-server.log"), "{error}");
    assert_eq!(site.instance(), None);
}
