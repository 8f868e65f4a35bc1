//! The PEM text of a certificate request, as a kubelet writes it. Source: RFC 2986, RFC 5280 section 4.2.1.6.

use harmony_core::capability::CertificateRequest;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

/// A request that says what this one says, with a key of its own; nothing, where it cannot be said.
pub(super) fn pem(request: &CertificateRequest) -> Option<String> {
    let mut params = CertificateParams::new(request.dns_names.clone()).ok()?;
    params.subject_alt_names.extend(request.addresses.iter().copied().map(SanType::IpAddress));
    params.distinguished_name = DistinguishedName::new();
    for organisation in &request.organisations {
        params.distinguished_name.push(DnType::OrganizationName, organisation.as_str());
    }
    params.distinguished_name.push(DnType::CommonName, request.common_name.as_str());
    let key = KeyPair::generate().ok()?;
    params.serialize_request(&key).ok()?.pem().ok()
}
