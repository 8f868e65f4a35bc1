//! Good requests are approved; no change of one is.

use proptest::prelude::*;

use super::super::testing::parse;
use super::*;

const NAME: &str = "worker-0.ocp4.example.com";

fn now() -> Timestamp {
    parse("2026-11-27T12:00:00Z")
}

fn expected() -> Vec<ExpectedNode> {
    let node = |name: &str, kind, last| ExpectedNode {
        hostname: parse(name),
        kind,
        addresses: vec![[10, 10, 0, last].into()],
        ordered_at: parse("2026-11-27T11:00:00Z"),
    };
    vec![
        node("bootstrap.ocp4.example.com", NodeKind::Bootstrap, 10),
        node("master-0.ocp4.example.com", NodeKind::Master, 11),
        node(NAME, NodeKind::Worker, 21),
        node("worker-1.ocp4.example.com", NodeKind::Worker, 22),
    ]
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn client_request() -> CertificateRequest {
    CertificateRequest {
        name: "csr-x7k2p".into(),
        signer: CLIENT_SIGNER.into(),
        user: BOOTSTRAPPER.into(),
        groups: words(&[
            "system:serviceaccounts",
            "system:serviceaccounts:openshift-machine-config-operator",
            "system:authenticated",
        ]),
        common_name: format!("system:node:{NAME}"),
        organisations: words(&["system:nodes"]),
        dns_names: Vec::new(),
        addresses: Vec::new(),
        others: Vec::new(),
        usages: words(&["digital signature", "client auth"]),
        made_at: Some(parse("2026-11-27T11:55:00Z")),
        state: CsrState::Pending,
    }
}

fn renewal() -> CertificateRequest {
    let user = format!("system:node:{NAME}");
    CertificateRequest { user, groups: words(&["system:nodes", "system:authenticated"]), ..client_request() }
}

fn serving_request() -> CertificateRequest {
    CertificateRequest {
        signer: SERVING_SIGNER.into(),
        dns_names: words(&[NAME]),
        addresses: vec![[10, 10, 0, 21].into()],
        usages: words(&["key encipherment", "digital signature", "server auth"]),
        ..renewal()
    }
}

fn there(name: &str) -> Node {
    Node {
        name: name.into(),
        ready: Some(true),
        roles: std::collections::BTreeSet::new(),
        addresses: Vec::new(),
        schedulable: true,
        message: None,
    }
}

fn reason(request: &CertificateRequest, nodes: &[Node]) -> String {
    match decide(request, &expected(), nodes, now()) {
        CsrDecision::Leave { reason } => reason,
        CsrDecision::Approve { hostname } => panic!("approved for {hostname}: {request:?}"),
    }
}

#[test]
fn good_requests_are_approved() {
    let node = [there(NAME)];
    for (request, nodes) in [(client_request(), &[][..]), (renewal(), &node), (serving_request(), &node)] {
        assert_eq!(
            decide(&request, &expected(), nodes, now()),
            CsrDecision::Approve { hostname: parse(NAME) },
            "{request:?}"
        );
    }
}

#[test]
fn what_differs_is_named() {
    let cases: [(CertificateRequest, &str); 24] = [
        (
            CertificateRequest { common_name: "system:admin".into(), ..client_request() },
            "`system:admin` is not that of a node",
        ),
        (
            CertificateRequest { common_name: "system:node:evil".into(), ..client_request() },
            "no host with an order is called `evil`",
        ),
        (
            CertificateRequest { common_name: "system:node:bootstrap.ocp4.example.com".into(), ..client_request() },
            "never becomes a node",
        ),
        (CertificateRequest { organisations: words(&["system:masters"]), ..client_request() }, "`system:masters`"),
        (
            CertificateRequest { organisations: words(&["system:nodes", "system:masters"]), ..client_request() },
            "not system:nodes alone",
        ),
        (CertificateRequest { organisations: Vec::new(), ..client_request() }, "its organisations are none"),
        (
            CertificateRequest { signer: "kubernetes.io/kube-apiserver-client".into(), ..client_request() },
            "which no node asks",
        ),
        (CertificateRequest { signer: SERVING_SIGNER.into(), ..client_request() }, "not the node itself"),
        (CertificateRequest { signer: CLIENT_SIGNER.into(), ..serving_request() }, "beside its common name"),
        (
            CertificateRequest { user: "system:serviceaccount:default:default".into(), ..client_request() },
            "neither the node itself nor",
        ),
        (
            CertificateRequest { user: "system:node:worker-1.ocp4.example.com".into(), ..renewal() },
            "neither the node itself nor",
        ),
        (
            CertificateRequest { user: "system:node:worker-1.ocp4.example.com".into(), ..serving_request() },
            "not the node itself",
        ),
        (
            CertificateRequest { groups: words(&["system:authenticated"]), ..serving_request() },
            "not in the group system:nodes",
        ),
        (
            CertificateRequest { groups: words(&["system:nodes", "system:masters"]), ..serving_request() },
            "`system:masters`",
        ),
        (
            CertificateRequest { dns_names: words(&["api.ocp4.example.com"]), ..serving_request() },
            "`api.ocp4.example.com` is not",
        ),
        (
            CertificateRequest { dns_names: words(&[NAME, "*.ocp4.example.com"]), ..serving_request() },
            "`*.ocp4.example.com`",
        ),
        (
            CertificateRequest { addresses: vec![[10, 10, 0, 11].into()], ..serving_request() },
            "10.10.0.11 is not one of",
        ),
        (
            CertificateRequest { addresses: vec!["::ffff:10.10.0.21".parse().expect("valid")], ..serving_request() },
            "is not one of",
        ),
        (
            CertificateRequest { addresses: Vec::new(), dns_names: Vec::new(), ..serving_request() },
            "neither a DNS name nor an address",
        ),
        (
            CertificateRequest { others: words(&["URI:spiffe://x"]), ..client_request() },
            "more than a node has: `URI:spiffe://x`",
        ),
        (
            CertificateRequest { usages: words(&["digital signature", "server auth"]), ..client_request() },
            "its usages are",
        ),
        (CertificateRequest { state: CsrState::Approved, ..client_request() }, "approved already"),
        (CertificateRequest { made_at: Some(parse("2026-11-27T10:00:00Z")), ..client_request() }, "before worker-0"),
        (CertificateRequest { made_at: Some(parse("2026-11-27T13:00:00Z")), ..client_request() }, "a clock is wrong"),
    ];
    for (request, part) in cases {
        let reason = reason(&request, &[]);
        assert!(reason.contains(part), "{part} | {reason}");
    }
}

#[test]
fn the_token_of_one_node_does_not_make_another() {
    assert!(reason(&client_request(), &[there(NAME)]).contains("is there already"));
}

#[test]
fn two_hosts_of_one_name_are_for_a_person() {
    let mut expected = expected();
    expected.push(expected[2].clone());
    let decision = decide(&client_request(), &expected, &[], now());
    assert!(matches!(decision, CsrDecision::Leave { reason } if reason.contains("several hosts")));
}

#[test]
fn a_strangers_text_is_shown_as_a_text() {
    let request =
        CertificateRequest { common_name: format!("system:node:\u{1b}[2J{}", "x".repeat(500)), ..client_request() };
    let reason = reason(&request, &[]);
    assert!(reason.contains("\\u{1b}") && reason.len() < 200, "{reason}");
}

/// One change of a request that makes it another's, or more than a node has.
#[derive(Debug, Clone)]
enum Mutation {
    Signer(String),
    User(String),
    Group(String),
    CommonName(String),
    Organisation(String),
    NoOrganisation,
    DnsName(String),
    Address(IpAddr),
    Other(String),
    Usage(String),
    NoUsage(usize),
    State(bool),
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,24}",
        Just(NAME.to_owned()),
        Just(format!("system:node:{NAME}")),
        Just(format!("system:node:{NAME}.")),
        Just(format!("system:node:{}", NAME.to_uppercase())),
        Just("system:node:worker-1.ocp4.example.com".to_owned()),
        Just("system:node:bootstrap.ocp4.example.com".to_owned()),
        Just("system:masters".to_owned()),
        Just("system:nodes".to_owned()),
        Just("system:nodes ".to_owned()),
        Just("system:authenticated".to_owned()),
        Just(BOOTSTRAPPER.to_owned()),
        Just(CLIENT_SIGNER.to_owned()),
        Just(SERVING_SIGNER.to_owned()),
        Just("client auth".to_owned()),
        Just("server auth".to_owned()),
        Just("cert sign".to_owned()),
        Just("any".to_owned()),
        Just("worker-1.ocp4.example.com".to_owned()),
    ]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        text().prop_map(Mutation::Signer),
        text().prop_map(Mutation::User),
        text().prop_map(Mutation::Group),
        text().prop_map(Mutation::CommonName),
        text().prop_map(Mutation::Organisation),
        Just(Mutation::NoOrganisation),
        text().prop_map(Mutation::DnsName),
        any::<[u8; 4]>().prop_map(|address| Mutation::Address(address.into())),
        text().prop_map(Mutation::Other),
        text().prop_map(Mutation::Usage),
        (0..3usize).prop_map(Mutation::NoUsage),
        any::<bool>().prop_map(Mutation::State),
    ]
}

fn mutate(mut request: CertificateRequest, mutation: &Mutation) -> CertificateRequest {
    match mutation.clone() {
        Mutation::Signer(text) => request.signer = text,
        Mutation::User(text) => request.user = text,
        Mutation::Group(text) => request.groups.push(text),
        Mutation::CommonName(text) => request.common_name = text,
        Mutation::Organisation(text) => request.organisations.push(text),
        Mutation::NoOrganisation => request.organisations.clear(),
        Mutation::DnsName(text) => request.dns_names.push(text),
        Mutation::Address(address) => request.addresses.push(address),
        Mutation::Other(text) => request.others.push(text),
        Mutation::Usage(text) => request.usages.push(text),
        Mutation::NoUsage(at) if at < request.usages.len() => {
            request.usages.remove(at);
        }
        Mutation::NoUsage(_) => request.usages.clear(),
        Mutation::State(denied) => request.state = if denied { CsrState::Denied } else { CsrState::Approved },
    }
    request
}

/// The same request as another host would make it.
fn of_host(mut request: CertificateRequest, name: &str) -> CertificateRequest {
    let own = |text: &String| text.replace(NAME, name);
    request.common_name = own(&request.common_name);
    request.user = own(&request.user);
    request.dns_names = request.dns_names.iter().map(own).collect();
    let node = expected().into_iter().find(|node| node.hostname.as_str() == name).expect("a host with an order");
    if !request.addresses.is_empty() {
        request.addresses = node.addresses;
    }
    request
}

/// What may be different without being anybody else's: an RSA key's usage, groups and names said twice, the node asking
/// for its own client certificate.
fn is_harmless(good: &CertificateRequest, request: &CertificateRequest) -> bool {
    let set = |texts: &[String]| texts.iter().cloned().collect::<std::collections::BTreeSet<_>>();
    let mut same = request.clone();
    same.usages.retain(|usage| usage != "key encipherment");
    let mut without = good.clone();
    without.usages.retain(|usage| usage != "key encipherment");
    let at_most_once = request.usages.iter().filter(|usage| *usage == "key encipherment").count() <= 1;
    if set(&same.groups) == set(&good.groups) {
        same.groups.clone_from(&good.groups);
    }
    if set(&same.dns_names) == set(&good.dns_names) {
        same.dns_names.clone_from(&good.dns_names);
    }
    if same.addresses.iter().all(|address| good.addresses.contains(address)) {
        same.addresses.clone_from(&good.addresses);
    }
    at_most_once && same == without
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn no_mutation_of_a_good_request_is_approved(which in 0..3usize, mutations in proptest::collection::vec(mutation(), 1..4)) {
        let good = [client_request(), renewal(), serving_request()][which].clone();
        let request = mutations.iter().fold(good.clone(), mutate);
        if let CsrDecision::Approve { hostname } = decide(&request, &expected(), &[], now()) {
            // It must be a good request again, of the host whose name it bears, with nothing more.
            let good = [client_request(), renewal(), serving_request()].map(|good| of_host(good, hostname.as_str()));
            prop_assert!(good.iter().any(|good| is_harmless(good, &request)), "{:?}", request);
        }
    }

    /// From nothing: whatever is approved has all that a node's has.
    #[test]
    fn what_is_approved_is_a_nodes(
        texts in proptest::collection::vec(text(), 4),
        organisations in proptest::collection::vec(text(), 0..3),
        groups in proptest::collection::vec(text(), 0..3),
        dns_names in proptest::collection::vec(text(), 0..2),
        usages in proptest::collection::vec(text(), 0..3),
    ) {
        let request = CertificateRequest {
            signer: texts[0].clone(), user: texts[1].clone(), common_name: texts[2].clone(),
            organisations, groups, dns_names, usages, ..client_request()
        };
        if let CsrDecision::Approve { hostname } = decide(&request, &expected(), &[], now()) {
            prop_assert_eq!(&request.common_name, &format!("system:node:{hostname}"));
            prop_assert_eq!(&request.organisations, &words(&["system:nodes"]));
            prop_assert!(request.user == BOOTSTRAPPER || request.user == request.common_name);
            prop_assert!(request.dns_names.iter().all(|name| *name == hostname.as_str()));
        }
    }
}
