//! Certificate requests: what an API says of them, and what their PEM text asks for.
//!
//! A stranger may have written the text. Whatever in it is not understood, or is not what a kubelet asks for, is said in
//! `others`, so that nobody approves it without having seen it.
//! Source: RFC 2986, RFC 7468; kube-apiserver takes the first PEM block, and nothing may follow it here.

use std::net::IpAddr;

use harmony_core::capability::{CertificateRequest, CsrState};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use x509_parser::asn1_rs::FromDer;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::{ParsedCriAttribute, X509CriAttribute};
use x509_parser::extensions::{GeneralName, ParsedExtension, X509Extension};
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME};
use x509_parser::pem::Pem;
use x509_parser::x509::AttributeTypeAndValue;

use super::count::{Count, count};
use super::objects::message;

/// Longest PEM text that is read, in bytes. A kubelet's has some 500; with an RSA key and many names, 4000.
const MAX_PEM_BYTES: usize = 16 << 10;
/// Most names, addresses or other things that are told of one request.
const MAX_PARTS: usize = 100;

/// How a request was decided.
pub(super) fn state(request: &CertificateSigningRequest) -> CsrState {
    let conditions = request.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let has = |kind: &str| conditions.iter().any(|condition| condition.type_ == kind && condition.status != "False");
    if has("Denied") || has("Failed") {
        CsrState::Denied
    } else if has("Approved") {
        CsrState::Approved
    } else {
        CsrState::Pending
    }
}

/// What an API says of a request, and what its text asks for.
pub(super) fn read(request: &CertificateSigningRequest) -> CertificateRequest {
    let spec = &request.spec;
    let asked = Asked::of(&spec.request.0);
    CertificateRequest {
        name: request.metadata.name.clone().unwrap_or_default(),
        signer: spec.signer_name.clone(),
        user: spec.username.clone().unwrap_or_default(),
        groups: spec.groups.clone().unwrap_or_default(),
        common_name: asked.common_name.unwrap_or_default(),
        organisations: asked.organisations,
        dns_names: asked.dns_names,
        addresses: asked.addresses,
        others: asked.others,
        usages: spec.usages.clone().unwrap_or_default(),
        made_at: request.metadata.creation_timestamp.as_ref().map(|time| time.0),
        state: state(request),
    }
}

/// What a text asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    common_name: Option<String>,
    organisations: Vec<String>,
    dns_names: Vec<String>,
    addresses: Vec<IpAddr>,
    others: Vec<String>,
}

impl Asked {
    fn of(pem: &[u8]) -> Self {
        let mut asked = Self::default();
        if let Err(why) = asked.read(pem) {
            // Half of it is worse than nothing.
            asked = Self::default();
            asked.other(format!("a text that is not understood: {why}"));
        }
        asked
    }

    fn other(&mut self, text: String) {
        self.others.push(message(&text).unwrap_or_default());
    }

    fn read(&mut self, pem: &[u8]) -> Result<(), String> {
        if pem.len() > MAX_PEM_BYTES {
            return Err(format!("it has {} bytes", pem.len()));
        }
        let text = std::str::from_utf8(pem).map_err(|_| "it is no text")?.trim();
        if !text.starts_with("-----BEGIN ") || text.matches("-----BEGIN ").count() != 1 {
            return Err("it is not one PEM block".to_owned());
        }
        let (block, used) = Pem::read(std::io::Cursor::new(text)).map_err(|_| "it is no PEM block")?;
        if block.label != "CERTIFICATE REQUEST" {
            return Err(format!("it is of the kind `{}`", block.label));
        }
        if used < text.len() {
            return Err("something follows it".to_owned());
        }
        let (rest, request) =
            X509CertificationRequest::from_der(&block.contents).map_err(|_| "it is no certificate request")?;
        if !rest.is_empty() {
            return Err("something follows the request".to_owned());
        }
        let info = &request.certification_request_info;
        let mut read = Count::default();
        for attribute in info.subject.iter_attributes() {
            read.subject += 1;
            self.subject(attribute)?;
        }
        for attribute in info.attributes() {
            read.attributes += 1;
            self.attribute(attribute, &mut read);
        }
        if count(&block.contents) != Some(read) {
            return Err("there is more in it than was read".to_owned());
        }
        let parts = [&self.organisations, &self.dns_names, &self.others].map(Vec::len).iter().sum::<usize>();
        let parts = parts + self.addresses.len();
        if parts > MAX_PARTS { Err(format!("it asks for {parts} things")) } else { Ok(()) }
    }

    fn subject(&mut self, attribute: &AttributeTypeAndValue<'_>) -> Result<(), String> {
        let kind = attribute.attr_type();
        let value = attribute.as_str().map_err(|_| format!("its subject has a {kind} that is no text"))?.to_owned();
        if *kind == OID_X509_COMMON_NAME && self.common_name.is_none() {
            self.common_name = Some(value);
        } else if *kind == OID_X509_ORGANIZATION_NAME {
            self.organisations.push(value);
        } else {
            self.other(format!("subject {kind}={value}"));
        }
        Ok(())
    }

    fn attribute(&mut self, attribute: &X509CriAttribute<'_>, read: &mut Count) {
        let ParsedCriAttribute::ExtensionRequest(requested) = attribute.parsed_attribute() else {
            return self.other(format!("attribute {}", attribute.oid));
        };
        for extension in &requested.extensions {
            read.extensions += 1;
            self.extension(extension, read);
        }
    }

    fn extension(&mut self, extension: &X509Extension<'_>, read: &mut Count) {
        let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else {
            return self.other(format!("extension {}", extension.oid));
        };
        read.names += names.general_names.len();
        for name in &names.general_names {
            match name {
                GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => match address(bytes) {
                    Some(address) => self.addresses.push(address),
                    None => self.other(format!("an address of {} bytes", bytes.len())),
                },
                GeneralName::URI(text) => self.other(format!("URI {text}")),
                GeneralName::RFC822Name(text) => self.other(format!("mail address {text}")),
                other => self.other(format!("name {other:?}")),
            }
        }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
