//! `show etherchannel summary`: which port is in which port-channel.

use super::super::interface::Interface;

/// A port-channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Group {
    pub(in super::super) number: u16,
    /// `LACP`, `PAgP`, or `-`.
    pub(in super::super) protocol: String,
    /// Its ports, each with its flag: `P` bundled, `s` suspended, `I` stand-alone, `D` down, ….
    pub(in super::super) members: Vec<(Interface, String)>,
}

/// All port-channels, in the order printed.
pub(in super::super) fn parse(lines: &[String]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let is_row = |line: &&String| !line.trim_start().starts_with('-');
    for line in lines.iter().skip_while(|line| !line.starts_with("------")).filter(is_row) {
        let mut words = line.split_whitespace().peekable();
        if !line.starts_with(' ') {
            let (Some(number), Some(_)) = (words.next().and_then(|word| word.parse().ok()), words.next()) else {
                continue;
            };
            let protocol = words.next().unwrap_or("-").to_owned();
            if groups.len() >= super::MAX_ENTRIES {
                break;
            }
            groups.push(Group { number, protocol, members: Vec::new() });
        }
        // Members that do not fit go on in lines of their own.
        let Some(group) = groups.last_mut() else { continue };
        let members = words.filter_map(|word| {
            let (port, flag) = word.strip_suffix(')')?.split_once('(')?;
            Some((Interface::parse(port)?, flag.to_owned()))
        });
        group.members.extend(members);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_go_on_in_the_next_line() {
        let text = "Flags:  D - down        P - bundled in port-channel\n\
                    Number of channel-groups in use: 2\n\n\
                    Group  Port-channel  Protocol    Ports\n\
                    ------+-------------+-----------+-----------------------------------------------\n\
                    1      Po1(SU)         LACP        Gi1/0/1(P)      Gi1/0/2(s)      \n                                 Gi1/0/3(D)\n\
                    7      Po7(SD)          -        \n";
        let groups = parse(&super::super::lines(text));
        let members = groups[0].members.iter().map(|(port, flag)| format!("{port} {flag}")).collect::<Vec<_>>();
        assert_eq!(members, ["Gi1/0/1 P", "Gi1/0/2 s", "Gi1/0/3 D"]);
        assert_eq!((groups[1].number, groups[1].protocol.as_str(), groups[1].members.len()), (7, "-", 0));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(------\n|[0-9 ]{1,7}Po[0-9(SU)]{0,6} +LACP[ Gi0-9/(PsD)]{0,20}\n){0,6}") {
            let _ = parse(&super::super::lines(&text));
        }
    }
}
