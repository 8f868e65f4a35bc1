//! OpenSSH's server, whose commands go through a forced one of ours.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harmony_drivers::WriteLog;
use harmony_drivers::host::ssh::{Ssh, SshSpec};

use crate::world::{free_port, require, run, until};

/// Programs that it needs, each with its Debian package.
pub(crate) const NEEDS: [(&str, &str); 2] = [("sshd", "openssh-server"), ("ssh-keygen", "openssh-client")];

/// `mode` says what becomes of a command; one that would restart this machine is never run.
const FORCED: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
printf '%s\n' "$SSH_ORIGINAL_COMMAND" >> commands
echo $PPID > connection
case "$(cat mode):$SSH_ORIGINAL_COMMAND" in
  drop:*) kill -9 $PPID ;;
  silence:*) kill -STOP $PPID ;;
  refuse:*) echo 'sudo: a password is required' >&2; exit 1 ;;
  accept:*|*reboot*) exit 0 ;;
  *) exec sh -c "$SSH_ORIGINAL_COMMAND" ;;
esac
"#;

pub(crate) struct Server {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) sshd: Child,
    pub(crate) writes: WriteLog,
}

impl Server {
    pub(crate) async fn new() -> Self {
        require(&NEEDS);
        // The server's package makes this only when its own service starts.
        std::fs::create_dir_all("/run/sshd").expect("root");
        let folder = tempfile::tempdir().expect("folder");
        let file = |name: &str| folder.path().join(name).display().to_string();
        run("sh", &["-c", "printf '%s' \"$1\" > \"$2\" && chmod +x \"$2\"", "sh", FORCED, &file("forced")]);
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &file("host_key")]);
        let port = free_port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nForceCommand {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n",
            file("host_key"),
            file("authorized_keys"),
            file("forced")
        );
        std::fs::write(file("sshd_config"), config).expect("written");
        std::fs::write(file("mode"), "run").expect("written");
        let sshd = Self::start(folder.path());
        let server = Self { folder, port, sshd, writes: WriteLog::default() };
        std::fs::write(server.file("authorized_keys"), server.ssh().public_key()).expect("written");
        server.listens().await;
        server
    }

    pub(crate) fn start(folder: &Path) -> Child {
        let config = folder.join("sshd_config");
        // sshd re-executes itself by the path that it was called by.
        let mut sshd = Command::new("/usr/sbin/sshd");
        sshd.args(["-D", "-e", "-f"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd")
    }

    pub(crate) async fn listens(&self) {
        until("sshd listens", async || tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.ok()).await;
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn ssh(&self) -> Ssh {
        self.ssh_with(|_| ())
    }

    pub(crate) fn ssh_with(&self, change: impl FnOnce(&mut SshSpec)) -> Ssh {
        let mut spec = SshSpec {
            user_live: "root".into(),
            user_installed: "root".into(),
            key_file: self.file("id"),
            port: self.port,
        };
        change(&mut spec);
        Ssh::new(spec, self.folder.path(), self.writes.clone()).expect("a key")
    }

    pub(crate) fn mode(&self, mode: &str) {
        std::fs::write(self.file("mode"), mode).expect("written");
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file("commands")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Installs the host anew: other host keys.
    pub(crate) async fn reinstall(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
        std::fs::remove_file(self.file("host_key")).expect("there");
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &self.file("host_key").display().to_string()]);
        self.sshd = Self::start(self.folder.path());
        self.listens().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
        // A connection that the forced command stopped.
        if let Some(pid) = std::fs::read_to_string(self.file("connection")).ok().and_then(|pid| pid.trim().parse().ok())
        {
            let is_ours =
                std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with("sshd:"));
            if is_ours {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
            }
        }
    }
}
