//! Reservations as files that dnsmasq reads: one per host, named after it, `mac,mac,address,hostname`.
//!
//! Owns that format and the folder. Does not know how a running dnsmasq takes notice ([`super`]).
//! Source: dnsmasq(8), `--dhcp-host`, `--dhcp-hostsdir`.

use std::io::Read;
use std::path::{Path, PathBuf};

use harmony_core::capability::Reservation;
use harmony_core::net::{Hostname, MacAddress};

/// Reservations above this many are refused.
const MAX_FILES: usize = 10_000;
/// Size of one file, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// Why the folder of reservations cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// The folder or a file of it.
    #[error("failed to read {}", .path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file that Harmony did not write.
    #[error("{} is no reservation that Harmony wrote: {reason}", .path.display())]
    Foreign {
        /// The path.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
}

/// The text of a reservation's file.
pub(super) fn text(reservation: &Reservation) -> String {
    let macs: String = reservation.macs.iter().map(|mac| format!("{mac},")).collect();
    format!("{macs}{},{}\n", reservation.address, reservation.hostname)
}

/// The file of a reservation.
pub(super) fn file(folder: &Path, hostname: &Hostname) -> PathBuf {
    folder.join(hostname.as_str())
}

/// All reservations, sorted by host name. A folder that is not there has none.
pub(super) fn read(folder: &Path) -> Result<Vec<Reservation>, HostsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| HostsError::Read { path, source }
    };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed(folder))?,
    };
    let mut reservations = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed(folder))?.path();
        if reservations.len() >= MAX_FILES {
            return Err(HostsError::Foreign { path: folder.to_owned(), reason: "it has more than 10,000 files" });
        }
        let mut text = String::new();
        let file = std::fs::File::open(&path).map_err(failed(&path))?;
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed(&path))?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        reservations.push(parse(name, &text).map_err(|reason| HostsError::Foreign { path: path.clone(), reason })?);
    }
    reservations.sort_by(|a, b| a.hostname.cmp(&b.hostname));
    Ok(reservations)
}

fn parse(name: &str, text: &str) -> Result<Reservation, &'static str> {
    let mut words = text.trim_end().split(',').rev();
    let hostname: Hostname = words.next().and_then(|word| word.parse().ok()).ok_or("its last word is no host name")?;
    if hostname.as_str() != name {
        return Err("it is not named after its host");
    }
    let address =
        words.next().and_then(|word| word.parse().ok()).ok_or("the word before the host name is no address")?;
    let mut macs: Vec<MacAddress> =
        words.map(str::parse).collect::<Result<_, _>>().map_err(|_| "it holds what is no MAC address")?;
    macs.sort_unstable();
    if macs.is_empty() { Err("it has no MAC address") } else { Ok(Reservation { hostname, address, macs }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reservation() -> Reservation {
        Reservation {
            hostname: "master-0.lab".parse().expect("valid"),
            address: "10.10.0.50".parse().expect("valid"),
            macs: vec!["52:54:00:aa:00:01".parse().expect("valid"), "52:54:00:aa:00:02".parse().expect("valid")],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("folder");
        assert_eq!(text(&reservation()), "52:54:00:aa:00:01,52:54:00:aa:00:02,10.10.0.50,master-0.lab\n");
        std::fs::write(file(folder.path(), &reservation().hostname), text(&reservation())).expect("written");
        assert_eq!(read(folder.path()).expect("read"), [reservation()]);
        assert_eq!(read(&folder.path().join("absent")).expect("none"), []);
    }

    #[test]
    fn foreign_files_are_named() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("x");
        for (text, reason) in [
            ("", "its last word is no host name"),
            ("52:54:00:aa:00:01,10.10.0.5,y", "it is not named after its host"),
            ("10.10.0.5,x", "it has no MAC address"),
            ("52:54:00:aa:00:01,x", "the word before the host name is no address"),
            ("id:aa,10.10.0.5,x", "it holds what is no MAC address"),
        ] {
            std::fs::write(&path, text).expect("written");
            let error = read(folder.path()).expect_err(reason).to_string();
            assert_eq!(error, format!("{} is no reservation that Harmony wrote: {reason}", path.display()));
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9a-f:.,x\n]{0,60}") {
            let _ = parse("x", &text);
        }
    }
}
