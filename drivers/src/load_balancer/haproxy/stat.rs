//! What a running HAProxy says of itself on its runtime socket: `show stat` and `show servers state`.
//!
//! Source: HAProxy 2.6 management guide, sections 9.1 (CSV format) and 9.3.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use harmony_core::capability::{LbService, ServerAdmin, ServerState};

use super::text;

/// Servers and sections above this many are refused.
const MAX_ROWS: usize = 50_000;
/// Characters of one value that are kept.
const MAX_VALUE_CHARS: usize = 200;

/// The part of `show stat` that is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stat {
    /// Names of all sections.
    sections: BTreeSet<String>,
    /// Sections that listen and take connections.
    open: BTreeSet<String>,
    servers: Vec<ServerRow>,
}

/// A server, as `show stat` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerRow {
    pub(super) service: String,
    pub(super) server: String,
    pub(super) address: String,
    pub(super) state: ServerState,
    pub(super) sessions: u64,
    pub(super) last_check: Option<String>,
}

impl Stat {
    /// Reads the answer to `show stat`.
    ///
    /// # Errors
    /// What is missing in it.
    pub(super) fn parse(answer: &str) -> Result<Self, &'static str> {
        let mut rows = records(answer).into_iter();
        let head = rows.next().ok_or("it is empty")?;
        let column = |name: &str| head.iter().position(|column| column.trim_start_matches("# ") == name);
        let (Some(section), Some(server), Some(status), Some(kind)) =
            (column("pxname"), column("svname"), column("status"), column("type"))
        else {
            return Err("its first line does not name the columns pxname, svname, status and type");
        };
        let (sessions, check, said) = (column("scur"), column("check_status"), column("last_chk"));
        let address = column("addr").ok_or("its first line does not name the column addr")?;
        let mut stat = Self::default();
        for row in rows {
            let value = |column: usize| row.get(column).map_or("", String::as_str);
            let optional = |column: Option<usize>| column.map_or("", value);
            if row.len() <= kind {
                continue;
            }
            if stat.servers.len() + stat.sections.len() > MAX_ROWS {
                return Err("it has more than 50,000 rows");
            }
            stat.sections.insert(value(section).to_owned());
            match value(kind) {
                "0" if value(status) == "OPEN" => {
                    stat.open.insert(value(section).to_owned());
                }
                "2" => stat.servers.push(ServerRow {
                    service: value(section).to_owned(),
                    server: value(server).to_owned(),
                    address: value(address).to_owned(),
                    state: state(value(status), optional(check)),
                    sessions: optional(sessions).parse().unwrap_or(0),
                    last_check: last_check(optional(check), optional(said)),
                }),
                _ => {}
            }
        }
        Ok(stat)
    }

    /// Whether there is a section of that name, whoever made it.
    pub(super) fn has_section(&self, name: &str) -> bool {
        self.sections.contains(name)
    }

    pub(super) fn servers(&self) -> &[ServerRow] {
        &self.servers
    }

    /// What is still missing of a text that HAProxy is to have read, with these services; nothing if it has.
    pub(super) fn missing(&self, text: &str, services: &text::Services) -> Option<String> {
        // A text without revision is the empty one.
        let is_read = match text::revision(text) {
            Some(revision) => self.has_section(revision),
            None => !self.sections.iter().any(|name| name.starts_with(text::REVISION)),
        };
        if !is_read {
            return Some("it runs with another text of Harmony's file, or without it".to_owned());
        }
        services.values().find_map(|service| self.missing_of(service))
    }

    fn missing_of(&self, service: &LbService) -> Option<String> {
        let name = service.name.as_str();
        if !self.open.contains(name) {
            return Some(format!("`{name}` takes no connections"));
        }
        let running: BTreeSet<(&str, Option<SocketAddr>)> = self
            .servers
            .iter()
            .filter(|row| row.service == name)
            .map(|row| (row.server.as_str(), row.address.parse().ok()))
            .collect();
        let wanted: BTreeSet<(&str, Option<SocketAddr>)> =
            service.servers.iter().map(|server| (server.name.as_str(), Some(server.address))).collect();
        let differing = running.symmetric_difference(&wanted).next()?;
        Some(format!("server `{}` of `{name}` is not as asked", differing.0))
    }
}

/// `UP`, `UP 1/3` (about to go down), `DOWN 1/2` (about to come up), `MAINT (via a/b)`, …
fn state(status: &str, check: &str) -> ServerState {
    let is = |word: &str| status == word || status.strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '(']));
    let kept: String = status.chars().take(MAX_VALUE_CHARS).flat_map(char::escape_default).collect();
    match status {
        // HAProxy takes a server for well until it has looked once: that is nothing to rely on.
        _ if is("UP") && check.trim_start_matches("* ") == "INI" => {
            ServerState::Unrecognised(format!("{kept}, not looked at yet"))
        }
        _ if is("UP") => ServerState::Up,
        _ if is("DOWN") => ServerState::Down,
        _ if is("DRAIN") => ServerState::Drain,
        _ if is("MAINT") => ServerState::Maintenance,
        _ => ServerState::Unrecognised(kept),
    }
}

/// `L4CON Connection refused`; none before the first look.
fn last_check(check: &str, said: &str) -> Option<String> {
    let check = check.trim_start_matches("* ");
    let text = format!("{check} {said}");
    let is_known = !check.is_empty() && check != "INI";
    is_known.then(|| text.trim().chars().take(MAX_VALUE_CHARS).flat_map(char::escape_default).collect())
}

/// What is asked of a server, out of `show servers state BACKEND`; none if it is not in it.
/// Source: management guide, "show servers state", `srv_admin_state`.
pub(super) fn admin(answer: &str, server: &str) -> Option<ServerAdmin> {
    const MAINTENANCE: u32 = 0x01;
    const DRAIN: u32 = 0x08;
    let mut lines = answer.lines().skip_while(|line| !line.starts_with("# "));
    let head: Vec<&str> = lines.next()?.trim_start_matches("# ").split(' ').collect();
    let column = |name: &str| head.iter().position(|column| *column == name);
    let (name, state) = (column("srv_name")?, column("srv_admin_state")?);
    let row = lines.map(|line| line.split(' ').collect::<Vec<_>>()).find(|row| row.get(name) == Some(&server))?;
    let state: u32 = row.get(state)?.parse().ok()?;
    Some(match state {
        _ if state & MAINTENANCE != 0 => ServerAdmin::Maintenance,
        _ if state & DRAIN != 0 => ServerAdmin::Drain,
        _ => ServerAdmin::Ready,
    })
}

/// Records of comma-separated values; a value in quotes may hold commas, line ends and doubled quotes.
/// Source: RFC 4180 section 2.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut value) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                value.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut value)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut value));
                records.push(std::mem::take(&mut record));
            }
            char => value.push(char),
        }
    }
    record.push(value);
    records.push(record);
    records
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use proptest::prelude::*;

    /// As HAProxy 2.6.12 prints it, without the columns that are not read.
    const STAT: &str = "\
# pxname,svname,scur,status,lastchg,type,check_status,last_chk,addr,mode,
ocp4-api,FRONTEND,3,OPEN,,0,,,,tcp,
ocp4-api,bootstrap,0,DOWN,1,2,L4CON,Connection refused,192.168.1.96:6443,tcp,
ocp4-api,master-0,3,UP,1,2,* L7OK,\"OK, \"\"fine\"\"\",192.168.1.97:6443,tcp,
ocp4-api,BACKEND,3,UP,1,1,,,,tcp,
stats,FRONTEND,,PAUSED,,0,,,,http,
harmony-revision-0123456789ab,BACKEND,0,UP,1,1,,,,tcp,

";

    #[test]
    fn servers_and_sections_as_printed() {
        let stat = Stat::parse(STAT).expect("understood");
        let shown: Vec<String> = stat
            .servers()
            .iter()
            .map(|row| format!("{} {} {:?} {} {:?}", row.server, row.address, row.state, row.sessions, row.last_check))
            .collect();
        assert_eq!(
            shown,
            [
                "bootstrap 192.168.1.96:6443 Down 0 Some(\"L4CON Connection refused\")",
                "master-0 192.168.1.97:6443 Up 3 Some(\"L7OK OK, \\\\\\\"fine\\\\\\\"\")",
            ]
        );
        assert!(stat.has_section("stats") && stat.has_section("harmony-revision-0123456789ab"));
        for text in ["", "# pxname,svname\n", "Unknown command. Please enter one of the following commands only :"] {
            assert!(Stat::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut api = samples::api();
        api.servers.truncate(2);
        let services = |service: &LbService| text::Services::from([(service.name.clone(), service.clone())]);
        let text = "backend harmony-revision-0123456789ab\n";
        let missing =
            |stat: &str, service: &LbService| Stat::parse(stat).expect("understood").missing(text, &services(service));
        assert_eq!(missing(STAT, &api), None);
        assert_eq!(
            missing(&STAT.replace("0123456789ab", "000000000000"), &api).as_deref(),
            Some("it runs with another text of Harmony's file, or without it")
        );
        assert_eq!(missing(&STAT.replace("OPEN", "PAUSED"), &api).as_deref(), Some("`ocp4-api` takes no connections"));
        let elsewhere = STAT.replace("192.168.1.97", "192.168.1.87");
        assert_eq!(missing(&elsewhere, &api).as_deref(), Some("server `master-0` of `ocp4-api` is not as asked"));
        api.servers.truncate(1);
        assert_eq!(missing(STAT, &api).as_deref(), Some("server `master-0` of `ocp4-api` is not as asked"));
        let stat = Stat::parse(STAT).expect("understood");
        assert!(stat.missing("", &text::Services::new()).is_some(), "the empty text has no revision");
    }

    #[test]
    fn states_in_haproxys_words() {
        let unknown = |text: &str| ServerState::Unrecognised(text.to_owned());
        for (status, check, expected) in [
            ("UP", "L7OK", ServerState::Up),
            ("UP 1/3", "L4CON", ServerState::Up),
            ("UP 1/3", "INI", unknown("UP 1/3, not looked at yet")),
            ("UP", "* INI", unknown("UP, not looked at yet")),
            ("DOWN", "INI", ServerState::Down),
            ("DOWN 1/2", "L7OK", ServerState::Down),
            ("DOWN (agent)", "", ServerState::Down),
            ("DRAIN", "L7OK", ServerState::Drain),
            ("DRAIN (agent)", "L7OK", ServerState::Drain),
            ("MAINT (via a/b)", "", ServerState::Maintenance),
            ("no check", "", unknown("no check")),
            ("NOLB", "L7OK", unknown("NOLB")),
            ("UPSIDE\u{1b}[2J", "L7OK", unknown("UPSIDE\\u{1b}[2J")),
        ] {
            assert_eq!(state(status, check), expected, "{status}");
        }
    }

    #[test]
    fn what_is_asked_of_a_server() {
        let answer = |state: &str| {
            format!(
                "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state\n2 a 1 m 127.0.0.1 0 {state}\n"
            )
        };
        for (state, expected) in [
            ("0", Some(ServerAdmin::Ready)),
            ("8", Some(ServerAdmin::Drain)),
            ("9", Some(ServerAdmin::Maintenance)),
            ("1", Some(ServerAdmin::Maintenance)),
            ("x", None),
        ] {
            assert_eq!(admin(&answer(state), "m"), expected, "{state}");
        }
        assert_eq!(admin(&answer("0"), "n"), None);
        assert_eq!(admin("Can't find backend.", "m"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-z,\"\n# ]{0,80}") {
            let _ = Stat::parse(&text);
            let _ = Stat::parse(&format!("{STAT}{text}"));
            let _ = admin(&text, "a");
        }
    }
}
