//! Records as lines of dnsmasq's configuration, and back; and the names that somebody else's hosts files have.
//!
//! What dnsmasq 2.90 does, as tried. `host-record` answers for the address as well, but with one name of it only:
//! `ptr-record` goes before that, and may be repeated. A name whose address must not lead back needs `dns-rr`, and a
//! `txt-record` so that it is there when asked for the other kind of address (a resolver may take "no such name" for
//! the whole answer). `address` answers for every name below, and for the name itself; `local` beside it makes it be
//! there for the other kind.
//! Source: dnsmasq(8).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use harmony_core::capability::DnsRecord;
use harmony_core::net::DnsName;

use super::super::message::reverse_name;

/// The line after which records follow.
const BEGIN: &str = "# Records.";
/// Bytes of somebody else's hosts file that are read.
const MAX_HOSTS_BYTES: u64 = 4 << 20;

/// Records by name.
pub(super) type Records = BTreeMap<DnsName, DnsRecord>;

/// A line that Harmony did not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not as Harmony writes it: `{text}`")]
pub struct RecordsError {
    /// Which, from 1.
    pub line: usize,
    /// What it says, cut, control characters escaped.
    pub text: String,
}

/// The lines of one record.
pub(super) fn lines(record: &DnsRecord) -> String {
    let (name, address) = (&record.name, record.address);
    if name.is_wildcard() {
        return format!("address=/{base}/{address}\nlocal=/{base}/\n", base = name.base());
    }
    if record.reverse {
        return format!("host-record={name},{address}\nptr-record={},{name}\n", reverse_name(address));
    }
    let (kind, octets) = match address {
        IpAddr::V4(v4) => (1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (28, v6.octets().to_vec()),
    };
    let hex = octets.iter().fold(String::new(), |mut hex, octet| {
        let _ = write!(hex, "{octet:02x}");
        hex
    });
    format!("dns-rr={name},{kind},{hex}\ntxt-record={name},\"its address does not lead back\"\n")
}

/// The whole file.
pub(super) fn render(head: &str, records: &Records) -> String {
    let lines: String = records.values().map(lines).collect();
    format!("{head}{BEGIN}\n{lines}")
}

/// The records of a file; an empty one has none.
///
/// # Errors
/// At the first line that Harmony did not write.
pub(super) fn parse(text: &str) -> Result<Records, RecordsError> {
    let wrong = |at: usize, line: &str| RecordsError {
        line: at + 1,
        text: line.chars().take(80).flat_map(char::escape_default).collect(),
    };
    let mut records = Records::new();
    let Some(begin) = text.lines().position(|line| line == BEGIN) else {
        return if text.trim().is_empty() { Ok(records) } else { Err(wrong(text.lines().count(), "")) };
    };
    let mut rest = text.lines().enumerate().skip(begin + 1);
    while let Some((at, line)) = rest.next() {
        let record = record(line).ok_or_else(|| wrong(at, line))?;
        // What it stands for is written again: the line itself and those that belong to it must come out.
        for (offset, expected) in lines(&record).lines().enumerate() {
            let (at, line) = if offset == 0 { (at, line) } else { rest.next().unwrap_or((at + offset, "")) };
            if line != expected {
                return Err(wrong(at, line));
            }
        }
        if let Some(twice) = records.insert(record.name.clone(), record) {
            return Err(wrong(at, twice.name.as_str()));
        }
    }
    Ok(records)
}

/// What the first line of a record stands for.
fn record(line: &str) -> Option<DnsRecord> {
    let (key, value) = line.split_once('=')?;
    match key {
        "host-record" => {
            let (name, address) = value.split_once(',')?;
            Some(DnsRecord { name: name.parse().ok()?, address: address.parse().ok()?, reverse: true })
        }
        "address" => {
            let (base, address) = value.strip_prefix('/')?.split_once('/')?;
            let name = format!("*.{base}").parse().ok()?;
            Some(DnsRecord { name, address: address.parse().ok()?, reverse: false })
        }
        "dns-rr" => {
            let mut words = value.split(',');
            let (name, _, hex) = (words.next()?, words.next()?, words.next()?);
            let address = match hex.len() {
                8 => IpAddr::V4(u32::from_str_radix(hex, 16).ok()?.into()),
                32 => IpAddr::V6(u128::from_str_radix(hex, 16).ok()?.into()),
                _ => return None,
            };
            Some(DnsRecord { name: name.parse().ok()?, address, reverse: false })
        }
        _ => None,
    }
}

/// Whether a hosts file has a name. Source: hosts(5).
pub(super) fn hosts_file_has(path: &Path, name: &DnsName) -> std::io::Result<bool> {
    let mut text = Vec::new();
    match std::fs::File::open(path) {
        // dnsmasq goes without it as well.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        file => file?.take(MAX_HOSTS_BYTES).read_to_end(&mut text)?,
    };
    let text = String::from_utf8_lossy(&text);
    let names = text.lines().flat_map(|line| line.split('#').next().unwrap_or("").split_whitespace().skip(1));
    Ok(names.into_iter().any(|known| known.trim_end_matches('.').eq_ignore_ascii_case(name.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record_of(name: &str, address: &str, reverse: bool) -> DnsRecord {
        let (name, address) = (name.parse().expect("a name"), address.parse().expect("an address"));
        DnsRecord { name, address, reverse }
    }

    fn all() -> Records {
        [
            record_of("api.ocp4.example.com", "192.168.1.5", true),
            record_of("api-int.ocp4.example.com", "192.168.1.5", true),
            record_of("*.apps.ocp4.example.com", "192.168.1.8", false),
            record_of("console.apps.ocp4.example.com", "192.168.1.9", false),
            record_of("six.ocp4.example.com", "fd00::5", true),
            record_of("quiet.ocp4.example.com", "fd00::6", false),
        ]
        .into_iter()
        .map(|record| (record.name.clone(), record))
        .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let text = render("port=53\n", &all());
        insta::assert_snapshot!(text);
        assert_eq!(parse(&text), Ok(all()));
        for none in ["", "\n", render("port=53\n", &Records::new()).as_str()] {
            assert_eq!(parse(none), Ok(Records::new()));
        }
    }

    #[test]
    fn a_change_by_hand_is_named() {
        let text = render("port=53\n", &all());
        for (from, to, line, shown) in [
            ("# Records.", "# Mine.", 15, ""),
            (
                "host-record=api-int.ocp4",
                "host-record=api_int.ocp4",
                5,
                "host-record=api_int.ocp4.example.com,192.168.1.5",
            ),
            (
                "ptr-record=5.1.168.192.in-addr.arpa,api-int",
                "ptr-record=6.1.168.192.in-addr.arpa,api-int",
                6,
                "ptr-record=6.",
            ),
            ("local=/apps", "local=/app", 4, "local=/app"),
            (
                "dns-rr=console.apps.ocp4.example.com,1,",
                "dns-rr=console.apps.ocp4.example.com,28,",
                9,
                "dns-rr=console",
            ),
            ("host-record=api.", "cname=x,y\nhost-record=api.", 7, "cname=x,y"),
        ] {
            let error = parse(&text.replacen(from, to, 1)).expect_err(to);
            assert!(error.text.starts_with(shown), "{error}");
            assert_eq!(error.line, line, "{error}");
        }
        let twice = format!("{text}{}", lines(&record_of("api.ocp4.example.com", "192.168.1.6", true)));
        assert_eq!(parse(&twice).expect_err("twice").text, "api.ocp4.example.com");
        let cut = text.trim_end().rsplit_once('\n').expect("lines").0;
        assert!(parse(cut).is_err());
    }

    #[test]
    fn names_of_a_hosts_file() {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "127.0.0.1 localhost\n192.168.1.7\tNas.lab nas # not: x.lab\n#1.2.3.4 y.lab\n")
            .expect("written");
        let has = |name: &str| hosts_file_has(file.path(), &name.parse().expect("a name")).expect("read");
        assert!(has("nas.lab") && has("nas") && has("localhost"));
        assert!(!has("x.lab") && !has("y.lab") && !has("192.168.1.7") && !has("*.lab"));
        assert!(!hosts_file_has(Path::new("/nonexistent"), &"x".parse().expect("a name")).expect("none"));
    }

    proptest! {
        #[test]
        fn every_record_is_read_back(name in "(\\*\\.)?[a-z]{1,9}(\\.[a-z0-9]{1,9}){0,3}", address: IpAddr, reverse: bool) {
            let name: DnsName = name.parse().expect("a name");
            let record = DnsRecord { reverse: reverse && !name.is_wildcard(), name, address };
            let records = Records::from([(record.name.clone(), record)]);
            prop_assert_eq!(parse(&render("", &records)), Ok(records));
        }

        #[test]
        fn never_panics(text in "[a-z=,/.0-9\n*-]{0,80}") {
            let _ = parse(&format!("{BEGIN}\n{text}"));
        }
    }
}
