//! What dnsmasq writes down: its lease file and its log. Both hold what clients said of themselves.
//!
//! Source: dnsmasq 2.90 `src/lease.c` (`lease_update_file`), `src/rfc2131.c` (`log_packet`).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use harmony_core::capability::Lease;
use harmony_core::net::MacAddress;
use jiff::Timestamp;

/// Bytes of a lease file that are read; a line has about 100.
const MAX_LEASE_BYTES: u64 = 16 << 20;
/// Bytes at the end of the log that are looked through: some hundred exchanges.
const LOG_TAIL_BYTES: u64 = 512 << 10;
/// Characters of one log line that are shown.
const LOG_LINE_CHARS: usize = 240;

/// Reads a file from `start` on, at most `limit` bytes; one that is not there is empty.
pub(super) fn read_from(path: &Path, start: u64, limit: u64) -> std::io::Result<String> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        file => file?,
    };
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Size of a file, 0 where there is none.
pub(super) fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Leases that hold at `now`.
pub(super) fn read_leases(path: &Path, now: Timestamp) -> std::io::Result<Vec<Lease>> {
    let text = read_from(path, 0, MAX_LEASE_BYTES)?;
    // After "duid" follow the leases of DHCPv6, which we do not give.
    let lines = text.lines().take_while(|line| !line.starts_with("duid"));
    let held = |lease: &Lease| lease.expires_at.is_none_or(|at| at > now);
    Ok(lines.filter_map(parse_lease).filter(held).collect())
}

/// `EXPIRY MAC ADDRESS NAME CLIENT-ID`; a name that is not known is `*`, no expiry is `0`.
fn parse_lease(line: &str) -> Option<Lease> {
    let mut words = line.split(' ');
    let expires: i64 = words.next()?.parse().ok()?;
    let (mac, address) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let hostname = words.next().filter(|name| *name != "*" && name.len() <= 253).map(str::to_owned);
    let expires_at = if expires == 0 { None } else { Some(Timestamp::from_second(expires).ok()?) };
    Some(Lease { mac, address, hostname, expires_at })
}

/// The latest log lines about a MAC, oldest first.
pub(super) fn read_log(path: &Path, mac: MacAddress, limit: usize) -> std::io::Result<Vec<String>> {
    let text = read_from(path, size(path).saturating_sub(LOG_TAIL_BYTES), LOG_TAIL_BYTES)?;
    let mac = mac.to_string();
    let mut lines: Vec<String> =
        text.lines().rev().filter(|line| line.contains(&mac)).take(limit).map(shorten).collect();
    lines.reverse();
    Ok(lines)
}

/// Drops the process and the transaction's number: `Nov 22 02:49:06 DHCPOFFER(ctl0) 10.10.0.51 …`.
fn shorten(line: &str) -> String {
    let (head, said) = line.split_once("]: ").unwrap_or(("", line));
    let said =
        said.split_once(' ').filter(|(xid, _)| xid.bytes().all(|b| b.is_ascii_digit())).map_or(said, |(_, said)| said);
    let at = head.rsplit_once(' ').map_or("", |(at, _)| at);
    let shown = format!("{at} {}", said.trim_end());
    shown
        .trim_start()
        .chars()
        .take(LOG_LINE_CHARS)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// What the log says of a reservation's file: nothing yet, taken, or refused with this line.
///
/// Of a dnsmasq that has just started, the first reading counts: it may come across the file both in
/// the folder and as news, and then calls the second a duplicate of the first.
pub(super) fn verdict(log: &str, path: &Path) -> Option<Result<(), String>> {
    let (read, of_file) = (format!(": read {}", path.display()), format!(" of {}", path.display()));
    let mut lines = log.lines().skip_while(|line| !line.ends_with(&read));
    lines.next()?;
    let mut said = lines.take_while(|line| !line.ends_with(&read));
    let complaint = said.find(|line| line.contains(" at line ") && line.ends_with(&of_file));
    Some(complaint.map_or(Ok(()), |line| Err(line.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    #[test]
    fn leases_as_recorded() {
        let file = written(
            "1795316373 52:54:00:aa:00:05 10.10.0.65 node-d *\n\
             1795316372 52:54:00:aa:00:04 10.10.0.188 * 01:52:54:00:aa:00:04\n\
             0 52:54:00:aa:00:03 10.10.0.60 node-b *\n\
             1795310000 52:54:00:aa:00:02 10.10.0.51 late *\n\
             nonsense\n\
             duid 00:01:00:01:2e:aa\n\
             1795316372 52:54:00:aa:00:09 10.10.0.9 v6 *\n",
        );
        let now = Timestamp::from_second(1_795_316_000).expect("valid");
        let leases = read_leases(file.path(), now).expect("read");
        let shown: Vec<String> = leases
            .iter()
            .map(|l| format!("{} {} {:?} {:?}", l.mac, l.address, l.hostname, l.expires_at.map(|t| t.as_second())))
            .collect();
        assert_eq!(
            shown,
            [
                "52:54:00:aa:00:05 10.10.0.65 Some(\"node-d\") Some(1795316373)",
                "52:54:00:aa:00:04 10.10.0.188 None Some(1795316372)",
                "52:54:00:aa:00:03 10.10.0.60 Some(\"node-b\") None",
            ]
        );
        assert_eq!(read_leases(Path::new("/nonexistent"), now).expect("none"), []);
    }

    #[test]
    fn the_log_of_one_mac() {
        let file = written(include_str!("testdata/dnsmasq.log"));
        let mac = "52:54:00:aa:00:02".parse().expect("valid");
        insta::assert_snapshot!(read_log(file.path(), mac, 4).expect("read").join("\n"));
    }

    #[test]
    fn a_hostile_line_stays_one_line() {
        let file = written("Nov 22 02:49:31 dnsmasq-dhcp[1]: 7 52:54:00:aa:00:02 client provides name: \u{1b}[2Jx\n");
        let lines = read_log(file.path(), "52:54:00:aa:00:02".parse().expect("valid"), 9).expect("read");
        assert_eq!(lines, ["Nov 22 02:49:31 52:54:00:aa:00:02 client provides name: \\u{1b}[2Jx"]);
    }

    #[test]
    fn what_the_log_says_of_a_file() {
        let path = Path::new("/dhcp/hosts/n");
        let news = "dnsmasq[1]: inotify: /dhcp/hosts/n new or modified\n";
        let read = "dnsmasq-dhcp[1]: read /dhcp/hosts/n\n";
        let other = "dnsmasq-dhcp[1]: read /dhcp/hosts/m\ndnsmasq[1]: bad address at line 1 of /dhcp/hosts/m\n";
        let complaint = "dnsmasq[1]: duplicate dhcp-host IP address 10.10.0.70 at line 1 of /dhcp/hosts/n\n";
        assert_eq!(verdict(&format!("{other}{news}"), path), None);
        assert_eq!(verdict(&format!("{other}{news}{read}{other}"), path), Some(Ok(())));
        assert_eq!(verdict(&format!("{news}{read}{complaint}"), path), Some(Err(complaint.trim_end().to_owned())));
        assert_eq!(verdict(&format!("{read}{news}{read}{complaint}"), path), Some(Ok(())), "read twice at the start");
    }
}
