//! The DHCP server of the provisioning network, with dnsmasq's rules and words.
//!
//! A reserved address goes to whichever MAC of its reservation asks, unless a stranger still holds
//! it; everybody else gets an address of the pool, the same one again while it is free. A machine
//! that is up renews; one that is off loses its lease when that runs out.
//! Source: dnsmasq(8), `--dhcp-host`, `--dhcp-range`; dnsmasq `src/rfc2131.c` for the log's words.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{AddressRange, DhcpServer, Lease, Reservation};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::net::{Hostname, MacAddress};

use crate::checkers::Rule;
use crate::world::{Shared, State};

/// How long a lease is good.
const LEASE: Duration = Duration::from_secs(600);
/// When a client that is up renews. Source: RFC 2131 section 4.4.5, T1.
const RENEW: Duration = Duration::from_secs(300);
/// Log lines kept of each MAC.
const MAX_LINES: usize = 100;

/// The server.
pub(crate) struct Dhcp {
    pool: AddressRange,
    /// Whether the pool gives nothing away at present.
    pub(crate) is_exhausted: bool,
    reservations: BTreeMap<Hostname, Reservation>,
    /// Reserved addresses, so that the pool leaves them out at once.
    kept: BTreeMap<IpAddr, Hostname>,
    /// By the MAC, so that one that asks for another reservation is found at once.
    reserved: BTreeMap<MacAddress, Hostname>,
    leases: BTreeMap<MacAddress, Held>,
    by_address: BTreeMap<IpAddr, MacAddress>,
    log: BTreeMap<MacAddress, VecDeque<String>>,
}

#[derive(Debug, Clone)]
struct Held {
    address: IpAddr,
    hostname: Option<String>,
    /// When it was given.
    since: Duration,
    /// When its client stopped using it.
    released: Option<Duration>,
}

/// What a client was given.
pub(crate) struct Given {
    address: IpAddr,
    /// Another MAC that had the address until now, by a lease that had not run out.
    displaced: Option<MacAddress>,
}

impl Held {
    /// A client that uses it renews it again and again.
    fn ends(&self, now: Duration) -> Duration {
        let used = self.released.unwrap_or(now).saturating_sub(self.since);
        let renewals = u32::try_from(used.as_secs() / RENEW.as_secs()).unwrap_or(u32::MAX);
        self.since + RENEW.saturating_mul(renewals) + LEASE
    }

    fn is_held(&self, now: Duration) -> bool {
        self.ends(now) > now
    }
}

impl Dhcp {
    pub(crate) fn new(pool: AddressRange) -> Self {
        Self {
            pool,
            is_exhausted: false,
            kept: BTreeMap::new(),
            reservations: BTreeMap::new(),
            reserved: BTreeMap::new(),
            leases: BTreeMap::new(),
            by_address: BTreeMap::new(),
            log: BTreeMap::new(),
        }
    }

    fn say(&mut self, mac: MacAddress, now: Duration, text: &str) {
        let log = self.log.entry(mac).or_default();
        if log.len() == MAX_LINES {
            log.pop_front();
        }
        log.push_back(format!("{}.{:03} dnsmasq-dhcp: {text}", now.as_secs(), now.subsec_millis()));
    }

    /// A client's DISCOVER and REQUEST, answered.
    pub(crate) fn give(&mut self, mac: MacAddress, hostname: Option<&str>, now: Duration) -> Option<Given> {
        self.say(mac, now, &format!("DHCPDISCOVER(prov) {mac}"));
        let address = self.choose(mac, now);
        let Some(address) = address else {
            self.say(mac, now, &format!("DHCPDISCOVER(prov) {mac} no address available"));
            return None;
        };
        let name = self.reserved.get(&mac).map(ToString::to_string).or_else(|| hostname.map(str::to_owned));
        // Another MAC of the same reservation had it, or an old lease that has run out.
        let before = self.by_address.insert(address, mac).filter(|before| *before != mac);
        let displaced = before.filter(|before| self.leases.remove(before).is_some_and(|held| held.is_held(now)));
        let held = Held { address, hostname: name.clone(), since: now, released: None };
        if let Some(before) = self.leases.insert(mac, held).filter(|before| before.address != address) {
            self.by_address.remove(&before.address);
        }
        self.say(mac, now, &format!("DHCPACK(prov) {address} {mac} {}", name.unwrap_or_default()));
        Some(Given { address, displaced })
    }

    fn choose(&mut self, mac: MacAddress, now: Duration) -> Option<IpAddr> {
        let holder = |dhcp: &Self, address: &IpAddr| {
            let holder = dhcp.by_address.get(address).copied().filter(|holder| *holder != mac);
            holder.filter(|holder| dhcp.leases.get(holder).is_some_and(|held| held.is_held(now)))
        };
        let reservation = self.reserved.get(&mac).and_then(|name| self.reservations.get(name)).cloned();
        if let Some(Reservation { address, macs, .. }) = reservation {
            match holder(self, &address) {
                Some(stranger) if !macs.contains(&stranger) => {
                    self.say(
                        mac,
                        now,
                        &format!("not using configured address {address} because it is leased to {stranger}"),
                    );
                }
                Some(_) | None => return Some(address),
            }
        }
        let is_free =
            |dhcp: &Self, address: &IpAddr| holder(dhcp, address).is_none() && !dhcp.kept.contains_key(address);
        if self.is_exhausted {
            return None;
        }
        let before = self.leases.get(&mac).map(|held| held.address).filter(|address| self.is_in_pool(*address));
        before.filter(|address| is_free(self, address)).or_else(|| {
            let (first, last) = (u32::from(self.pool.first), u32::from(self.pool.last));
            let size = last.checked_sub(first)?.saturating_add(1);
            let start =
                mac.octets().iter().fold(0u32, |hash, octet| hash.wrapping_mul(31).wrapping_add(u32::from(*octet)));
            let nth = |step: u32| IpAddr::V4(Ipv4Addr::from(first + start.wrapping_add(step) % size));
            (0..size).map(nth).find(|address| is_free(self, address))
        })
    }

    fn is_in_pool(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(address) if self.pool.contains(address))
    }

    /// A client's DISCOVER that reaches nobody is not seen here; it tells only its own log.
    pub(crate) fn release(&mut self, macs: &[MacAddress], now: Duration) {
        for mac in macs {
            if let Some(held) = self.leases.get_mut(mac) {
                held.released.get_or_insert(now);
            }
        }
    }

    /// Who holds an address, by its MAC.
    pub(crate) fn holder(&self, address: IpAddr, now: Duration) -> Option<MacAddress> {
        let mac = self.by_address.get(&address)?;
        self.leases.get(mac).filter(|held| held.is_held(now)).map(|_| *mac)
    }

    fn held(&self, now: Duration) -> impl Iterator<Item = (&MacAddress, &Held)> {
        self.leases.iter().filter(move |(_, held)| held.is_held(now))
    }

    fn reserve(&mut self, wanted: &Reservation) -> DeviceResult<()> {
        let refuse = |what: String| {
            DeviceError::new(
                FailureKind::Conflict,
                format!("failed to reserve {} for {}: {what}", wanted.address, wanted.hostname),
            )
        };
        if let Some(other) = self.kept.get(&wanted.address).filter(|other| **other != wanted.hostname) {
            return Err(refuse(format!("it is reserved for {other}")));
        }
        for mac in &wanted.macs {
            if let Some(other) = self.reserved.get(mac).filter(|other| **other != wanted.hostname) {
                return Err(refuse(format!("{mac} belongs to {other}")));
            }
        }
        self.drop_reservation(&wanted.hostname);
        self.kept.insert(wanted.address, wanted.hostname.clone());
        self.reserved.extend(wanted.macs.iter().map(|mac| (*mac, wanted.hostname.clone())));
        self.reservations.insert(wanted.hostname.clone(), wanted.clone());
        Ok(())
    }

    fn drop_reservation(&mut self, hostname: &Hostname) {
        let Some(reservation) = self.reservations.remove(hostname) else { return };
        self.kept.remove(&reservation.address);
        for mac in &reservation.macs {
            self.reserved.remove(mac);
        }
    }
}

impl State {
    /// A client asks the DHCP server; the caller knows that its frames pass.
    pub(crate) fn lease(
        &mut self,
        id: usize,
        mac: MacAddress,
        hostname: Option<&str>,
        now: Duration,
    ) -> Option<IpAddr> {
        // Asked only of a client that would need the pool: the fault is counted.
        self.dhcp.is_exhausted = !self.dhcp.reserved.contains_key(&mac) && self.faults.exhausts_dhcp();
        let Given { address, displaced } = self.dhcp.give(mac, hostname, now)?;
        let name = self.machines[id].name.clone();
        self.note(now, &format!("{name}: DHCP gives {address} to {mac}"));
        // Seen from outside: who else believes to have this address now, or had a lease that has not run out?
        let believes = |other: &usize| *other != id && self.machines[*other].running.address() == Some(address);
        let other = (0..self.machines.len()).find(believes);
        let other = other.or_else(|| self.machine_by_mac(displaced?).filter(|other| *other != id));
        if let Some(other) = other.map(|other| self.machines[other].name.clone()) {
            self.violate(Rule::AddressLeasedTwice, now, format!("{address} is given to {name} while {other} has it"));
        }
        Some(address)
    }
}

#[async_trait]
impl DhcpServer for Shared {
    async fn reservations(&self) -> DeviceResult<Vec<Reservation>> {
        self.ask().await;
        Ok(self.with(|state| state.dhcp.reservations.values().cloned().collect()))
    }

    async fn set_reservation(&self, reservation: &Reservation) -> DeviceResult<()> {
        let (path, text) = self.reservation_record(reservation);
        let command = format!("write {path}: {}", text.trim_end());
        let effect = async { self.with(|state| state.dhcp.reserve(reservation)) };
        self.write("dhcp", "prov", command, effect).await
    }

    async fn remove_reservation(&self, hostname: &Hostname) -> DeviceResult<()> {
        let effect = async {
            self.with(|state| state.dhcp.drop_reservation(hostname));
            Ok(())
        };
        self.write("dhcp", "prov", format!("remove hosts/{hostname}"), effect).await
    }

    async fn leases(&self) -> DeviceResult<Vec<Lease>> {
        self.ask().await;
        let now = self.now();
        self.with(|state| {
            let lease = |(mac, held): (&MacAddress, &Held)| Lease {
                mac: *mac,
                address: held.address,
                hostname: held.hostname.clone(),
                expires_at: state.epoch.checked_add(held.ends(now)).ok(),
            };
            Ok(state.dhcp.held(now).map(lease).collect())
        })
    }

    async fn recent_log(&self, mac: MacAddress, limit: usize) -> DeviceResult<Vec<String>> {
        self.ask().await;
        self.with(|state| {
            let Some(log) = state.dhcp.log.get(&mac) else { return Ok(Vec::new()) };
            Ok(log.iter().skip(log.len().saturating_sub(limit)).cloned().collect())
        })
    }

    fn reservation_record(&self, reservation: &Reservation) -> (String, String) {
        let macs: Vec<String> = reservation.macs.iter().map(ToString::to_string).collect();
        let Reservation { hostname, address, .. } = reservation;
        (format!("hosts/{hostname}"), format!("{},{address},{hostname}\n", macs.join(",")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(last: u8) -> MacAddress {
        MacAddress::new([0x52, 0x54, 0, 0, 0, last])
    }

    fn dhcp(addresses: u8) -> Dhcp {
        Dhcp::new(AddressRange { first: [10, 0, 0, 100].into(), last: [10, 0, 0, 99 + addresses].into() })
    }

    fn give(dhcp: &mut Dhcp, mac: MacAddress, hostname: Option<&str>, now: Duration) -> Option<IpAddr> {
        dhcp.give(mac, hostname, now).map(|given| given.address)
    }

    fn reservation(name: &str, last: u8, macs: &[u8]) -> Reservation {
        Reservation {
            hostname: name.parse().expect("valid"),
            address: [10, 0, 0, last].into(),
            macs: macs.iter().map(|last| mac(*last)).collect(),
        }
    }

    const T0: Duration = Duration::ZERO;
    const LATE: Duration = Duration::from_secs(10_000);

    #[test]
    fn a_pool_runs_out_and_gets_back_what_is_no_longer_used() {
        let mut dhcp = dhcp(2);
        let (a, b) = (give(&mut dhcp, mac(1), None, T0), give(&mut dhcp, mac(2), None, T0));
        assert!(a.is_some() && b.is_some() && a != b);
        assert_eq!(give(&mut dhcp, mac(1), None, T0), a, "the same again");
        assert_eq!(give(&mut dhcp, mac(3), None, T0), None);
        dhcp.release(&[mac(1)], Duration::from_secs(1000));
        assert_eq!(give(&mut dhcp, mac(3), None, Duration::from_secs(1001)), None, "the lease runs on");
        assert_eq!(give(&mut dhcp, mac(3), None, LATE), a, "and ends, while the other is renewed");
    }

    #[test]
    fn a_reservation_serves_any_of_its_macs_but_waits_for_a_stranger() {
        let mut dhcp = dhcp(1);
        let pool = give(&mut dhcp, mac(9), None, T0).expect("free");
        dhcp.reserve(&reservation("a", 100, &[1, 2])).expect("free");
        assert_ne!(give(&mut dhcp, mac(1), None, T0), Some(pool), "the stranger keeps it");
        dhcp.release(&[mac(9)], T0);
        assert_eq!(give(&mut dhcp, mac(1), None, LATE), Some(pool));
        assert_eq!(give(&mut dhcp, mac(2), None, LATE), Some(pool), "the host boots from its other NIC");
        assert_eq!(dhcp.held(LATE).count(), 1);
    }

    #[test]
    fn reservations_do_not_overlap_and_are_replaced_whole() {
        let mut dhcp = dhcp(1);
        dhcp.reserve(&reservation("a", 11, &[1, 2])).expect("free");
        for overlap in [reservation("b", 11, &[3]), reservation("b", 12, &[2])] {
            assert_eq!(dhcp.reserve(&overlap).map_err(|e| e.kind()), Err(FailureKind::Conflict));
        }
        dhcp.reserve(&reservation("a", 12, &[1])).expect("its own");
        dhcp.reserve(&reservation("b", 11, &[2])).expect("given up");
    }
}
