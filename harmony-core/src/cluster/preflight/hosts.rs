//! The hosts that roles would get: what they have, which disk, how they boot.

use std::collections::BTreeSet;

use super::{OneTimeBoot, Review, Severity};
use crate::boot::choice::disks_with_reasons;
use crate::cluster::choice::disk_of;
use crate::cluster::{NodeKind, RolePlan};
use crate::host::Host;

impl Review<'_> {
    pub(super) fn hosts(&mut self) {
        for (role, choice) in self.roles.iter().zip(self.choices) {
            match &choice.host {
                Err(none) => {
                    let undecided = none.undecided();
                    self.find(
                        Severity::Blocking,
                        subject(role),
                        format!("it waits for {}", undecided.waits_for),
                        undecided.hint,
                    );
                }
                Ok(chosen) => self.host(role, chosen.host),
            }
        }
        let masters = self.roles.iter().filter(|role| role.kind == NodeKind::Master).count();
        let hosts: BTreeSet<_> =
            self.choices.iter().filter_map(|choice| Some(&choice.host.as_ref().ok()?.host.id)).collect();
        if hosts.len() < masters && !self.seen.hosts.is_empty() {
            let evidence = format!("{} hosts for {masters} masters", hosts.len());
            self.find(Severity::Blocking, "control plane", evidence, "boot more hosts into the inventory");
        }
    }

    fn host(&mut self, role: &RolePlan, host: &Host) {
        // What is installed is not chosen again.
        let is_installed = host.lifecycle == crate::host::Lifecycle::Provisioned;
        if let Some(lack) = role.minimums.refuses(host) {
            let remedy =
                format!("give the role to another host, or say less in defaults.{kind}.minimums", kind = role.kind);
            self.find(Severity::Blocking, subject(role), format!("{}: {lack}", host.label()), remedy);
        }
        if !is_installed {
            self.disk(role, host);
        }
        if host.firmware.is_none() {
            let evidence = format!("{}: it is not known whether it boots by BIOS or UEFI", host.label());
            self.find(Severity::Warning, subject(role), evidence, "let it report again from the inventory environment");
        }
        let remedy = "add its BMC to the site file, or boot it into the inventory environment";
        match self.seen.boots.get(&host.id) {
            None | Some(OneTimeBoot::Bmc | OneTimeBoot::Ssh) => {}
            Some(_) if is_installed => {}
            Some(OneTimeBoot::BmcSilent(why)) => {
                let evidence = format!("{}: its BMC does not answer: {why}", host.label());
                self.find(Severity::Blocking, subject(role), evidence, "check address, password and cable of the BMC");
            }
            Some(OneTimeBoot::Person) => {
                let evidence = format!("{}: it can be restarted by a person only", host.label());
                self.find(Severity::Warning, subject(role), evidence, remedy);
            }
        }
    }

    fn disk(&mut self, role: &RolePlan, host: &Host) {
        match disk_of(role, host) {
            Err(undecided) => {
                let reasons = disks_with_reasons(host, &role.disk).into_iter();
                let reasons: Vec<_> = reasons
                    .map(|(disk, why)| format!("{} {}", disk.name, why.unwrap_or_else(|| "could be".to_owned())))
                    .collect();
                let disks = if reasons.is_empty() { "no disks".to_owned() } else { reasons.join(", ") };
                let evidence = format!("it waits for {} ({disks})", undecided.waits_for);
                self.find(Severity::Blocking, subject(role), evidence, undecided.hint);
            }
            Ok(disk) if disk.size_bytes / 1_000_000_000 < role.minimums.disk_gb => {
                let evidence = format!(
                    "{}: disk {} has {} GB, fewer than {}",
                    host.label(),
                    disk.serial.as_deref().unwrap_or(&disk.name),
                    disk.size_bytes / 1_000_000_000,
                    role.minimums.disk_gb
                );
                let remedy = format!("choose another disk, or say less in defaults.{}.minimums", role.kind);
                self.find(Severity::Blocking, subject(role), evidence, remedy);
            }
            Ok(_) => {}
        }
    }
}

pub(super) fn subject(role: &RolePlan) -> String {
    format!("role {}", role.role)
}
