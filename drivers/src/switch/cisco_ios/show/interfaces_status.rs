//! `show interfaces status`: link, VLAN and speed of each port.

use harmony_core::capability::LinkState;

use super::super::interface::Interface;

/// Words of the column `Status`. Source: Catalyst command reference, "show interfaces status".
const STATES: &[&str] = &[
    "connected",
    "notconnect",
    "err-disabled",
    "disabled",
    "suspended",
    "monitoring",
    "inactive",
    "faulty",
    "sfpAbsent",
];
/// Words of the column `Duplex`.
const DUPLEX: &[&str] = &["auto", "full", "half", "a-full", "a-half"];
/// Some images print a row two columns to the left of its heading.
const SLACK: usize = 4;

/// One port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Row {
    pub(in super::super) port: Interface,
    pub(in super::super) status: String,
    /// A number, `trunk`, `routed`, or others.
    pub(in super::super) vlan: String,
    pub(in super::super) speed: String,
}

/// All rows, in the order printed.
pub(in super::super) fn parse(lines: &[String]) -> Vec<Row> {
    let heading = lines.iter().find_map(|line| line.starts_with("Port ").then(|| line.find("Status")).flatten());
    let from = heading.map_or(0, |column| column.saturating_sub(SLACK));
    lines.iter().filter_map(|line| row(line, from)).take(super::MAX_ENTRIES).collect()
}

fn row(line: &str, from: usize) -> Option<Row> {
    let port = Interface::parse(line.split_whitespace().next()?)?;
    // The name before it is free text, so it is looked for from its column on.
    let (at, status) = STATES.iter().filter_map(|state| Some((find_word(line, from, state)?, *state))).min()?;
    let rest: Vec<&str> = line.get(at + status.len()..)?.split_whitespace().collect();
    let duplex = rest.iter().position(|word| DUPLEX.contains(word))?;
    // "notconnect: TD 1": some images add to the status.
    let added = if line[at + status.len()..].starts_with(':') { duplex.saturating_sub(1) } else { 0 };
    let speed = (*rest.get(duplex + 1)?).to_owned();
    Some(Row { port, status: status.to_owned(), vlan: rest[added..duplex].join(" "), speed })
}

fn find_word(line: &str, from: usize, word: &str) -> Option<usize> {
    let begins = |at: &usize| at.checked_sub(1).is_none_or(|before| line.as_bytes()[before] == b' ');
    let ends = |at: &usize| line.as_bytes().get(at + word.len()).is_none_or(|byte| matches!(byte, b' ' | b':'));
    let tail = line.get(from..)?;
    tail.match_indices(word).map(|(at, _)| at + from).find(|at| begins(at) && ends(at))
}

impl Row {
    pub(in super::super) fn link(&self) -> LinkState {
        match self.status.as_str() {
            "connected" => LinkState::Up,
            "notconnect" | "disabled" => LinkState::Down,
            other => LinkState::Unrecognised(other.to_owned()),
        }
    }

    /// In 10^6 bit/s: `a-1000`, `10G`, `a-2.5G`.
    pub(in super::super) fn speed_mbps(&self) -> Option<u32> {
        let speed = self.speed.strip_prefix("a-").unwrap_or(&self.speed);
        match speed.strip_suffix('G') {
            None => speed.parse().ok(),
            Some(giga) => match giga.split_once('.') {
                None => giga.parse::<u32>().ok()?.checked_mul(1000),
                Some((whole, tenths)) if tenths.len() == 1 => {
                    whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(tenths.parse::<u32>().ok()? * 100)
                }
                Some(_) => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let rows = parse(&super::super::lines(include_str!("../testdata/interfaces_status.txt")));
        let seen: Vec<_> = rows
            .iter()
            .map(|row| format!("{} {:?} {} {:?}", row.port, row.link(), row.vlan, row.speed_mbps()))
            .collect();
        assert_eq!(
            seen,
            [
                "Gi1/0/1 Up 10 Some(1000)",
                "Gi1/0/2 Down 10 None",
                "Gi1/0/3 Unrecognised(\"suspended\") trunk Some(100)",
                "Gi1/0/4 Down 20 None",
                "Te1/1/1 Up trunk Some(10000)",
                "Tw1/0/1 Up routed Some(2500)",
                "Po1 Up 10 Some(1000)",
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(Port +Name +Status\n|Gi1/0/[0-9] {1,9}[a-zé: ]{0,9}(connected|disabled):? ?[0-9a-z ]{0,20}(full)? ?[0-9.aG-]{0,5}\n){0,6}") {
            parse(&super::super::lines(&text)).iter().for_each(|row| assert!(row.speed_mbps() != Some(7)));
        }
    }
}
