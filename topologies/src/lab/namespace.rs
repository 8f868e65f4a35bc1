//! The network namespace in which a rack lives: its network cards, its processes, its end.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::LabError;
use super::process::{run, wait_until};

/// A named network namespace, as `ip netns` keeps it.
#[derive(Debug, Clone)]
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// Names one, whether it is there or not.
    pub(super) fn new(name: String) -> Self {
        Self { name }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it can be entered.
    pub(super) fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Makes it, with its loopback up.
    pub(super) fn create(&self) -> Result<(), LabError> {
        let doing = format!("make the network namespace `{}`", self.name);
        run(doing, Command::new("ip").args(["netns", "add", &self.name]))?;
        self.ip(&["link", "set", "lo", "up"])?;
        // Taps belong to the switch, but the kernel hears what arrives there too: without this it
        // answers ARP for the rack's address on every port.
        self.sysctl("net.ipv4.conf.all.arp_ignore", "1")
    }

    /// A program that runs inside. Only the network is another: files and processes are shared.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// Runs `ip` inside.
    pub(super) fn ip(&self, args: &[&str]) -> Result<(), LabError> {
        run(format!("set up the network of `{}`", self.name), self.command("ip").args(args)).map(|_| ())
    }

    /// Sets a kernel parameter of the network inside.
    pub(super) fn sysctl(&self, key: &str, value: &str) -> Result<(), LabError> {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        let doing = format!("set {key} in `{}`", self.name);
        run(doing, self.command("sh").args(["-c", "echo \"$2\" >\"$1\"", "sh", &path, value])).map(|_| ())
    }

    /// Every process inside, as `ip netns pids` finds them; empty if there is no such namespace.
    pub(super) fn processes(&self) -> BTreeSet<i32> {
        let identity = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        let Some(ours) = identity(&self.path()) else { return BTreeSet::new() };
        let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeSet::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| identity(Path::new(&format!("/proc/{pid}/ns/net"))) == Some(ours)).collect()
    }

    /// Ends every process inside, then the namespace with its network cards. Nothing to do is well done.
    pub(super) fn destroy(&self) -> Result<(), LabError> {
        let own = i32::try_from(std::process::id()).ok();
        if own.is_some_and(|own| self.processes().contains(&own)) {
            return Err(LabError::Inside(self.name.clone()));
        }
        for (signal, patience) in [(Signal::SIGTERM, 2), (Signal::SIGKILL, 5)] {
            // A process may have started another since the last look.
            let empty = wait_until(Duration::from_secs(patience), || {
                let pids = self.processes();
                for pid in &pids {
                    // Gone already is as good.
                    let _ = kill(Pid::from_raw(*pid), signal);
                }
                pids.is_empty()
            });
            if empty {
                break;
            }
        }
        let pids = self.processes();
        if !pids.is_empty() {
            return Err(LabError::Undead { name: self.name.clone(), pids: pids.into_iter().collect() });
        }
        if self.path().exists() {
            let doing = format!("remove the network namespace `{}`", self.name);
            run(doing, Command::new("ip").args(["netns", "del", &self.name]))?;
        }
        Ok(())
    }
}
