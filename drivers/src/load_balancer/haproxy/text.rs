//! Services as HAProxy's configuration, and back.
//!
//! Owns that text: a `listen` section a service, complete in itself, so that it neither inherits what other
//! files' `defaults` say nor leaves any for files that follow. Reading it back extracts what was written, and
//! then writes that again: a line that comes out otherwise is not understood, and is named.
//!
//! Source: HAProxy 2.6 configuration manual, sections 4.2 and 5.2.

use std::collections::BTreeMap;
use std::fmt::Write;

use harmony_core::capability::{Balance, HealthCheck, LbServer, LbService};
use harmony_core::net::Hostname;
use sha2::{Digest, Sha256};

/// How the names begin of the empty section that tells which text a running HAProxy has read.
pub(super) const REVISION: &str = "harmony-revision-";
const HEAD: &str = "\
# Written by Harmony, which reads it back. What is changed by hand is overwritten at the next change.
# Connections are passed on as they are: TLS ends at the servers.
";
/// Kubernetes holds connections open for hours that say little; TCP's own probes find those whose peer is gone.
const COMMON: &str = "    retries 3
    option redispatch 1
    option clitcpka
    option srvtcpka
    timeout connect 10s
    timeout check 5s
    timeout queue 30s
    timeout client 4h
    timeout server 4h
    timeout tunnel 24h
    timeout client-fin 1m
    timeout server-fin 1m
";

/// A line of Harmony's file that Harmony did not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not as Harmony writes it: `{text}`")]
pub struct TextError {
    /// Which, from 1.
    pub line: usize,
    /// What it says, cut, control characters escaped.
    pub text: String,
}

/// Services by name, as HAProxy has them.
pub(super) type Services = BTreeMap<Hostname, LbService>;

/// The section of one service.
pub(in crate::load_balancer) fn section(service: &LbService) -> String {
    let mut text = format!("listen {}\n    mode tcp\n", service.name);
    let mut line = |words: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "    {words}");
    };
    for address in &service.listen {
        line(format_args!("bind {address}"));
    }
    match service.balance {
        Balance::RoundRobin => line(format_args!("balance roundrobin")),
        Balance::Source => {
            line(format_args!("balance source"));
            // A server more or less moves few clients.
            line(format_args!("hash-type consistent"));
        }
    }
    let how = match &service.check {
        HealthCheck::Tcp => {
            line(format_args!("option tcp-check"));
            String::new()
        }
        HealthCheck::Https { path } => {
            line(format_args!("option httpchk GET {path}"));
            line(format_args!("http-check expect status 200"));
            " check-ssl verify none".to_owned()
        }
        HealthCheck::Http { path, port } => {
            line(format_args!("option httpchk GET {path}"));
            line(format_args!("http-check expect status 200"));
            format!(" port {port}")
        }
    };
    text.push_str(COMMON);
    let _ = writeln!(text, "    default-server inter {}s rise 2 fall 3", service.interval_s);
    let mut servers: Vec<&LbServer> = service.servers.iter().collect();
    servers.sort();
    for server in servers {
        let backup = if server.backup { " backup" } else { "" };
        let _ = writeln!(text, "    server {} {} check{how}{backup}", server.name, server.address);
    }
    // What is checked how must be known even while there is no server.
    if service.servers.is_empty() {
        let _ = writeln!(text, "    # check{how}");
    }
    text
}

/// The whole file.
pub(super) fn render(services: &Services) -> String {
    let mut text = HEAD.to_owned();
    for service in services.values() {
        text.push('\n');
        text.push_str(&section(service));
    }
    let revision = revision_of(&text);
    format!(
        "{text}\n# Has no servers: it tells which text the running HAProxy has read.\nbackend {revision}\n    mode tcp\n"
    )
}

/// The name of the empty section of a text that ends before it.
fn revision_of(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    digest.iter().take(6).fold(REVISION.to_owned(), |name, byte| format!("{name}{byte:02x}"))
}

/// The name of the empty section of a whole file.
pub(super) fn revision(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("backend ")).filter(|name| name.starts_with(REVISION))
}

/// The services of a file. An empty one has none. What was changed by hand is understood where it could have been
/// written by us.
///
/// # Errors
/// At the first line that could not.
pub(super) fn parse(text: &str) -> Result<Services, TextError> {
    let wrong = |at: usize, line: &str| TextError {
        line: at + 1,
        text: line.trim().chars().take(80).flat_map(char::escape_default).collect(),
    };
    let mut services = Services::new();
    if text.trim().is_empty() {
        return Ok(services);
    }
    let mut current: Option<LbService> = None;
    for (at, line) in text.lines().enumerate() {
        if let Some(name) = line.strip_prefix("listen ") {
            let name: Hostname = name.parse().map_err(|_| wrong(at, line))?;
            if let Some(done) = current.replace(empty(name)) {
                services.insert(done.name.clone(), done);
            }
        } else if !(line.is_empty() || line.starts_with([' ', '#']) || line.starts_with("backend ")) {
            return Err(wrong(at, line));
        } else if let Some(service) = &mut current {
            take(service, line.trim()).ok_or_else(|| wrong(at, line))?;
        }
    }
    if let Some(last) = current {
        services.insert(last.name.clone(), last);
    }
    let again = render(&services);
    let mut expected = again.lines();
    for (at, line) in text.lines().enumerate() {
        let expected = expected.next().unwrap_or_default();
        // The revision of an earlier text, under one that was changed by hand.
        let is_revision = line.starts_with("backend ") && expected.starts_with("backend ");
        if line != expected && !is_revision {
            return Err(wrong(at, line));
        }
    }
    match expected.next() {
        Some(_) => Err(wrong(text.lines().count(), "")),
        None => Ok(services),
    }
}

fn empty(name: Hostname) -> LbService {
    let (listen, servers) = (Vec::new(), Vec::new());
    LbService { name, listen, balance: Balance::RoundRobin, check: HealthCheck::Tcp, interval_s: 0, servers }
}

/// Takes in what a line says; a line of which it depends nothing is for the comparison above.
fn take(service: &mut LbService, line: &str) -> Option<()> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["bind", address] => service.listen.push(address.parse().ok()?),
        ["balance", "source"] => service.balance = Balance::Source,
        ["option", "httpchk", "GET", path] => service.check = HealthCheck::Https { path: (*path).to_owned() },
        ["default-server", "inter", interval, ..] => {
            service.interval_s = interval.strip_suffix('s').and_then(|seconds| seconds.parse().ok())?;
        }
        ["server", name, address, "check", how @ ..] => {
            let backup = how.last() == Some(&"backup");
            service.servers.push(LbServer { name: name.parse().ok()?, address: address.parse().ok()?, backup });
            take_port(service, how)?;
        }
        ["#", "check", how @ ..] => take_port(service, how)?,
        _ => {}
    }
    Some(())
}

fn take_port(service: &mut LbService, how: &[&str]) -> Option<()> {
    if let (["port", port, ..], HealthCheck::Https { path } | HealthCheck::Http { path, .. }) = (how, &service.check) {
        service.check = HealthCheck::Http { path: path.clone(), port: port.parse().ok()? };
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::super::samples;
    use super::*;

    fn okd() -> Services {
        samples::okd().into_iter().map(|service| (service.name.clone(), service)).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(parse(&render(&okd())), Ok(okd()));
        let mut bare = okd();
        bare.values_mut().for_each(|service| service.servers.clear());
        assert_eq!(parse(&render(&bare)), Ok(bare), "without servers");
        for none in ["", "\n", render(&Services::new()).as_str()] {
            assert_eq!(parse(none), Ok(Services::new()));
        }
    }

    #[test]
    fn the_revision_tells_texts_apart() {
        let (whole, mut less) = (render(&okd()), okd());
        less.pop_first();
        let less = render(&less);
        assert!(revision(&whole).is_some() && revision(&less).is_some());
        assert_ne!(revision(&whole), revision(&less));
        assert_eq!(revision(""), None);
    }

    #[test]
    fn a_change_by_hand_is_understood_or_named() {
        let text = render(&okd());
        let moved = parse(&text.replace("192.168.1.97:6443", "192.168.1.87:6443")).expect("could be ours");
        assert_eq!(moved.first_key_value().expect("first").1.servers[1].address.to_string(), "192.168.1.87:6443");
        for (from, to, shown) in [
            ("    server master-0 ", "    server master-0 x", "server master-0 x192.168.1.97:6443 check check-ssl"),
            ("rise 2 fall 3", "rise 3 fall 2", "default-server inter 5s rise 3 fall 2"),
            ("timeout client 4h", "timeout client 4m", "timeout client 4m"),
            ("listen ocp4-api", "listen ocp4_api", "listen ocp4_api"),
            ("    mode tcp\n", "    mode http\n", "mode http"),
            ("# Written by", "# Edited by", "# Edited by Harmony"),
            ("listen ocp4-ingress-http\n", "\u{7}\n", "\\u{7}"),
            ("\n# Has no servers", "\nfrontend x\n# Has no servers", "frontend x"),
        ] {
            let changed = text.replacen(from, to, 1);
            let line = 1 + changed.lines().zip(text.lines()).position(|(a, b)| a != b).expect("changed");
            let error = parse(&changed).expect_err(to);
            assert_eq!(error.line, line, "{error}");
            assert!(error.to_string().starts_with(&format!("line {line} is not as Harmony writes it: `{shown}")));
        }
        let cut: String = text.lines().take(12).fold(String::new(), |all, line| all + line + "\n");
        assert_eq!(parse(&cut).expect_err("cut off").line, 13);
    }

    fn services() -> impl Strategy<Value = Services> {
        let check = prop_oneof![
            Just(HealthCheck::Tcp),
            "/[a-z/]{0,9}".prop_map(|path| HealthCheck::Https { path }),
            ("/[a-z/]{0,9}", 1u16..).prop_map(|(path, port)| HealthCheck::Http { path, port }),
        ];
        let address = || any::<(std::net::IpAddr, u16)>().prop_map(SocketAddr::from);
        let server = (address(), any::<bool>());
        let service = (
            "[a-z]{1,9}",
            prop::collection::vec(address(), 1..3),
            any::<bool>(),
            check,
            1u32..61,
            prop::collection::btree_map("[a-z]{1,9}(-[0-9])?", server, 0..4),
        );
        prop::collection::vec(service, 0..4).prop_map(|all| {
            let of = |(name, listen, source, check, interval_s, servers): (String, _, bool, _, _, BTreeMap<_, _>)| {
                let server = |(name, (address, backup)): (String, _)| LbServer {
                    name: name.parse().expect("a name"),
                    address,
                    backup,
                };
                let balance = if source { Balance::Source } else { Balance::RoundRobin };
                let servers = servers.into_iter().map(server).collect();
                let name: Hostname = name.parse().expect("a name");
                (name.clone(), LbService { name, listen, balance, check, interval_s, servers })
            };
            all.into_iter().map(of).collect()
        })
    }

    proptest! {
        #[test]
        fn every_set_is_read_back(services in services()) {
            prop_assert_eq!(parse(&render(&services)), Ok(services));
        }

        #[test]
        fn never_panics(at in 0usize..2000, text in "\\PC{0,30}") {
            let mut whole = render(&okd());
            let at = (0..=at.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
            whole.insert_str(at, &text);
            let _ = parse(&whole);
        }
    }
}
