//! OpenIPMI's `ipmi_sim`, whose chassis is a script that keeps its state in files.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use harmony_core::capability::Bmc;
use harmony_core::host::BmcId;
use harmony_drivers::WriteLog;
use harmony_drivers::bmc::PasswordSource;
use harmony_drivers::bmc::ipmi::{Ipmi, IpmiSpec};

use crate::world::{free_port, require, run, until};

/// Programs that it needs, each with its Debian package.
pub(crate) const NEEDS: [(&str, &str); 2] = [("ipmi_sim", "openipmi"), ("ipmitool", "ipmitool")];

/// Answers `ipmi_sim`'s questions from files, and notes each change. Power needs `lag` polls to follow.
const CHASSIS: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
shift; verb=$1; shift
while [ $# -gt 0 ]; do
  if [ "$verb" = get ]; then
    if [ "$1" = power ] && [ -s lag ]; then
      left=$(cat lag)
      if [ "$left" -gt 1 ]; then echo $((left - 1)) > lag; else : > lag; cp power.wanted power; fi
    fi
    echo "$1:$(cat "$1")"; shift
  else
    echo "$1 $2" >> changes
    if [ "$1" = power ] && [ -s lag ]; then echo "$2" > power.wanted; else echo "$2" > "$1"; fi
    shift 2
  fi
done
"#;

pub(crate) struct Machine {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) simulator: Child,
    pub(crate) writes: WriteLog,
}

impl Machine {
    pub(crate) async fn new() -> Self {
        require(&NEEDS);
        let folder = tempfile::tempdir().expect("folder");
        let file = |name: &str| folder.path().join(name);
        for (name, text) in
            [("power", "0"), ("boot", "default"), ("reset", "0"), ("changes", ""), ("password", "s3cret-pw\n")]
        {
            std::fs::write(file(name), text).expect("written");
        }
        run(
            "sh",
            &[
                "-c",
                "printf '%s' \"$1\" > \"$2\" && chmod +x \"$2\"",
                "sh",
                CHASSIS,
                &file("chassis").display().to_string(),
            ],
        );
        std::fs::write(
            file("emu"),
            "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nmc_enable 0x20\n",
        )
        .expect("written");
        let port = free_port();
        let kinds =
            ["callback", "user", "operator", "admin"].map(|who| format!("allowed_auths_{who} none md2 md5 straight"));
        let lan = format!(
            "name \"bmc\"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {port}\npriv_limit admin\n{}\nguid a123456789abcdefa123456789abcdef\nendlan\n\
             chassis_control \"{} 0x20\"\nuser 1 true \"\" \"test\" user 10 none md2 md5 straight\nuser 2 true \"admin\" \"s3cret-pw\" admin 10 none md2 md5 straight\n",
            kinds.join("\n"),
            file("chassis").display()
        );
        std::fs::write(file("lan.conf"), lan).expect("written");
        let simulator = Command::new("ipmi_sim")
            .args(["-c", "lan.conf", "-f", "emu", "-n", "-s", "."])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ipmi_sim");
        let machine = Self { folder, port, simulator, writes: WriteLog::default() };
        until("ipmi_sim answers", async || machine.bmc().power_state(&id()).await.ok()).await;
        machine
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn bmc(&self) -> Ipmi {
        self.bmc_with(|_| ())
    }

    pub(crate) fn bmc_with(&self, change: impl FnOnce(&mut IpmiSpec)) -> Ipmi {
        let password = PasswordSource::File(self.file("password"));
        let mut spec =
            IpmiSpec { address: "127.0.0.1".into(), port: self.port, user: "admin".into(), password, cipher_suite: 3 };
        change(&mut spec);
        Ipmi::new(id(), spec, self.writes.clone())
    }

    /// What the chassis was told.
    pub(crate) fn changes(&self) -> Vec<String> {
        std::fs::read_to_string(self.file("changes")).expect("read").lines().map(str::to_owned).collect()
    }

    pub(crate) fn set(&self, name: &str, value: &str) {
        std::fs::write(self.file(name), value).expect("written");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.simulator.kill();
        let _ = self.simulator.wait();
    }
}

pub(crate) fn id() -> BmcId {
    "node-a".parse().expect("valid")
}
