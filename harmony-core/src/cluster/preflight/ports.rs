//! The switch ports of chosen hosts: known, agreed, able to do what the description wants of them.

use std::collections::BTreeSet;

use super::hosts::subject;
use super::{Review, Severity};
use crate::capability::{LinkState, PortMode};
use crate::cluster::choice::link_of;
use crate::cluster::{LacpStrategy, RolePlan};
use crate::host::{Host, PortWitness};
use crate::net::PortRef;

/// What every host and switch passes. Source: IEEE 802.3.
const USUAL_MTU: u32 = 1500;

impl Review<'_> {
    pub(super) fn ports(&mut self) {
        for (role, choice) in self.roles.iter().zip(self.choices) {
            let Ok(chosen) = &choice.host else { continue };
            let host = chosen.host;
            match link_of(role, host, &self.seen.cabling()) {
                Err(undecided) => {
                    let evidence = format!("it waits for {}", undecided.waits_for);
                    self.find(Severity::Blocking, subject(role), evidence, undecided.hint);
                }
                Ok((link, ports)) => {
                    let members: Vec<_> = link.members.iter().map(|(_, mac)| *mac).collect();
                    let others =
                        host.nics.iter().filter(|nic| !members.contains(&nic.mac) && nic.carrier == Some(true));
                    for nic in others.filter(|nic| nic.port.agreed().is_none()) {
                        let what = match nic.port.verdict() {
                            PortWitness::Disputed(said) => said,
                            _ => "nobody says it".to_owned(),
                        };
                        let evidence =
                            format!("{}: the switch port of {} is not known: {what}", host.label(), nic.name);
                        self.find(Severity::Warning, subject(role), evidence, "check that LLDP is on at its switch");
                    }
                    self.modes(role, host, &ports);
                    self.mtu(role, host, &link.members);
                }
            }
        }
        let mtus: BTreeSet<u32> = self.seen.mtu.values().copied().collect();
        if mtus.len() > 1 {
            let list = mtus.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let evidence = format!("hosts pass frames of different length: {list} bytes");
            self.find(Severity::Warning, "MTU", evidence, "set the same on all hosts and switch ports");
        }
    }

    fn modes(&mut self, role: &RolePlan, host: &Host, ports: &[PortRef]) {
        for status in ports.iter().filter_map(|port| self.seen.ports.get(port)) {
            if let PortMode::Unrecognised { text } = &status.mode {
                let evidence = format!("port {} is in a mode that Harmony does not know: {text}", status.port);
                self.find(
                    Severity::Blocking,
                    subject(role),
                    evidence,
                    "put it into access mode of the provisioning VLAN",
                );
            }
            if status.link == LinkState::Down {
                let evidence = format!("{}: switch port {} has no link", host.label(), status.port);
                self.find(
                    Severity::Warning,
                    subject(role),
                    evidence,
                    "check the cable, and that the port is not shut down",
                );
            }
        }
        let falls_back = !ports.is_empty() && ports.iter().all(|port| self.seen.falls_back.contains(&port.switch));
        let strategy = LacpStrategy::chosen(role.lacp, role.bond.is_some(), falls_back);
        if strategy == LacpStrategy::Fallback && !falls_back {
            let evidence = "`lacp = \"fallback\"`, which its switch cannot do";
            self.find(Severity::Blocking, subject(role), evidence, "say `lacp = \"flip\"`, or leave it out");
        }
        let Some(vlan) = role.vlan else { return };
        if strategy == LacpStrategy::None {
            let evidence = format!("its ports are left as they are, and must carry VLAN {vlan} tagged");
            self.find(
                Severity::Note,
                subject(role),
                evidence,
                "configure them on the switch: provisioning VLAN untagged, this one tagged",
            );
        } else {
            let evidence = format!("VLAN {vlan} is to be tagged, and Harmony sets one untagged VLAN on a port");
            let remedy = format!(
                "bundle the ports on the switch yourself, with VLAN {vlan} tagged, and say `lacp = \"none\"`; or leave `vlan` out"
            );
            self.find(Severity::Blocking, subject(role), evidence, remedy);
        }
    }

    fn mtu(&mut self, role: &RolePlan, host: &Host, members: &[(String, crate::net::MacAddress)]) {
        for (name, _) in members {
            let Some(mtu) = self.seen.mtu.get(&(host.id.clone(), name.clone())) else { continue };
            if *mtu < USUAL_MTU {
                let evidence = format!("{}: {name} passes {mtu} bytes, fewer than {USUAL_MTU}", host.label());
                self.find(
                    Severity::Blocking,
                    subject(role),
                    evidence,
                    "set the MTU to 1500 or more on NIC and switch port",
                );
            }
        }
    }
}
