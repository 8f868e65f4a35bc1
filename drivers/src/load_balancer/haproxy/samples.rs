//! The services of a whole cluster, for the tests.

use harmony_core::capability::{Balance, HealthCheck, LbServer, LbService};

fn server(name: &str, address: &str) -> LbServer {
    LbServer {
        name: name.parse().expect("a name"),
        address: address.parse().expect("an address"),
        backup: name == "bootstrap",
    }
}

/// A service whose servers are the hosts of these names from .96 on.
fn service(name: &str, port: u16, balance: Balance, check: HealthCheck, servers: &[(&str, u8)]) -> LbService {
    LbService {
        name: name.parse().expect("a name"),
        listen: vec![([192, 168, 1, 5], port).into()],
        balance,
        check,
        interval_s: 5,
        servers: servers.iter().map(|(name, last)| server(name, &format!("192.168.1.{last}:{port}"))).collect(),
    }
}

const CONTROL: [(&str, u8); 4] = [("bootstrap", 96), ("master-0", 97), ("master-1", 98), ("master-2", 99)];
const WORKERS: [(&str, u8); 2] = [("worker-0", 100), ("worker-1", 101)];

pub(crate) fn api() -> LbService {
    service("ocp4-api", 6443, Balance::RoundRobin, HealthCheck::Https { path: "/readyz".to_owned() }, &CONTROL)
}

/// API, machine configs, ingress.
pub(crate) fn okd() -> Vec<LbService> {
    let router = HealthCheck::Http { path: "/healthz/ready".to_owned(), port: 1936 };
    vec![
        api(),
        service("ocp4-machine-config", 22623, Balance::RoundRobin, HealthCheck::Tcp, &CONTROL),
        service("ocp4-ingress-http", 80, Balance::Source, router.clone(), &WORKERS),
        service("ocp4-ingress-https", 443, Balance::Source, router, &WORKERS),
    ]
}
