//! Settings: `${uuid}`, `${net0/mac:hexhyp}`, `${x}` after `set x`.
//!
//! A setting is bytes and a type; the type after a colon says how the bytes are shown. What is not
//! there, and what cannot be read, is empty, as in iPXE.
//! Source: iPXE `src/core/settings.c` (`expand_settings`, `parse_setting_name`, the formats), `src/net/netdev_settings.c`,
//! `src/interface/smbios/smbios_settings.c`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use harmony_core::net::MacAddress;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use super::{Facts, Platform};

/// Longest value, in bytes.
const MAX_VALUE_BYTES: usize = 1 << 16;
/// Replacements in one word.
const MAX_EXPANSIONS: usize = 1000;
/// Settings that scripts may make.
const MAX_SETTINGS: usize = 1000;
/// What `:uristring` leaves as it is. Source: RFC 3986 section 2.3.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What DHCP gave to a NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Index of the NIC.
    pub nic: usize,
    /// Its address.
    pub address: Ipv4Addr,
    /// `${next-server}`.
    pub next_server: Option<Ipv4Addr>,
    /// `${filename}`.
    pub filename: Option<String>,
}

/// All settings.
pub(super) struct Settings {
    facts: Facts,
    /// `netX`: the NIC that was opened last.
    latest: usize,
    leases: BTreeMap<usize, Lease>,
    /// What scripts have set, by block and name.
    own: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    raw: Vec<u8>,
    kind: Kind,
}

/// How bytes are written and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    String,
    UriString,
    Ipv4,
    /// So many bytes, with a sign.
    Int(usize),
    /// So many bytes, shown in hex.
    Uint(usize),
    Hex,
    HexHyp,
    HexRaw,
    Base64,
    Uuid,
}

impl Kind {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String,
            "uristring" => Self::UriString,
            "ipv4" => Self::Ipv4,
            "int8" => Self::Int(1),
            "int16" => Self::Int(2),
            "int32" => Self::Int(4),
            "uint8" => Self::Uint(1),
            "uint16" => Self::Uint(2),
            "uint32" => Self::Uint(4),
            "hex" => Self::Hex,
            "hexhyp" => Self::HexHyp,
            "hexraw" => Self::HexRaw,
            "base64" => Self::Base64,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    /// The bytes that a text stands for.
    fn read(self, text: &str) -> Option<Vec<u8>> {
        let octets = |separators: &[char]| {
            let parts = text.split(separators).map(|part| u8::from_str_radix(part, 16).ok());
            parts.collect::<Option<Vec<u8>>>()
        };
        match self {
            Self::String => Some(text.as_bytes().to_vec()),
            Self::UriString => Some(percent_encoding::percent_decode_str(text).collect()),
            Self::Ipv4 => text.parse::<Ipv4Addr>().ok().map(|address| address.octets().to_vec()),
            Self::Int(bytes) | Self::Uint(bytes) => {
                let number = integer(text)?;
                Some(number.to_be_bytes()[8 - bytes..].to_vec())
            }
            Self::Hex => octets(&[':']),
            Self::HexHyp => octets(&['-']),
            Self::HexRaw => {
                let digits: Vec<char> = text.chars().collect();
                let pair = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok();
                digits.chunks(2).map(pair).collect()
            }
            Self::Base64 => BASE64_STANDARD.decode(text).ok(),
            Self::Uuid => text.parse::<Uuid>().ok().map(|uuid| uuid.as_bytes().to_vec()),
        }
    }

    /// The text that bytes are shown as. None if they are not of this type.
    fn show(self, raw: &[u8]) -> Option<String> {
        let octets = |separator: &str| {
            let octets: Vec<String> = raw.iter().map(|byte| format!("{byte:02x}")).collect();
            octets.join(separator)
        };
        Some(match self {
            Self::String => String::from_utf8_lossy(raw).into_owned(),
            Self::UriString => utf8_percent_encode(&String::from_utf8_lossy(raw), UNRESERVED).to_string(),
            Self::Ipv4 => Ipv4Addr::from(<[u8; 4]>::try_from(raw).ok()?).to_string(),
            Self::Int(bytes) => number(raw, bytes, true)?.to_string(),
            Self::Uint(bytes) => format!("{:#x}", number(raw, bytes, false)?),
            Self::Hex => octets(":"),
            Self::HexHyp => octets("-"),
            Self::HexRaw => octets(""),
            Self::Base64 => BASE64_STANDARD.encode(raw),
            Self::Uuid => Uuid::from_slice(raw).ok()?.to_string(),
        })
    }
}

/// The number in the last bytes.
fn number(raw: &[u8], bytes: usize, signed: bool) -> Option<i64> {
    if raw.is_empty() || raw.len() > 8 {
        return None;
    }
    let negative = signed && raw.len() == bytes && raw[0] & 0x80 != 0;
    let start = if negative { -1 } else { 0 };
    Some(raw.iter().fold(start, |number: i64, byte| (number << 8) | i64::from(*byte)))
}

/// A number as `strtoul` with base 0 reads it, the whole of the text. Source: iPXE `src/core/parseopt.c`.
pub(super) fn integer(text: &str) -> Option<i64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

impl Settings {
    pub(super) fn new(facts: Facts, nic: usize) -> Self {
        Self { facts, latest: nic, leases: BTreeMap::new(), own: BTreeMap::new() }
    }

    pub(super) fn lease(&mut self, lease: Lease) {
        self.latest = lease.nic;
        self.leases.insert(lease.nic, lease);
    }

    /// A NIC was opened.
    pub(super) fn opened(&mut self, nic: usize) {
        self.latest = nic;
    }

    /// A NIC by its name: `net0`, `netX`.
    pub(super) fn nic(&self, name: &str) -> Option<usize> {
        let number = match name.strip_prefix("net")? {
            "X" => self.latest,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            _ => return None,
        };
        (number < self.facts.nics.len()).then_some(number)
    }

    /// A word with every `${…}` replaced, the innermost first, and again until there are none. None if that
    /// would be more than iPXE has memory for.
    pub(super) fn expand(&self, word: &str) -> Option<String> {
        let mut text = word.to_owned();
        for _ in 0..MAX_EXPANSIONS {
            let Some((start, end)) = innermost(&text) else { return Some(text) };
            let value = self.get(&text[start + 2..end]).unwrap_or_default();
            text.replace_range(start..=end, &value);
            if text.len() > MAX_VALUE_BYTES {
                return None;
            }
        }
        None
    }

    /// A setting as text, by `block/name:type`.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let (name, kind) = split(name)?;
        let value = self.value(name)?;
        kind.unwrap_or(value.kind).show(&value.raw)
    }

    fn value(&self, name: &str) -> Option<Value> {
        let (block, key) = name.rsplit_once('/').unwrap_or(("", name));
        let text = |text: &str| Some(Value { raw: text.as_bytes().to_vec(), kind: Kind::String });
        if let Some(nic) = self.nic(block) {
            return self.own.get(&format!("net{nic}/{key}")).cloned().or_else(|| self.of_nic(nic, key));
        }
        if !block.is_empty() && block != "smbios" {
            return None;
        }
        if let Some(value) = self.own.get(key) {
            return Some(value.clone());
        }
        match key {
            "uuid" => Some(Value { raw: self.facts.uuid.as_bytes().to_vec(), kind: Kind::Uuid }),
            "serial" => text(&self.facts.serial),
            "manufacturer" => text(&self.facts.manufacturer),
            "product" => text(&self.facts.product),
            "platform" => text(match self.facts.platform {
                Platform::Pcbios => "pcbios",
                Platform::Efi => "efi",
            }),
            "buildarch" => text(match self.facts.platform {
                // `undionly.kpxe` and the ROMs of PC BIOS are 32-bit programs.
                Platform::Pcbios => "i386",
                Platform::Efi => "x86_64",
            }),
            "version" => text("1.21.1"),
            _ => self.of_nic(self.latest, key),
        }
    }

    fn of_nic(&self, nic: usize, key: &str) -> Option<Value> {
        let hex = |mac: MacAddress| Value { raw: mac.octets().to_vec(), kind: Kind::Hex };
        let address = |address: Ipv4Addr| Value { raw: address.octets().to_vec(), kind: Kind::Ipv4 };
        let lease = self.leases.get(&nic);
        match key {
            "mac" => self.facts.nics.get(nic).copied().map(hex),
            "ip" => lease.map(|lease| address(lease.address)),
            "next-server" => lease?.next_server.map(address),
            "filename" => {
                let filename = lease?.filename.clone()?;
                Some(Value { raw: filename.into_bytes(), kind: Kind::String })
            }
            _ => None,
        }
    }

    /// Sets a setting; nothing deletes it.
    ///
    /// # Errors
    /// iPXE's words.
    pub(super) fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        let (key, kind) = split(name).ok_or_else(|| format!("\"{name}\": unrecognised setting type"))?;
        let kind = kind.unwrap_or(Kind::String);
        let key = self.own_key(key)?;
        if text.is_empty() {
            self.own.remove(&key);
            return Ok(());
        }
        let raw = kind.read(text).filter(|raw| raw.len() <= MAX_VALUE_BYTES);
        let raw = raw.ok_or_else(|| format!("Could not store \"{key}\": Invalid argument"))?;
        if self.own.len() >= MAX_SETTINGS && !self.own.contains_key(&key) {
            return Err(format!("Could not store \"{key}\": Not enough space"));
        }
        self.own.insert(key, Value { raw, kind });
        Ok(())
    }

    /// Adds to a number; what is none yet counts as 0.
    ///
    /// # Errors
    /// iPXE's words.
    pub(super) fn increment(&mut self, name: &str, by: i64) -> Result<(), String> {
        let (key, kind) = split(name).ok_or_else(|| format!("\"{name}\": unrecognised setting type"))?;
        let before = self.value(key);
        let kind = kind.or_else(|| before.as_ref().map(|value| value.kind));
        let kind = kind.filter(|kind| matches!(kind, Kind::Int(_) | Kind::Uint(_))).unwrap_or(Kind::Int(4));
        let bytes = match kind {
            Kind::Int(bytes) | Kind::Uint(bytes) => bytes,
            _ => 4,
        };
        let is_number = before.as_ref().is_some_and(|value| matches!(value.kind, Kind::Int(_) | Kind::Uint(_)));
        let number = before.filter(|_| is_number).and_then(|value| number(&value.raw, bytes, true)).unwrap_or(0);
        let raw = number.wrapping_add(by).to_be_bytes()[8 - bytes..].to_vec();
        let key = self.own_key(key)?;
        self.own.insert(key, Value { raw, kind });
        Ok(())
    }

    /// Where a script's own setting is kept. NICs that are not there have no settings.
    fn own_key(&self, name: &str) -> Result<String, String> {
        let Some((block, key)) = name.rsplit_once('/') else { return Ok(name.to_owned()) };
        match self.nic(block) {
            Some(nic) => Ok(format!("net{nic}/{key}")),
            None if block.starts_with("net") => Err(format!("\"{name}\": no such setting")),
            None => Ok(name.to_owned()),
        }
    }
}

/// Name and type. None if the type is unknown.
fn split(name: &str) -> Option<(&str, Option<Kind>)> {
    match name.split_once(':') {
        Some((name, kind)) => Some((name, Some(Kind::parse(kind)?))),
        None => Some((name, None)),
    }
}

/// Where the innermost `${…}` begins and ends.
fn innermost(text: &str) -> Option<(usize, usize)> {
    let mut start = None;
    for (at, byte) in text.bytes().enumerate() {
        if text.as_bytes()[at..].starts_with(b"${") {
            start = Some(at);
        }
        if let (Some(start), b'}') = (start, byte) {
            return Some((start, at));
        }
    }
    None
}
