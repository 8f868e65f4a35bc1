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
use crate::topology::SimTopology;
use crate::world::State;

/// How long a lease is good.
const LEASE: Duration = Duration::from_secs(600);
/// When a client that is up renews. Source: RFC 2131 section 4.4.5, T1.
const RENEW: Duration = Duration::from_secs(300);
/// Log lines kept.
const MAX_LINES: usize = 20_000;

/// The server.
pub(crate) struct Dhcp {
    pool: AddressRange,
    reservations: BTreeMap<Hostname, Reservation>,
    /// By the MAC, so that one that asks for another reservation is found at once.
    reserved: BTreeMap<MacAddress, Hostname>,
    leases: BTreeMap<MacAddress, Held>,
    by_address: BTreeMap<IpAddr, MacAddress>,
    log: VecDeque<(MacAddress, String)>,
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
            reservations: BTreeMap::new(),
            reserved: BTreeMap::new(),
            leases: BTreeMap::new(),
            by_address: BTreeMap::new(),
            log: VecDeque::new(),
        }
    }

    fn say(&mut self, mac: MacAddress, now: Duration, text: &str) {
        if self.log.len() == MAX_LINES {
            self.log.pop_front();
        }
        let line = format!("{}.{:03} dnsmasq-dhcp: {text}", now.as_secs(), now.subsec_millis());
        self.log.push_back((mac, line));
    }

    /// A client's DISCOVER and REQUEST, answered.
    pub(crate) fn give(&mut self, mac: MacAddress, hostname: Option<&str>, now: Duration) -> Option<IpAddr> {
        self.say(mac, now, &format!("DHCPDISCOVER(prov) {mac}"));
        let address = self.choose(mac, now);
        let Some(address) = address else {
            self.say(mac, now, &format!("DHCPDISCOVER(prov) {mac} no address available"));
            return None;
        };
        let name = self.reserved.get(&mac).map(ToString::to_string).or_else(|| hostname.map(str::to_owned));
        // Another MAC of the same reservation had it, or an old lease that has run out.
        if let Some(before) = self.by_address.insert(address, mac).filter(|before| *before != mac) {
            self.leases.remove(&before);
        }
        let held = Held { address, hostname: name.clone(), since: now, released: None };
        if let Some(before) = self.leases.insert(mac, held).filter(|before| before.address != address) {
            self.by_address.remove(&before.address);
        }
        self.say(mac, now, &format!("DHCPACK(prov) {address} {mac} {}", name.unwrap_or_default()));
        Some(address)
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
        let is_free = |dhcp: &Self, address: &IpAddr| {
            holder(dhcp, address).is_none() && !dhcp.reservations.values().any(|kept| kept.address == *address)
        };
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
        for other in self.reservations.values().filter(|other| other.hostname != wanted.hostname) {
            if other.address == wanted.address {
                return Err(refuse(format!("it is reserved for {}", other.hostname)));
            }
            if let Some(mac) = other.macs.iter().find(|mac| wanted.macs.contains(mac)) {
                return Err(refuse(format!("{mac} belongs to {}", other.hostname)));
            }
        }
        self.drop_reservation(&wanted.hostname);
        self.reserved.extend(wanted.macs.iter().map(|mac| (*mac, wanted.hostname.clone())));
        self.reservations.insert(wanted.hostname.clone(), wanted.clone());
        Ok(())
    }

    fn drop_reservation(&mut self, hostname: &Hostname) {
        self.reserved.retain(|_, name| name != hostname);
        self.reservations.remove(hostname);
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
        let address = self.dhcp.give(mac, hostname, now)?;
        let name = self.machines[id].name.clone();
        self.note(now, &format!("{name}: DHCP gives {address} to {mac}"));
        let own = self.machines[id].macs();
        // Seen from outside: who else believes to have this address now?
        let other = self.machines.iter().find(|other| other.name != name && other.running.address() == Some(address));
        let other = other.map(|machine| machine.name.clone());
        let leased = self
            .dhcp
            .held(now)
            .find(|(mac, held)| held.address == address && !own.contains(mac))
            .map(|(mac, _)| mac.to_string());
        if let Some(other) = other.or(leased) {
            self.violate(Rule::AddressLeasedTwice, now, format!("{address} is given to {name} while {other} has it"));
        }
        Some(address)
    }
}

#[async_trait]
impl DhcpServer for SimTopology {
    async fn reservations(&self) -> DeviceResult<Vec<Reservation>> {
        self.world().ask().await;
        Ok(self.world().with(|state| state.dhcp.reservations.values().cloned().collect()))
    }

    async fn set_reservation(&self, reservation: &Reservation) -> DeviceResult<()> {
        let (path, text) = self.reservation_record(reservation);
        let command = format!("write {path}: {}", text.trim_end());
        let effect = async { self.world().with(|state| state.dhcp.reserve(reservation)) };
        self.world().write("dhcp", "prov", command, effect).await
    }

    async fn remove_reservation(&self, hostname: &Hostname) -> DeviceResult<()> {
        let effect = async {
            self.world().with(|state| state.dhcp.drop_reservation(hostname));
            Ok(())
        };
        self.world().write("dhcp", "prov", format!("remove hosts/{hostname}"), effect).await
    }

    async fn leases(&self) -> DeviceResult<Vec<Lease>> {
        self.world().ask().await;
        let now = self.world().now();
        self.world().with(|state| {
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
        self.world().ask().await;
        self.world().with(|state| {
            let lines = state.dhcp.log.iter().rev().filter(|(about, _)| *about == mac).take(limit);
            let mut lines: Vec<String> = lines.map(|(_, line)| line.clone()).collect();
            lines.reverse();
            Ok(lines)
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
        let (a, b) = (dhcp.give(mac(1), None, T0), dhcp.give(mac(2), None, T0));
        assert!(a.is_some() && b.is_some() && a != b);
        assert_eq!(dhcp.give(mac(1), None, T0), a, "the same again");
        assert_eq!(dhcp.give(mac(3), None, T0), None);
        dhcp.release(&[mac(1)], Duration::from_secs(1000));
        assert_eq!(dhcp.give(mac(3), None, Duration::from_secs(1001)), None, "the lease runs on");
        assert_eq!(dhcp.give(mac(3), None, LATE), a, "and ends, while the other is renewed");
    }

    #[test]
    fn a_reservation_serves_any_of_its_macs_but_waits_for_a_stranger() {
        let mut dhcp = dhcp(1);
        let pool = dhcp.give(mac(9), None, T0).expect("free");
        dhcp.reserve(&reservation("a", 100, &[1, 2])).expect("free");
        assert_ne!(dhcp.give(mac(1), None, T0), Some(pool), "the stranger keeps it");
        dhcp.release(&[mac(9)], T0);
        assert_eq!(dhcp.give(mac(1), None, LATE), Some(pool));
        assert_eq!(dhcp.give(mac(2), None, LATE), Some(pool), "the host boots from its other NIC");
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
