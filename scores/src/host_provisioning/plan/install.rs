//! From nothing to a system on the disk: order, access ports, reservation, files, boot, installation.

use std::collections::BTreeSet;

use harmony_core::boot::{Effect, Order, OrderState, PortKind};
use harmony_core::capability::{BootTarget, PortMode, Reservation};
use harmony_core::net::PortRef;
use harmony_core::score::{Bound, Change, ScoreError};
use harmony_core::store::{Document, OneShot};

use super::chain::{Chain, Decided};
use super::{MAX_ATTEMPTS, boot_key};
use crate::host_provisioning::{BootMethod, Bundling, Payload, ProvisioningAction, documents};
use harmony_core::boot::choice::{self, Undecided};

impl Chain<'_> {
    /// The order itself.
    pub(super) fn issue(&mut self, decided: &Decided<'_>) {
        let draft = &decided.draft;
        let contents = self.host.disk(&draft.disk_serial).map_or_else(String::new, choice::describe_disk);
        let changes = vec![
            Change::Erase { host: self.host.label(), serial: draft.disk_serial.clone(), contents },
            Change::Record {
                name: format!("order {}", draft.id),
                text: format!(
                    "{} at {}, disk {}, one-shot token good for {} min",
                    draft.hostname,
                    draft.address,
                    draft.disk_path,
                    self.site.score.token_lifetime_s / 60
                ),
            },
        ];
        let sentence =
            format!("order {} to be installed as {}, on disk {}", self.host.name, draft.role, draft.disk_serial);
        let action = ProvisioningAction::Issue { order: draft.clone() };
        self.push(
            format!("{}/order-{}", self.host.id, draft.id.number),
            sentence,
            changes,
            Bound::new(3, 30),
            Vec::new(),
            action,
        );
    }

    /// Why the present attempt of an order came to nothing, if it did.
    fn lost(&self, order: &Order) -> Option<String> {
        let seen = self.site.seen;
        let failed = seen.attempts.get(&order.id).and_then(|tried| tried.failed.clone());
        let expired = order.state == OrderState::Issued && order.expires_at <= seen.now;
        failed.or_else(|| expired.then(|| "its token expired unused".to_owned()))
    }

    /// The order, if the last of its attempts came to nothing, and why it did.
    pub(super) fn used_up<'o>(&self, order: &'o Order) -> Option<(&'o Order, String)> {
        let is_last = order.attempt >= MAX_ATTEMPTS && order.state < OrderState::Installed;
        is_last.then(|| self.lost(order)).flatten().map(|why| (order, why))
    }

    /// The end of an order that is not tried again by itself. It is about the order, not the host: a run that
    /// saw the last attempt fail leaves the host alone, and closes the order all the same.
    pub(super) fn give_up(&mut self, order: &Order, why: String) {
        let id = &order.id;
        let reason = format!("{} attempts to install it came to nothing, the last: {why}", order.attempt);
        let changes = vec![
            Change::Record { name: format!("order {id}"), text: format!("failed: {reason}") },
            Change::Record { name: format!("host {}", id.host), text: "failed".to_owned() },
        ];
        let sentence = format!("give up order {id} of {}", self.host.name);
        let action = ProvisioningAction::GiveUp { order: id.clone(), reason };
        self.push(
            format!("{}/give-up-{}", id.host, id.number),
            sentence,
            changes,
            Bound::new(3, 30),
            Vec::new(),
            action,
        );
        self.name_target(format!("order {id}"));
    }

    /// From the order to a system on the disk.
    pub(super) fn install(&mut self, decided: &Decided<'_>) -> Result<Result<(), Undecided>, ScoreError> {
        let (host, draft) = (self.host, &decided.draft);
        let id = &draft.id;
        let attempt = decided.order.map_or(1, |order| order.attempt);
        let tried = self.site.seen.attempts.get(id);
        let lost = decided.order.and_then(|order| self.lost(order));
        let again = lost.is_some();
        if let Some(why) = lost {
            let text = format!("attempt {} of {MAX_ATTEMPTS}, fresh token, because {why}", attempt + 1);
            let changes = vec![Change::Record { name: format!("order {id}"), text }];
            let sentence = format!("try again to install {} as {}", host.name, draft.role);
            let action = ProvisioningAction::Reissue { order: id.clone() };
            self.push(
                format!("{}/again-{}.{}", host.id, id.number, attempt + 1),
                sentence,
                changes,
                Bound::new(3, 30),
                Vec::new(),
                action,
            );
        }
        let attempt = if again { attempt + 1 } else { attempt };
        let booted = !again && tried.is_some_and(|tried| matches!(tried.boot, OneShot::Done(_)));
        if !booted {
            self.ready_ports(decided);
            self.reserve(decided);
            self.serve(decided)?;
            let Some(method) = self.boot_method() else {
                return Ok(Err(Undecided {
                    waits_for: format!("a person to boot {} from the network", host.label()),
                    hint: "it has no BMC in the site file, and is not in the inventory environment".to_owned(),
                }));
            };
            let sentence = format!("boot {} from the network, to be installed as {}", host.name, draft.role);
            let effects = vec![Effect::NetworkBoot { host: host.id.clone() }];
            let action = ProvisioningAction::Boot { order: id.clone(), method };
            self.push(boot_key(id, attempt), sentence, Vec::new(), Bound::new(3, 180), effects, action);
        }
        let text = format!("script, image and answer file to be fetched, disk {} written", draft.disk_serial);
        let effects = vec![Effect::DiskBoot { host: host.id.clone(), bonded: draft.link.bond.is_some() }];
        let silent = self.setup.payload != Payload::SiteImage;
        let action = ProvisioningAction::FollowInstall { order: id.clone(), silent };
        let sentence = format!("follow the installation of {}", host.name);
        let bound = Bound::new(1, self.site.score.install_limit_s);
        self.push(format!("{}/install", host.id), sentence, vec![Change::Wait { text }], bound, effects, action);
        Ok(Ok(()))
    }

    fn ready_ports(&mut self, decided: &Decided<'_>) {
        if self.setup.bundle == Bundling::NotOurs {
            return;
        }
        let vlan = self.site.seen.network.vlan;
        if self.setup.bundle == Bundling::WithFallback && self.setup.bond.is_some() {
            return self.bundle_with_fallback(decided);
        }
        let wanted = PortMode::Access { vlan };
        let differ = |port: &&PortRef| self.site.seen.ports.get(*port).is_none_or(|status| status.mode != wanted);
        let ports: Vec<PortRef> = decided.ports.iter().filter(differ).cloned().collect();
        if ports.is_empty() {
            return;
        }
        let names = ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let sentence = format!("put {names} in access mode, VLAN {vlan}, so that {} can boot", self.host.name);
        let effects = vec![Effect::Ports { host: self.host.id.clone(), ports: ports.clone(), mode: PortKind::Access }];
        let action = ProvisioningAction::SetAccess { ports: ports.clone(), vlan };
        self.push(format!("{}/access", self.host.id), sentence, Vec::new(), Bound::new(3, 60), effects, action);
        self.expect_ports(&ports);
        let switches: BTreeSet<String> = ports.iter().map(|port| format!("switch/{}", port.switch)).collect();
        self.take(switches);
    }

    /// Ports that work alone while no partner is heard can be bundled before the boot.
    fn bundle_with_fallback(&mut self, decided: &Decided<'_>) {
        let Some(lag) = self.lag(decided) else { return };
        let wanted = PortMode::Lacp { lag: lag.name.clone(), vlan: Some(lag.vlan), fallback: true };
        if lag.ports.iter().all(|port| self.site.seen.ports.get(port).is_some_and(|status| status.mode == wanted)) {
            return;
        }
        let (ports, host) = (lag.ports.clone(), self.host.id.clone());
        let names = ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let sentence = format!("bundle {names} with LACP and fallback, over which {} can boot", self.host.name);
        let effects = vec![Effect::Ports { host, ports: ports.clone(), mode: PortKind::LacpFallback }];
        let action = ProvisioningAction::SetFallback { lag };
        self.push(format!("{}/fallback", self.host.id), sentence, Vec::new(), Bound::new(3, 60), effects, action);
        self.expect_ports(&ports);
        let switches: BTreeSet<String> = ports.iter().map(|port| format!("switch/{}", port.switch)).collect();
        self.take(switches);
    }

    fn reserve(&mut self, decided: &Decided<'_>) {
        let draft = &decided.draft;
        let macs: Vec<_> = self.host.macs().iter().copied().collect();
        let reservation = Reservation { hostname: draft.hostname.clone(), address: draft.address, macs };
        if self.site.reservations.get(&draft.hostname) == Some(&&reservation) {
            return;
        }
        let sentence = format!("reserve {} for {}", draft.address, draft.hostname);
        let action = ProvisioningAction::Reserve { reservation };
        self.push(format!("{}/reservation", self.host.id), sentence, Vec::new(), Bound::new(3, 30), Vec::new(), action);
    }

    fn serve(&mut self, decided: &Decided<'_>) -> Result<(), ScoreError> {
        let (host, draft) = (self.host, &decided.draft);
        let (source, base) = match &self.setup.payload {
            Payload::SiteImage => (self.site.seen.install.as_ref(), None),
            Payload::CoreOs { source, base } => (Some(source.as_ref()), Some(base.clone())),
            Payload::Installed => (None, None),
        };
        // Read whenever a host gets it.
        let Some(source) = source else { return Ok(()) };
        let (script, answer) = documents::render(host, draft, source, self.setup.network_is_kept)?;
        let macs: Vec<_> = host.macs().iter().copied().collect();
        let (order, base_of_target) = (draft.id.clone(), base.clone());
        let (served, answered) = (script.hash.clone(), answer.hash.clone());
        let target = BootTarget::Install { order, script: served, answer: answered, base: base_of_target };
        if self.site.seen.entries.get(&host.id).is_some_and(|entry| entry.macs == macs && entry.target == target) {
            return Ok(());
        }
        let file = |name: String, document: &Document| Change::File {
            path: name,
            before: None,
            after: Some(document.text.clone()),
        };
        let mut changes: Vec<Change> =
            macs.iter().take(1).map(|mac| file(format!("/ipxe/{}.ipxe", mac.hyphenated()), &script)).collect();
        changes.extend(macs.iter().skip(1).map(|mac| Change::Record {
            name: format!("/ipxe/{}.ipxe", mac.hyphenated()),
            text: "the same script".to_owned(),
        }));
        changes.push(file(format!("/answer/{}", draft.id), &answer));
        if let Some(base) = &base {
            let text = format!("merged onto {} (SHA-256 {}), which is secret", base.name, base.sha256);
            changes.push(Change::Record { name: format!("/answer/{}", draft.id), text });
        }
        let sentence = format!("serve boot script and answer file to {}", host.name);
        let action = ProvisioningAction::Serve { order: draft.id.clone(), macs, script, answer, base };
        self.push(format!("{}/files", host.id), sentence, changes, Bound::new(3, 30), Vec::new(), action);
        Ok(())
    }

    fn boot_method(&self) -> Option<BootMethod> {
        let host = self.host;
        let by_bmc = host.bmc.clone().map(|bmc| BootMethod::Bmc { bmc, firmware: host.firmware });
        by_bmc.or_else(|| host.address.map(|address| BootMethod::Ssh { address }))
    }
}
