//! Certificate requests: who asks for what, and what happens once that is approved.
//!
//! Source: Kubernetes documentation "Certificates and Certificate Signing Requests", "TLS bootstrapping"; kubelet
//! `pkg/kubelet/certificate`.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use harmony_core::capability::{CertificateRequest, CsrState};
use jiff::{SignedDuration, Timestamp};

use super::clockwork::Change;
use super::control::Bootstrap;
use super::faults::Foreign;
use super::{ClusterRule, ClusterState};
use crate::random::Random;

/// Who asks for a kubelet's first certificate.
const NODE_BOOTSTRAPPER: &str = "system:serviceaccount:openshift-machine-config-operator:node-bootstrapper";
/// Who signs that.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Who signs a kubelet's serving certificate.
const SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";
/// Characters of the names that Kubernetes makes up. Source: `k8s.io/apimachinery/pkg/util/rand`.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Who approves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approver {
    /// Somebody with the rights of an administrator.
    Administrator,
    /// The bootstrap, which looks at nothing.
    Bootstrap,
}

/// There is no request of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no certificate request `{0}`")]
pub struct NoRequest(pub String);

/// A request, and who really made it.
#[derive(Debug)]
pub(super) struct Request {
    content: CertificateRequest,
    /// The PEM text, where it is not to be made of the content.
    pem: Option<String>,
    /// The kubelet that asks, and its life; nobody of ours, otherwise.
    by: Option<(String, u32)>,
}

impl Request {
    /// Whether this life of this node made it.
    pub(super) fn is_of(&self, node: &str, life: u32) -> bool {
        self.by.as_ref().is_some_and(|(by, of)| by == node && *of == life)
    }
}

/// What a node asks for.
fn request_of(node: &str, is_serving: bool) -> CertificateRequest {
    let text = |text: &[&str]| text.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let (signer, user, groups, usage) = if is_serving {
        let user = format!("system:node:{node}");
        (SERVING_SIGNER, user, text(&["system:nodes", "system:authenticated"]), "server auth")
    } else {
        let groups = [
            "system:serviceaccounts",
            "system:serviceaccounts:openshift-machine-config-operator",
            "system:authenticated",
        ];
        (CLIENT_SIGNER, NODE_BOOTSTRAPPER.to_owned(), text(&groups), "client auth")
    };
    CertificateRequest {
        name: String::new(),
        signer: signer.to_owned(),
        user,
        groups,
        common_name: format!("system:node:{node}"),
        organisations: text(&["system:nodes"]),
        dns_names: if is_serving { vec![node.to_owned()] } else { Vec::new() },
        addresses: Vec::new(),
        others: Vec::new(),
        usages: text(&["digital signature", usage]),
        made_at: None,
        state: CsrState::Pending,
    }
}

impl ClusterState {
    pub(super) fn request_client(&mut self, node: &str, life: u32) {
        self.request(request_of(node, false), None, Some((node.to_owned(), life)));
    }

    pub(super) fn request_serving(&mut self, node: &str, life: u32) {
        let mut request = request_of(node, true);
        request.addresses = self.members.get(node).map(|member| member.addresses.clone()).unwrap_or_default();
        self.request(request, None, Some((node.to_owned(), life)));
    }

    fn request(&mut self, mut content: CertificateRequest, pem: Option<String>, by: Option<(String, u32)>) -> String {
        // Its letters depend on who asks for what alone, not on who asked before: whoever hears of two in the other order
        // knows both by the same names.
        let maker = by.as_ref().map_or(0, |(_, life)| *life);
        let mut random = Random::new(self.spec.seed, &format!("{} {} {maker}", content.signer, content.common_name));
        let name = loop {
            let letters: String = (0..5).map(|_| char::from(ALPHABET[random.pick(ALPHABET.len())])).collect();
            let name = format!("csr-{letters}");
            if !self.requests.contains_key(&name) {
                break name;
            }
        };
        content.name.clone_from(&name);
        content.made_at = self.hour();
        content.state = CsrState::Pending;
        self.note(format!("{name}: {} asks {} for {}", content.user, content.signer, content.common_name));
        self.requests.insert(name.clone(), Request { content, pem, by });
        self.await_approval(name.clone());
        name
    }

    /// The hour, in whole seconds as Kubernetes says it.
    fn hour(&self) -> Option<Timestamp> {
        let passed = SignedDuration::try_from(self.spec.speed.outside(self.clock.now())).ok()?;
        let now = self.spec.epoch.checked_add(passed).ok()?;
        Timestamp::from_second(now.as_second()).ok()
    }

    /// Somebody who is no host of ours asks for this, in this PEM text or in one that says the same. Its name in the
    /// API.
    pub fn intrude(&mut self, now: Duration, request: CertificateRequest, pem: Option<String>) -> String {
        self.advance(now);
        let name = self.request(request, pem, None);
        self.settle();
        name
    }

    pub(super) fn intrude_as(&mut self, foreign: Foreign) {
        let (name, base) = (self.spec.name.as_str(), self.spec.base_domain.as_str());
        let stranger = format!("stranger.{name}.{base}");
        // Where there is a node already, a foreign request looks like one of it as far as it can.
        let known = self.members.keys().next().cloned().unwrap_or_else(|| format!("master-0.{name}.{base}"));
        let other = self.members.keys().nth(1).cloned().unwrap_or_else(|| format!("api-int.{name}.{base}"));
        let addresses = self.members.get(&known).map(|member| member.addresses.clone()).unwrap_or_default();
        let mut serving = request_of(&known, true);
        serving.addresses = addresses;
        let request = match foreign {
            Foreign::Node => request_of(&stranger, false),
            Foreign::CommonName => {
                CertificateRequest { common_name: "system:admin".to_owned(), ..request_of(&known, false) }
            }
            Foreign::Organisation => {
                CertificateRequest { organisations: vec!["system:masters".to_owned()], ..request_of(&known, false) }
            }
            Foreign::DnsName => {
                serving.dns_names.push(format!("api-int.{name}.{base}"));
                serving
            }
            Foreign::Address => {
                // An address for documentation. Source: RFC 5737.
                serving.addresses.push(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66)));
                serving
            }
            Foreign::User => CertificateRequest { user: format!("system:node:{other}"), ..serving },
        };
        self.request(request, None, None);
    }

    /// The requests, sorted by name.
    pub fn certificate_requests(&mut self, now: Duration) -> Vec<CertificateRequest> {
        self.advance(now);
        self.requests.values().map(|request| request.content.clone()).collect()
    }

    pub(super) fn is_pending(&self, name: &str) -> bool {
        self.requests.get(name).is_some_and(|request| request.content.state == CsrState::Pending)
    }

    /// The PEM text of a request, where it was made of one.
    #[must_use]
    pub fn request_pem(&self, name: &str) -> Option<&str> {
        self.requests.get(name)?.pem.as_deref()
    }

    /// Approves a request. One that was decided stays as it is.
    ///
    /// # Errors
    /// [`NoRequest`].
    pub fn approve(&mut self, now: Duration, name: &str, by: Approver) -> Result<(), NoRequest> {
        self.advance(now);
        let done = self.decide(name, by);
        self.settle();
        done
    }

    /// Denies a request, as an administrator may. One that was decided stays as it is.
    ///
    /// # Errors
    /// [`NoRequest`].
    pub fn deny(&mut self, now: Duration, name: &str) -> Result<(), NoRequest> {
        self.advance(now);
        let request = self.requests.get_mut(name).ok_or_else(|| NoRequest(name.to_owned()))?;
        if request.content.state == CsrState::Pending {
            request.content.state = CsrState::Denied;
            self.note(format!("{name}: denied"));
        }
        Ok(())
    }

    pub(super) fn bootstrap_approves(&mut self, name: &str) {
        if self.control.bootstrap == Bootstrap::Serving {
            // It is there: requests are never taken away.
            let _ = self.decide(name, Approver::Bootstrap);
        }
    }

    fn decide(&mut self, name: &str, by: Approver) -> Result<(), NoRequest> {
        let request = self.requests.get_mut(name).ok_or_else(|| NoRequest(name.to_owned()))?;
        if request.content.state != CsrState::Pending {
            return Ok(());
        }
        request.content.state = CsrState::Approved;
        let (is_serving, maker) = (request.content.signer == SERVING_SIGNER, request.by.clone());
        let what =
            format!("{} of {} for {}", request.content.signer, request.content.user, request.content.common_name);
        self.note(format!("{name}: approved by {by:?}"));
        let has_order =
            maker.as_ref().and_then(|(node, _)| self.members.get(node)).is_some_and(|member| member.has_order);
        if by == Approver::Administrator && !has_order {
            self.violate(ClusterRule::ForeignApproved, format!("{name} ({what}) is of no host with an order"));
        }
        if let Some((node, life)) = maker {
            let time = self.about(self.spec.timing.certificate);
            let change = if is_serving { Change::Serves { node, life } } else { Change::Joins { node, life } };
            self.clock.after(time, change);
        }
        Ok(())
    }

    /// Whether some node has asked in vain so far for the certificate that it serves with.
    pub(super) fn lacks_serving(&self) -> Option<&str> {
        let lacks = self.members.iter().find(|(_, member)| member.is_ready() && !member.has_serving);
        lacks.map(|(name, _)| name.as_str())
    }
}
