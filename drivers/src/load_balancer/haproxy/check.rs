//! What HAProxy could not do, or would do to somebody else's harm, found before anything is changed.
//!
//! `haproxy -c` judges the text alone: it does not notice an address that another program, or another section,
//! listens on. A reload that fails for that reason takes all services away for two seconds (as tried with 2.6), so
//! it is found here.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};

use harmony_core::capability::{HealthCheck, LbService};

use super::text::{REVISION, Services};

/// Why services cannot be as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// A value.
    #[error("service `{service}` cannot have {what}")]
    Value {
        /// The service.
        service: String,
        /// What is wrong with what.
        what: String,
    },
    /// Two services on one address.
    #[error("services `{first}` and `{second}` would both listen on {address}")]
    SameAddress {
        /// One.
        first: String,
        /// The other.
        second: String,
        /// The address.
        address: SocketAddr,
    },
    /// The name is taken.
    #[error("HAProxy has a section `{0}` that Harmony did not make")]
    Foreign(String),
    /// The address is taken, or not this machine's.
    #[error("service `{service}` cannot listen on {address}: {reason}")]
    Listen {
        /// The service.
        service: String,
        /// The address.
        address: SocketAddr,
        /// Why.
        reason: std::io::ErrorKind,
    },
}

/// Checks the values of one service.
pub(super) fn values(service: &LbService) -> Result<(), ServiceError> {
    let name = service.name.as_str();
    let refuse = |what: String| Err(ServiceError::Value { service: name.to_owned(), what });
    if name != service.name.short() || name.starts_with(REVISION) {
        return refuse(format!("that name: letters, digits and `-` are allowed, `{REVISION}` at its begin is not"));
    }
    if !(1..=60).contains(&service.interval_s) {
        return refuse(format!("checks every {} s: 1 to 60 are allowed", service.interval_s));
    }
    if let HealthCheck::Https { path } | HealthCheck::Http { path, .. } = &service.check {
        // Quotes, `#`, `\` and `$` mean something to HAProxy, blanks end a word.
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~:@&=+,;?".contains(&b);
        if !(path.starts_with('/') && path.len() <= 1000 && path.bytes().all(allowed)) {
            return refuse(format!("the check's path `{}`", path.escape_default()));
        }
    }
    if service.listen.is_empty() {
        return refuse("no address to listen on".to_owned());
    }
    let checked = if let HealthCheck::Http { port, .. } = &service.check { Some(*port) } else { None };
    let servers = service.servers.iter().map(|server| server.address);
    for address in service.listen.iter().copied().chain(servers) {
        let has_scope = matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0 || v6.flowinfo() != 0);
        if address.port() == 0 || checked == Some(0) || has_scope {
            return refuse(format!("the address {address}: it needs a port, and no scope"));
        }
    }
    let mut names: Vec<&str> = service.servers.iter().map(|server| server.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return refuse(format!("two servers `{}`", twice[0]));
    }
    Ok(())
}

/// Services by name as HAProxy is given them, each checked.
pub(super) fn admitted(services: &[LbService]) -> Result<Services, ServiceError> {
    let admit = |service: &LbService| {
        values(service)?;
        let mut service = service.clone();
        service.servers.sort();
        Ok((service.name.clone(), service))
    };
    services.iter().map(admit).collect()
}

/// Checks that no two services listen on one address.
pub(super) fn apart(services: &Services) -> Result<(), ServiceError> {
    let mut taken: BTreeMap<SocketAddr, &str> = BTreeMap::new();
    for service in services.values() {
        for address in &service.listen {
            if let Some(first) = taken.insert(*address, service.name.as_str()) {
                let (first, second) = (first.to_owned(), service.name.to_string());
                return Err(ServiceError::SameAddress { first, second, address: *address });
            }
        }
    }
    Ok(())
}

/// Checks that what no service of ours listens on yet is free and this machine's. `ours` are all texts that may be in
/// use: what was cut off may have been read.
pub(super) fn free(wanted: &Services, ours: [&Services; 2]) -> Result<(), ServiceError> {
    let services = ours.into_iter().flat_map(Services::values);
    let held: Vec<SocketAddr> = services.flat_map(|service| service.listen.iter().copied()).collect();
    for service in wanted.values() {
        for address in service.listen.iter().filter(|address| !held.contains(address)) {
            match TcpListener::bind(address) {
                Err(error)
                    if [std::io::ErrorKind::AddrInUse, std::io::ErrorKind::AddrNotAvailable]
                        .contains(&error.kind()) =>
                {
                    let (service, address) = (service.name.to_string(), *address);
                    return Err(ServiceError::Listen { service, address, reason: error.kind() });
                }
                // That Harmony may not listen there does not tell that HAProxy may not.
                Ok(_) | Err(_) => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn values_that_would_change_the_texts_meaning_are_refused() {
        type Change = fn(&mut LbService);
        let https = |path: &str| HealthCheck::Https { path: path.to_owned() };
        assert_eq!(values(&samples::api()), Ok(()));
        let cases: [(Change, &str); 8] = [
            (|s| s.name = "ocp4.api".parse().expect("a name"), "`ocp4.api` cannot have that name"),
            (|s| s.name = "harmony-revision-x".parse().expect("a name"), "cannot have that name"),
            (|s| s.interval_s = 0, "cannot have checks every 0 s: 1 to 60"),
            (|s| s.interval_s = 61, "cannot have checks every 61 s"),
            (|s| s.listen.clear(), "cannot have no address to listen on"),
            (|s| s.listen[0].set_port(0), "cannot have the address 192.168.1.5:0"),
            (|s| s.servers[0].address = "[fe80::1%3]:1".parse().expect("an address"), "the address [fe80::1%3]:1"),
            (|s| s.servers[1].name = "bootstrap".parse().expect("a name"), "cannot have two servers `bootstrap`"),
        ];
        for (change, why) in cases {
            let mut service = samples::api();
            change(&mut service);
            let error = values(&service).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
        for path in ["", "readyz", "/a b", "/a\nserver x", "/$HOME", "/\"", "/#", "/\\"] {
            assert!(values(&LbService { check: https(path), ..samples::api() }).is_err(), "{path}");
        }
        let unchecked = HealthCheck::Http { path: "/".to_owned(), port: 0 };
        assert!(values(&LbService { check: unchecked, ..samples::api() }).is_err());
    }

    #[test]
    fn two_services_on_one_address_are_refused() {
        let (api, mut other) = (samples::api(), samples::api());
        other.name = "other".parse().expect("a name");
        let services = Services::from([(api.name.clone(), api.clone()), (other.name.clone(), other)]);
        let error = apart(&services).expect_err("both on one address").to_string();
        assert_eq!(error, "services `ocp4-api` and `other` would both listen on 192.168.1.5:6443");
        assert_eq!(apart(&Services::from([(api.name.clone(), api)])), Ok(()));
    }
}
