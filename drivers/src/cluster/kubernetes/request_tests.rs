//! Requests as kubelets make them, and as nobody honest does.

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequestSpec;
use proptest::prelude::*;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, KeyUsagePurpose, SanType};

use super::*;

const NODE: &str = "system:node:worker-0.ocp4.example.com";

/// What a kubelet asks for, before anything is added to it.
fn params() -> CertificateParams {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
    params.distinguished_name.push(DnType::CommonName, NODE);
    params
}

fn pem(params: &CertificateParams) -> String {
    let key = KeyPair::generate().expect("a key");
    params.serialize_request(&key).expect("a request").pem().expect("PEM")
}

fn asked(change: impl FnOnce(&mut CertificateParams)) -> Asked {
    let mut params = params();
    change(&mut params);
    Asked::of(pem(&params).as_bytes())
}

#[test]
fn a_kubelets_own_requests_hold_nothing_else() {
    let client = asked(|_| ());
    assert_eq!(client.common_name.as_deref(), Some(NODE));
    assert_eq!(client.organisations, ["system:nodes"]);
    assert_eq!((client.dns_names.len(), client.addresses.len(), client.others.len()), (0, 0, 0));
    let serving = asked(|params| {
        params.subject_alt_names = vec![
            SanType::DnsName("worker-0.ocp4.example.com".try_into().expect("a name")),
            SanType::IpAddress("10.0.0.20".parse().expect("an address")),
            SanType::IpAddress("fd00::20".parse().expect("an address")),
        ];
    });
    assert_eq!(serving.dns_names, ["worker-0.ocp4.example.com"]);
    assert_eq!(serving.addresses, ["10.0.0.20", "fd00::20"].map(|text| text.parse::<IpAddr>().expect("one")));
    assert_eq!(serving.others, [""; 0]);
}

#[test]
fn what_is_more_than_a_kubelet_asks_for_is_said() {
    let uri = || SanType::URI("spiffe://x".try_into().expect("a text"));
    let mail = || SanType::Rfc822Name("root@x".try_into().expect("a text"));
    let unknown = || CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999], vec![5, 0]);
    type Change = Box<dyn Fn(&mut CertificateParams)>;
    let cases: [(&str, Change); 6] = [
        ("URI spiffe://x", Box::new(move |params| params.subject_alt_names.push(uri()))),
        ("mail address root@x", Box::new(move |params| params.subject_alt_names.push(mail()))),
        ("extension 2.5.29.15", Box::new(|params| params.key_usages.push(KeyUsagePurpose::KeyCertSign))),
        ("extension 1.3.6.1.4.1.99999", Box::new(move |params| params.custom_extensions.push(unknown()))),
        (
            "subject 2.5.4.11=admins",
            Box::new(|params| params.distinguished_name.push(DnType::OrganizationalUnitName, "admins")),
        ),
        (
            "extension 2.5.29.19",
            Box::new(|params| {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
                let basic = CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 3, 1, 1, 0xff]);
                params.custom_extensions.push(basic);
            }),
        ),
    ];
    for (other, change) in cases {
        let found = asked(&*change);
        assert!(found.others.iter().any(|said| said == other), "{other}: {:?}", found.others);
    }
}

#[test]
fn a_second_common_name_does_not_hide_behind_the_first() {
    let found = Asked::of(CustomDer::request(&["a", "b"], &[]).as_bytes());
    assert_eq!(found.common_name.as_deref(), Some("a"));
    assert_eq!(found.others, ["subject 2.5.4.3=b"]);
}

#[test]
fn what_the_parser_skips_is_not_hidden_either() {
    // Something after the signature, within the request.
    let found = Asked::of(CustomDer::request(&["a"], &CustomDer::tlv(5, &[])).as_bytes());
    assert_eq!(found.others, ["a text that is not understood: there is more in it than was read"]);
    assert_eq!(Asked::of(CustomDer::request(&["a"], &[]).as_bytes()).others, [""; 0]);
    // Two sets of extensions in one attribute: only the first is parsed.
    let none = CustomDer::tlv(0x30, &[]);
    let oid = CustomDer::tlv(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14]);
    let set = |content: &[u8]| CustomDer::tlv(0x30, &[oid.clone(), CustomDer::tlv(0x31, content)].concat());
    for (content, others) in [(none.clone(), 0), ([none.clone(), none].concat(), 1)] {
        let found = Asked::of(CustomDer::with_attributes(&["a"], &set(&content), &[]).as_bytes());
        assert_eq!(found.others.len(), others, "{found:?}");
    }
}

/// DER that no library writes.
struct CustomDer;

impl CustomDer {
    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).ok().filter(|length| *length < 128).expect("short");
        [&[tag, length], content].concat()
    }

    /// Without attributes.
    fn request(common_names: &[&str], more: &[u8]) -> String {
        Self::with_attributes(common_names, &[], more)
    }

    /// Version, subject, an Ed25519 key, attributes, and more; a signature of nothing.
    fn with_attributes(common_names: &[&str], attributes: &[u8], more: &[u8]) -> String {
        let name = |value: &str| {
            let pair = [Self::tlv(6, &[0x55, 4, 3]), Self::tlv(12, value.as_bytes())].concat();
            Self::tlv(0x31, &Self::tlv(0x30, &pair))
        };
        let ed25519 = Self::tlv(0x30, &Self::tlv(6, &[0x2b, 0x65, 0x70]));
        let key = Self::tlv(0x30, &[ed25519.clone(), Self::tlv(3, &[0; 33])].concat());
        let subject = Self::tlv(0x30, &common_names.iter().copied().flat_map(name).collect::<Vec<_>>());
        let attributes = Self::tlv(0xa0, attributes);
        let info = Self::tlv(0x30, &[Self::tlv(2, &[0]), subject, key, attributes].concat());
        let request = Self::tlv(0x30, &[info, ed25519, Self::tlv(3, &[0]), more.to_vec()].concat());
        use base64::Engine;
        let text = base64::prelude::BASE64_STANDARD.encode(request);
        let lines: String =
            text.as_bytes().chunks(64).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect();
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{lines}-----END CERTIFICATE REQUEST-----\n")
    }
}

#[test]
fn what_is_not_understood_is_never_nothing() {
    let good = pem(&params());
    let label = good.replace("CERTIFICATE REQUEST", "CERTIFICATE");
    let twice = format!("{good}{good}");
    let before = format!("subject=/CN=innocent\n{good}");
    let after = format!("{good}and more\n");
    let long = "A".repeat(MAX_PEM_BYTES + 1);
    let cut = good.replace("-----END CERTIFICATE REQUEST-----\n", "");
    let empty = "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n";
    let many = {
        let mut params = params();
        let names = (0..=MAX_PARTS).map(|number| SanType::DnsName(format!("n{number}").try_into().expect("a name")));
        params.subject_alt_names = names.collect();
        pem(&params)
    };
    for (text, why) in [
        ("", "not one PEM block"),
        ("garbage", "not one PEM block"),
        (&label, "of the kind `CERTIFICATE`"),
        (&twice, "not one PEM block"),
        (&before, "not one PEM block"),
        (&after, "something follows it"),
        (&long, "bytes"),
        (&cut, "no PEM block"),
        (empty, "no certificate request"),
        (&many, "it asks for"),
    ] {
        let found = Asked::of(text.as_bytes());
        let [other] = &found.others[..] else { panic!("{why}: {found:?}") };
        assert!(other.contains(why), "{why}: {other}");
        assert_eq!((found.common_name, found.organisations.len()), (None, 0), "{why}");
    }
    assert!(Asked::of(b"\xff\xfe").others[0].contains("no text"));
}

#[test]
fn states_and_what_the_api_says_of_whoever_asks() {
    let spec = CertificateSigningRequestSpec {
        request: ByteString(pem(&params()).into_bytes()),
        signer_name: "kubernetes.io/kube-apiserver-client-kubelet".to_owned(),
        username: Some("somebody".to_owned()),
        ..Default::default()
    };
    let mut request = CertificateSigningRequest { spec, ..Default::default() };
    assert_eq!((read(&request).state, read(&request).user.as_str()), (CsrState::Pending, "somebody"));
    for (kind, expected) in
        [("Approved", CsrState::Approved), ("Failed", CsrState::Denied), ("Denied", CsrState::Denied)]
    {
        let conditions = request.status.get_or_insert_default().conditions.get_or_insert_default();
        let condition = serde_json::json!({"type": kind, "status": "True"});
        conditions.push(serde_json::from_value(condition).expect("a condition"));
        assert_eq!(state(&request), expected, "{kind}");
    }
}

proptest! {
    #[test]
    fn no_byte_of_it_makes_us_panic(at in 0_usize..300, byte in any::<u8>()) {
        let (mut der, text) = {
            let key = KeyPair::generate().expect("a key");
            let made = params().serialize_request(&key).expect("a request");
            (made.der().to_vec(), made.pem().expect("PEM"))
        };
        let mut broken = text.into_bytes();
        let index = at % broken.len();
        broken[index] = byte;
        let _ = Asked::of(&broken);
        let index = at % der.len();
        der[index] = byte;
        use base64::Engine;
        let text = base64::prelude::BASE64_STANDARD.encode(&der);
        let found = Asked::of(format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n").as_bytes());
        prop_assert!(found.common_name.is_some() || !found.others.is_empty() || !found.organisations.is_empty());
    }
}
