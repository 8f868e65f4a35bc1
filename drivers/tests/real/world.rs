//! What the tests stand on: programs that must be installed, network namespaces, waiting.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What keeps tests with real parts from running here: programs, each with its Debian package, or rights.
pub(crate) fn missing(programs: &[(&str, &str)]) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = || path.split(':').chain(["/usr/sbin", "/sbin"]);
    let missing: Vec<_> = programs
        .iter()
        .filter(|(program, _)| !folders().any(|folder| Path::new(folder).join(program).exists()))
        .collect();
    let programs: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        let (programs, packages) = (programs.join(", "), packages.join(" "));
        return Some(format!("it needs the programs {programs}; install them: apt-get install {packages}"));
    }
    (!nix::unistd::geteuid().is_root()).then(|| "it makes network namespaces and must run as root".to_owned())
}

/// Fails unless this is root and the programs are there.
pub(crate) fn require(programs: &[(&str, &str)]) {
    let missing = missing(programs);
    assert!(missing.is_none(), "this test cannot run: {}", missing.unwrap_or_default());
}

/// Runs a program to its end and fails unless it succeeds.
pub(crate) fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {}: {stderr}", args.join(" "), output.status);
    output
}

/// Waits until something is so; fails with `what` after ten seconds.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// A network namespace with loopback up, gone when dropped.
pub(crate) struct Namespace(String);

impl Namespace {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("hd-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        run("ip", &["netns", "add", &name]);
        let namespace = Self(name);
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// `ip` inside.
    pub(crate) fn ip(&self, args: &[&str]) {
        run("ip", &[&["-n", &self.0], args].concat());
    }

    /// A program inside, to its end.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Output {
        run("ip", &[&["netns", "exec", &self.0, program], args].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Ends the daemon that wrote this pid file, and waits until it is gone.
pub(crate) fn end_daemon(pid_file: &Path) {
    let Some(pid) = std::fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse().ok()) else { return };
    let pid = Pid::from_raw(pid);
    let _ = kill(pid, Signal::SIGTERM);
    let deadline = Instant::now() + Duration::from_secs(5);
    while kill(pid, None).is_ok() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let _ = kill(pid, Signal::SIGKILL);
}

/// A free TCP and UDP port of 127.0.0.1, as far as that can be told.
pub(crate) fn free_port() -> u16 {
    loop {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        let port = tcp.local_addr().expect("bound").port();
        if std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
