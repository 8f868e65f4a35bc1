//! A virtual rack for tests: made by the `harmony` command, used through programs, taken down at the end.
//!
//! Black box on purpose: what is tested is what a person runs. `cargo xtask test` builds the
//! programs and says in `HARMONY_BIN_DIR` where they are.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A program of this project.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("HARMONY_BIN_DIR").expect("HARMONY_BIN_DIR is not set: run `cargo xtask test`");
    let path = PathBuf::from(folder).join(name);
    assert!(path.exists(), "{} is not built: run `cargo xtask test`", path.display());
    path
}

/// What a command printed, with its exit code.
#[must_use]
pub fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"))
}

/// Standard output of a command that must succeed.
#[must_use]
pub fn succeed(command: &mut Command) -> String {
    let output = output(command);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// Standard error of a command that must fail.
#[must_use]
pub fn fail(command: &mut Command) -> String {
    let output = output(command);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{command:?} succeeded\n{}", String::from_utf8_lossy(&output.stdout));
    err
}

/// Waits until something is so.
///
/// # Panics
/// If it is not so within the limit.
pub fn until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < limit, "waited {} s for {what}", limit.as_secs());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A rack that stays until it is dropped.
pub struct Rack {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its network namespace.
    pub namespace: String,
    /// What runs its machines.
    pub accelerator: String,
}

impl Rack {
    /// Starts a rack of three machines, which are off.
    #[must_use]
    pub fn up() -> Self {
        Self::up_with(&[])
    }

    /// Starts a rack with these arguments of `harmony lab up`.
    #[must_use]
    pub fn up_with(args: &[&str]) -> Self {
        let text = succeed(Command::new(program("harmony")).args(["--json", "lab", "up"]).args(args));
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let field = |name: &str| value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {text}")).to_owned();
        let folder = field("folder").into();
        Self { name: field("name"), folder, namespace: field("namespace"), accelerator: field("accelerator") }
    }

    /// A command inside the rack's network.
    #[must_use]
    pub fn inside(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program.as_ref());
        command.env("HARMONY_LAB_INSIDE", &self.folder).env("HARMONY_SITE", self.folder.join("site.toml"));
        command
    }

    /// The user's program, inside the rack's network.
    #[must_use]
    pub fn virtual_rack(&self) -> Command {
        self.inside(program("virtual_rack"))
    }

    /// The `harmony` command, inside the rack's network.
    #[must_use]
    pub fn harmony(&self, args: &[&str]) -> Command {
        let mut command = self.inside(program("harmony"));
        command.args(args);
        command
    }

    /// `ovs-vsctl` on the rack's switch.
    #[must_use]
    pub fn vsctl(&self, args: &[&str]) -> String {
        let db = format!("--db=unix:{}", self.folder.join("ovs/db.sock").display());
        succeed(Command::new("ovs-vsctl").arg(db).args(args))
    }

    /// `ovs-appctl` on the rack's switch.
    #[must_use]
    pub fn appctl(&self, args: &[&str]) -> String {
        succeed(Command::new("ovs-appctl").arg("-t").arg(self.folder.join("ovs/vswitchd.ctl")).args(args))
    }

    /// A BMC command.
    #[must_use]
    pub fn ipmi(&self, machine: &str, args: &[&str]) -> String {
        let site = std::fs::read_to_string(self.folder.join("site.toml")).expect("a site file");
        let section =
            site.split(&format!("[bmc.{machine}]")).nth(1).expect("a BMC").split("\n[").next().expect("a section");
        let value = |key: &str| {
            let line = section.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='));
            line.unwrap_or_else(|| panic!("no {key} in {section}")).trim().trim_matches('"').to_owned()
        };
        let password = std::fs::read_to_string(value("password_file")).expect("a password");
        let mut command = self.inside("ipmitool");
        command.args([
            "-I",
            "lanplus",
            "-C",
            "3",
            "-E",
            "-H",
            &value("address"),
            "-p",
            &value("port"),
            "-U",
            &value("user"),
        ]);
        succeed(command.args(args).env("IPMI_PASSWORD", password.trim()))
    }

    /// A command on an installed host.
    #[must_use]
    pub fn ssh(&self, address: &str, remote: &str) -> String {
        let site = std::fs::read_to_string(self.folder.join("site.toml")).expect("a site file");
        let key =
            site.lines().find_map(|line| line.strip_prefix("key_file = ")).expect("a key").trim_matches('"').to_owned();
        let options = [
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
        ];
        let mut command = self.inside("ssh");
        succeed(command.args(options).args(["-i", &key, &format!("core@{address}"), remote]))
    }

    /// JSON of a `harmony` command.
    #[must_use]
    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(args);
        serde_json::from_str(&succeed(&mut self.harmony(&all))).expect("JSON")
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        let _ = Command::new(program("harmony")).args(["lab", "down", &self.name]).status();
    }
}

/// Runs a program that prints events, until the test of a line says enough; then it is killed.
/// Returns what it printed, and whether it came to its own end before.
pub fn run_until(command: &mut Command, mut enough: impl FnMut(&Value) -> bool) -> (Vec<Value>, bool) {
    let mut child = Killed(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("starts"));
    let lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
    let mut events = Vec::new();
    for line in lines {
        let event: Value = serde_json::from_str(&line.expect("text")).expect("an event");
        let stop = enough(&event);
        events.push(event);
        if stop {
            return (events, false);
        }
    }
    let status = child.0.wait().expect("ends");
    assert!(status.success(), "ended with {status}: {:?}", events.last());
    (events, true)
}

/// A process that does not outlive the test.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A point of time in JSON, in seconds since 1970.
#[must_use]
pub fn seconds(at: &Value) -> f64 {
    let at: jiff::Timestamp = at.as_str().expect("a time").parse().expect("a time");
    at.as_duration().as_secs_f64()
}

/// Whether an event is of this kind, about a step whose key contains the text.
#[must_use]
pub fn is(event: &Value, kind: &str, step: &str) -> bool {
    event["event"] == kind && event["step"].as_str().is_some_and(|key| key.contains(step))
}
