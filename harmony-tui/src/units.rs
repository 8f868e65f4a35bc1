//! Times, sizes and speeds as people read them.
//!
//! Timestamps are shown in UTC, as evidence and journal are.

use jiff::Timestamp;

/// `0:42`, `12:31`, `1:02:03`, `3d 04:05`.
pub(crate) fn duration(seconds: u64) -> String {
    let (minutes, s) = (seconds / 60, seconds % 60);
    let (hours, m) = (minutes / 60, minutes % 60);
    match hours {
        0 => format!("{m}:{s:02}"),
        1..24 => format!("{hours}:{m:02}:{s:02}"),
        _ => format!("{}d {:02}:{m:02}", hours / 24, hours % 24),
    }
}

/// Whole seconds between two moments; 0 where the second is not the later.
pub(crate) fn seconds_between(earlier: Timestamp, later: Timestamp) -> u64 {
    u64::try_from(later.duration_since(earlier).as_secs()).unwrap_or(0)
}

/// `12s`, `3m`, `2h`, `4d`.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    match seconds_between(then, now) {
        s @ 0..60 => format!("{s}s"),
        s @ 60..3_600 => format!("{}m", s / 60),
        s @ 3_600..86_400 => format!("{}h", s / 3_600),
        s => format!("{}d", s / 86_400),
    }
}

/// `12:01:10Z`.
pub(crate) fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%SZ").to_string()
}

/// Memory in the units that it is sold in: `16 GiB`.
pub(crate) fn memory(bytes: u64) -> String {
    scaled(bytes, 1024, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// Disks in the units that they are sold in: `480 GB`.
pub(crate) fn disk(bytes: u64) -> String {
    scaled(bytes, 1000, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// One decimal below 10, none from there on.
fn scaled(amount: u64, step: u64, units: &[&str]) -> String {
    let mut unit = 1;
    let mut at = 0;
    while amount / unit >= step && at + 1 < units.len() {
        unit *= step;
        at += 1;
    }
    let tenths = u128::from(amount) * 10 / u128::from(unit);
    let name = units[at];
    if tenths >= 100 || tenths.is_multiple_of(10) {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// Link speed, `25 Gb/s`.
pub(crate) fn speed(mbps: u32) -> String {
    match mbps {
        0..1000 => format!("{mbps} Mb/s"),
        _ if mbps.is_multiple_of(1000) => format!("{} Gb/s", mbps / 1000),
        _ => format!("{}.{} Gb/s", mbps / 1000, mbps % 1000 / 100),
    }
}

/// `1 host`, `3 hosts`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let durations = [0, 42, 751, 3_723, 273_900].map(duration);
        assert_eq!(durations, ["0:00", "0:42", "12:31", "1:02:03", "3d 04:05"]);
        assert_eq!([0, 2 << 30, 8_245_510_144, u64::MAX].map(memory), ["0 B", "2 GiB", "7.6 GiB", "15 EiB"]);
        assert_eq!([480_103_981_056, 1_920_383_410_176].map(disk), ["480 GB", "1.9 TB"]);
        assert_eq!([100, 1_000, 2_500, 25_000].map(speed), ["100 Mb/s", "1 Gb/s", "2.5 Gb/s", "25 Gb/s"]);
        assert_eq!([1, 2].map(|n| count(n, "host")), ["1 host", "2 hosts"]);
    }

    #[test]
    fn time_does_not_run_backwards() {
        let at = |second| Timestamp::from_second(second).expect("valid");
        assert_eq!(ago(at(100), at(50)), "0s");
        assert_eq!([59, 60, 7_200, 200_000].map(|s| ago(at(0), at(s))), ["59s", "1m", "2h", "2d"]);
        assert_eq!(clock(at(86_399)), "23:59:59Z");
    }
}
