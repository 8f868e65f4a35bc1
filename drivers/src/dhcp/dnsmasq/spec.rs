//! What the site file says of dnsmasq, what the site adds to it, and the configuration that follows.
//!
//! Owns the text of `dnsmasq.conf`. Every value that goes into it is checked for that language first.
//! Source: dnsmasq(8) of version 2.90; option 93 codes: IANA "Processor Architecture Types".

use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harmony_core::capability::AddressRange;
use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// `[dhcp]` with `driver = "dnsmasq"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsmasqSpec {
    /// The interface on the provisioning network; no other is served.
    pub interface: InterfaceName,
    /// The program; by default `dnsmasq` from `PATH`. It must end up as a process of that name, so a
    /// wrapper has to `exec` it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
}

/// A network interface of this machine: 1 to 15 letters, digits, `-`, `_`, `.`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceName(String);

impl InterfaceName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for InterfaceName {
    type Error = DnsmasqConfigError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let valid = (1..=15).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && !name.starts_with(['-', '.']);
        if valid {
            Ok(Self(name))
        } else {
            Err(DnsmasqConfigError::new("interface", &name, "1 to 15 letters, digits, `-`, `_`, `.`"))
        }
    }
}

impl From<InterfaceName> for String {
    fn from(name: InterfaceName) -> Self {
        name.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the site adds: its network, and what boots there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsmasqConfig {
    /// Folder of configuration, reservations, leases and log. Made if absent; one dnsmasq each.
    pub state_dir: PathBuf,
    /// Our address on the interface, with its prefix.
    pub address: Ipv4Net,
    /// Addresses given to hosts without a reservation.
    pub pool: AddressRange,
    /// How long a lease holds; at least two minutes, which is dnsmasq's minimum.
    pub lease: Duration,
    /// A prefix to announce. iPXE waits about eight seconds for an announcement on every boot, so
    /// having one saves that time; our interface must have an address in it.
    pub announce: Option<Ipv6Net>,
    /// Whom hosts are told to send everything else to; this machine, where nobody is named.
    pub router: Option<Ipv4Addr>,
    /// Whom they are told to ask for names; nobody, where none is named.
    pub dns: Vec<Ipv4Addr>,
    /// Whom they are told to ask for the time.
    pub ntp: Vec<Ipv4Addr>,
    /// What firmware and iPXE are told to load.
    pub boot: BootFiles,
}

/// What firmware and iPXE are told to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFiles {
    /// What iPXE runs: `http://10.10.0.1:8080/boot.ipxe`.
    pub script_url: String,
    /// Who serves the two files below over TFTP.
    pub tftp: Ipv4Addr,
    /// For PC BIOS, `undionly.kpxe`.
    pub bios: String,
    /// For 64-bit UEFI, `ipxe.efi`.
    pub efi64: String,
    /// For UEFI that boots over HTTP: `http://10.10.0.1:8080/ipxe.efi`.
    pub efi64_url: String,
}

/// A value that cannot go into dnsmasq's configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` cannot be `{value}`: {reason}")]
pub struct DnsmasqConfigError {
    /// Which value.
    field: &'static str,
    /// The value, cut to 80 characters, control characters escaped.
    value: String,
    /// What is allowed.
    reason: &'static str,
}

impl DnsmasqConfigError {
    pub(crate) fn new(field: &'static str, value: &str, reason: &'static str) -> Self {
        Self { field, value: value.chars().take(80).flat_map(char::escape_default).collect(), reason }
    }
}

/// Refuses what would end or split a value: dnsmasq reads quotes, backslashes, commas and `#`.
pub(crate) fn plain<'a>(field: &'static str, value: &'a str) -> Result<&'a str, DnsmasqConfigError> {
    let allowed = |b: u8| b.is_ascii_graphic() && !b"\"\\,#".contains(&b);
    if !value.is_empty() && value.bytes().all(allowed) {
        return Ok(value);
    }
    Err(DnsmasqConfigError::new(
        field,
        value,
        "printable characters without blanks, quotes, `\\`, `,` and `#` are allowed",
    ))
}

/// The files of one dnsmasq.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) folder: PathBuf,
    pub(super) config: PathBuf,
    pub(super) hosts: PathBuf,
    pub(super) leases: PathBuf,
    pub(super) log: PathBuf,
}

impl Files {
    pub(super) fn new(folder: &Path) -> Self {
        let file = |name| folder.join(name);
        Self {
            folder: folder.to_owned(),
            config: file("dnsmasq.conf"),
            hosts: file("hosts"),
            leases: file("leases"),
            log: file("dnsmasq.log"),
        }
    }
}

impl DnsmasqConfig {
    /// The configuration; the same text for the same site.
    pub(super) fn text(&self, interface: &InterfaceName, files: &Files) -> Result<String, DnsmasqConfigError> {
        let AddressRange { first, last } = self.pool;
        let net = self.address.trunc();
        if !(net.contains(&first) && net.contains(&last) && first <= last) {
            return Err(DnsmasqConfigError::new(
                "pool",
                &format!("{first}-{last}"),
                "a range inside the provisioning network",
            ));
        }
        let folder = plain("state_dir", files.folder.to_str().unwrap_or("\u{fffd}"))?;
        let script = plain("script_url", &self.boot.script_url)?;
        let (bios, efi64) = (plain("bios", &self.boot.bios)?, plain("efi64", &self.boot.efi64)?);
        let efi64_url = plain("efi64_url", &self.boot.efi64_url)?;
        let (tftp, mask, lease) = (self.boot.tftp, net.netmask(), self.lease.as_secs().max(120));
        let announce = self.announce.map_or(String::new(), |net| {
            format!(
                "enable-ra\ndhcp-range={},ra-only,{}\nra-param={interface},10,0\n",
                net.trunc().addr(),
                net.prefix_len()
            )
        });
        let list = |addresses: &[Ipv4Addr]| addresses.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(",");
        let options = [("router", self.router.as_slice()), ("dns-server", &self.dns), ("ntp-server", &self.ntp)];
        let options = options.into_iter().filter(|(_, addresses)| !addresses.is_empty());
        let options: String =
            options.map(|(name, addresses)| format!("dhcp-option=option:{name},{}\n", list(addresses))).collect();
        Ok(format!(
            "\
# Written by Harmony at every start of this dnsmasq; edits are lost.
# No DNS. Root, because the folder may be readable to nobody else.
port=0
user=root
pid-file
interface={interface}
except-interface=lo
bind-dynamic
log-dhcp
log-facility={folder}/dnsmasq.log
dhcp-leasefile={folder}/leases
dhcp-hostsdir={folder}/hosts
# The only DHCP server here. Probing an address with ping would cost each client seconds.
dhcp-authoritative
no-ping
# A host's firmware, iPXE, initramfs and system name themselves differently: the MAC decides.
dhcp-ignore-clid
dhcp-range=set:prov,{first},{last},{mask},{lease}
{options}\
dhcp-userclass=set:ipxe,iPXE
dhcp-match=set:bios,option:client-arch,0
dhcp-match=set:efi64,option:client-arch,7
dhcp-match=set:efi64,option:client-arch,9
dhcp-vendorclass=set:httpc,HTTPClient:Arch:00016
dhcp-boot=tag:ipxe,{script}
dhcp-boot=tag:bios,tag:!ipxe,{bios},,{tftp}
dhcp-boot=tag:efi64,tag:!ipxe,{efi64},,{tftp}
dhcp-option-force=tag:httpc,tag:!ipxe,60,HTTPClient
dhcp-boot=tag:httpc,tag:!ipxe,{efi64_url}
{announce}"
        ))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn config() -> DnsmasqConfig {
        DnsmasqConfig {
            state_dir: "/var/lib/harmony/dhcp".into(),
            address: "10.10.0.1/24".parse().expect("valid"),
            pool: AddressRange { first: Ipv4Addr::new(10, 10, 0, 100), last: Ipv4Addr::new(10, 10, 0, 199) },
            lease: Duration::from_secs(600),
            announce: "fd10:10::/64".parse().ok(),
            router: Some(Ipv4Addr::new(10, 10, 0, 254)),
            dns: vec![Ipv4Addr::new(10, 10, 0, 1), Ipv4Addr::new(10, 10, 0, 2)],
            ntp: Vec::new(),
            boot: BootFiles {
                script_url: "http://10.10.0.1:8080/boot.ipxe".into(),
                tftp: Ipv4Addr::new(10, 10, 0, 1),
                bios: "undionly.kpxe".into(),
                efi64: "ipxe.efi".into(),
                efi64_url: "http://10.10.0.1:8080/ipxe.efi".into(),
            },
        }
    }

    fn interface() -> InterfaceName {
        InterfaceName::try_from("ctl0".to_owned()).expect("valid")
    }

    #[test]
    fn the_whole_configuration() {
        let config = config();
        insta::assert_snapshot!(config.text(&interface(), &Files::new(&config.state_dir)).expect("valid"));
    }

    #[test]
    fn values_that_would_change_its_meaning_are_refused() {
        type Change = fn(&mut DnsmasqConfig);
        let cases: [(Change, &str); 5] = [
            (|c| c.boot.bios = "a\nport=53".into(), "`bios` cannot be `a\\nport=53`: printable characters"),
            (|c| c.boot.efi64 = "a,b".into(), "`efi64` cannot be `a,b`"),
            (|c| c.boot.script_url = String::new(), "`script_url` cannot be ``"),
            (|c| c.state_dir = "/tmp/a b".into(), "`state_dir` cannot be `/tmp/a b`"),
            (|c| c.pool.last = Ipv4Addr::new(10, 10, 1, 9), "`pool` cannot be `10.10.0.100-10.10.1.9`: a range inside"),
        ];
        for (change, text) in cases {
            let mut config = config();
            change(&mut config);
            let error = config.text(&interface(), &Files::new(&config.state_dir)).expect_err(text).to_string();
            assert!(error.starts_with(text), "{error}");
        }
    }

    #[test]
    fn the_site_file_is_checked() {
        let spec: DnsmasqSpec = toml::from_str("interface = \"ctl0\"").expect("valid");
        assert_eq!(spec.interface.as_str(), "ctl0");
        for text in [
            "interface = \"a b\"",
            "interface = \"-x\"",
            "interface = \"abcdefghijklmnop\"",
            "interface = \"x\"\nport = 1",
            "",
        ] {
            assert!(toml::from_str::<DnsmasqSpec>(text).is_err(), "{text}");
        }
    }
}
