//! What is understood at each prompt: words cut as far as they stay clear.
//!
//! Source: Cisco IOS Configuration Fundamentals Configuration Guide, "Using the Command-Line
//! Interface" (abbreviations, error messages).

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Enable,
    Disable,
    Exit,
    End,
    TerminalLength,
    TerminalWidth,
    Configure,
    ConfigureRevert,
    Confirm,
    RevertNow,
    Save,
    Do,
    ShowArchive,
    ShowRollback,
    ShowDescription,
    ShowEtherchannel,
    ShowLacpInternal,
    ShowLacpNeighbor,
    ShowLacpSystem,
    ShowLldp,
    ShowMac,
    ShowRunning,
    ShowRunningInterface,
    ShowStatus,
    ShowSwitchport,
    ShowVersion,
    Interface,
    NoInterface,
    DefaultInterface,
    Description,
    NoDescription,
    SwitchportMode,
    AccessVlan,
    NoAccessVlan,
    Portfast,
    NoPortfast,
    ChannelGroup,
    NoChannelGroup,
    LacpRate,
    NoLacpRate,
    Shutdown,
    NoShutdown,
}

/// `<n>` is a number, `<name>` an interface, `<line>` the rest, `a|b` one of several words.
type Pattern = (&'static str, Verb);

/// At `name>`.
pub(super) const USER: &[Pattern] = &[
    ("enable", Verb::Enable),
    ("exit", Verb::Exit),
    ("logout", Verb::Exit),
    ("terminal length <n>", Verb::TerminalLength),
    ("terminal width <n>", Verb::TerminalWidth),
    ("show version", Verb::ShowVersion),
];

/// At `name#`.
pub(super) const PRIVILEGED: &[Pattern] = &[
    ("configure confirm", Verb::Confirm),
    ("configure revert now", Verb::RevertNow),
    ("configure terminal", Verb::Configure),
    ("configure terminal revert timer <n>", Verb::ConfigureRevert),
    ("disable", Verb::Disable),
    ("enable", Verb::Enable),
    ("exit", Verb::Exit),
    ("logout", Verb::Exit),
    ("show archive", Verb::ShowArchive),
    ("show archive config rollback timer", Verb::ShowRollback),
    ("show etherchannel summary", Verb::ShowEtherchannel),
    ("show interfaces description", Verb::ShowDescription),
    ("show interfaces status", Verb::ShowStatus),
    ("show interfaces switchport", Verb::ShowSwitchport),
    ("show lacp internal", Verb::ShowLacpInternal),
    ("show lacp neighbor", Verb::ShowLacpNeighbor),
    ("show lacp sys-id", Verb::ShowLacpSystem),
    ("show lldp neighbors detail", Verb::ShowLldp),
    ("show mac address-table", Verb::ShowMac),
    ("show running-config", Verb::ShowRunning),
    ("show running-config interface <name>", Verb::ShowRunningInterface),
    ("show version", Verb::ShowVersion),
    ("terminal length <n>", Verb::TerminalLength),
    ("terminal width <n>", Verb::TerminalWidth),
    ("write", Verb::Save),
    ("write memory", Verb::Save),
];

/// At `name(config)#`, and at every prompt below it.
pub(super) const CONFIG: &[Pattern] = &[
    ("default interface <name>", Verb::DefaultInterface),
    ("do <line>", Verb::Do),
    ("end", Verb::End),
    ("exit", Verb::Exit),
    ("interface <name>", Verb::Interface),
    ("no interface <name>", Verb::NoInterface),
];

/// At `name(config-if)#`.
pub(super) const INTERFACE: &[Pattern] = &[
    ("channel-group <n> mode active|on|passive", Verb::ChannelGroup),
    ("description <line>", Verb::Description),
    ("do <line>", Verb::Do),
    ("end", Verb::End),
    ("exit", Verb::Exit),
    ("lacp rate fast|normal", Verb::LacpRate),
    ("no channel-group", Verb::NoChannelGroup),
    ("no description", Verb::NoDescription),
    ("no lacp rate", Verb::NoLacpRate),
    ("no shutdown", Verb::NoShutdown),
    ("no spanning-tree portfast", Verb::NoPortfast),
    ("no switchport access vlan", Verb::NoAccessVlan),
    ("shutdown", Verb::Shutdown),
    ("spanning-tree portfast", Verb::Portfast),
    ("spanning-tree portfast disable", Verb::NoPortfast),
    ("spanning-tree portfast edge", Verb::Portfast),
    ("switchport access vlan <n>", Verb::AccessVlan),
    ("switchport mode access|dynamic|trunk", Verb::SwitchportMode),
];

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Misread {
    /// At this column of the line.
    Invalid(usize),
    Ambiguous,
    Incomplete,
}

/// A command, as understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) verb: Verb,
    /// What stood for `<…>` and `a|b`; of the latter, the whole word.
    pub(super) arguments: Vec<String>,
}

/// Reads a line that is neither empty nor a comment.
pub(super) fn parse(patterns: &[Pattern], line: &str) -> Result<Command, Misread> {
    let words = words(line);
    let mut open: Vec<(Vec<&'static str>, Verb, Vec<String>)> =
        patterns.iter().map(|(text, verb)| (text.split(' ').collect(), *verb, Vec::new())).collect();
    let (mut at, mut place) = (0, 0);
    while let Some((column, word)) = words.get(at) {
        if let Some(rest) = open.iter().find(|(pattern, ..)| pattern.get(place) == Some(&"<line>")) {
            let text = line[*column..].trim_end().to_owned();
            return Ok(Command { verb: rest.1, arguments: [rest.2.clone(), vec![text]].concat() });
        }
        // "GigabitEthernet 1/0/1" is one name.
        let joined = words
            .get(at + 1)
            .filter(|_| !word.contains(|c: char| c.is_ascii_digit()))
            .map(|next| format!("{word}{}", next.1));
        let mut choices: Vec<&str> = Vec::new();
        let mut took_two = false;
        let mut next = Vec::new();
        for (pattern, verb, arguments) in &open {
            let Some(expected) = pattern.get(place) else { continue };
            let mut arguments = arguments.clone();
            match *expected {
                "<n>" if word.parse::<u32>().is_ok() => arguments.push((*word).to_owned()),
                "<name>" => {
                    took_two = joined.is_some();
                    arguments.push(joined.clone().unwrap_or_else(|| (*word).to_owned()));
                }
                literal if !literal.starts_with('<') => {
                    let Some(full) = literal.split('|').find(|full| full.starts_with(&word.to_ascii_lowercase()))
                    else {
                        continue;
                    };
                    if literal.contains('|') {
                        arguments.push(full.to_owned());
                    }
                    if !choices.contains(&full) {
                        choices.push(full);
                    }
                }
                _ => continue,
            }
            next.push((pattern.clone(), *verb, arguments));
        }
        if next.is_empty() {
            return Err(Misread::Invalid(*column));
        }
        if let Some(exact) = choices.iter().find(|choice| choice.eq_ignore_ascii_case(word)) {
            next.retain(|(pattern, ..)| pattern[place].split('|').any(|full| full == *exact));
        } else if choices.len() > 1 {
            return Err(Misread::Ambiguous);
        }
        open = next;
        place += 1;
        at += if took_two { 2 } else { 1 };
    }
    match open.into_iter().find(|(pattern, ..)| pattern.len() == place) {
        Some((_, verb, arguments)) => Ok(Command { verb, arguments }),
        None => Err(Misread::Incomplete),
    }
}

/// Words and the columns at which they begin.
fn words(line: &str) -> Vec<(usize, &str)> {
    let start = |word: &str| word.as_ptr() as usize - line.as_ptr() as usize;
    line.split_ascii_whitespace().map(|word| (start(word), word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(patterns: &[Pattern], line: &str) -> Result<(Verb, Vec<String>), Misread> {
        parse(patterns, line).map(|command| (command.verb, command.arguments))
    }

    #[test]
    fn words_may_be_cut_while_they_are_clear() {
        assert_eq!(read(PRIVILEGED, "sh int status"), Ok((Verb::ShowStatus, vec![])));
        assert_eq!(read(PRIVILEGED, "conf t"), Ok((Verb::Configure, vec![])));
        assert_eq!(read(PRIVILEGED, "conf t rev timer 2"), Ok((Verb::ConfigureRevert, vec!["2".into()])));
        assert_eq!(read(PRIVILEGED, "wr"), Ok((Verb::Save, vec![])));
        assert_eq!(read(CONFIG, "int gig 1/0/1"), Ok((Verb::Interface, vec!["gig1/0/1".into()])));
        assert_eq!(
            read(INTERFACE, "channel-group 3 mode act"),
            Ok((Verb::ChannelGroup, vec!["3".into(), "active".into()]))
        );
        assert_eq!(read(INTERFACE, "switchport mode access"), Ok((Verb::SwitchportMode, vec!["access".into()])));
        assert_eq!(read(INTERFACE, "desc harmony:lag a"), Ok((Verb::Description, vec!["harmony:lag a".into()])));
        assert_eq!(read(INTERFACE, "no sw acc vlan"), Ok((Verb::NoAccessVlan, vec![])));
        assert_eq!(read(INTERFACE, "spanning-tree portfast"), Ok((Verb::Portfast, vec![])));
    }

    #[test]
    fn what_is_not_understood_is_pointed_at() {
        assert_eq!(read(PRIVILEGED, "show nonsense"), Err(Misread::Invalid(5)));
        assert_eq!(read(PRIVILEGED, "sh int st"), Ok((Verb::ShowStatus, vec![])));
        assert_eq!(read(PRIVILEGED, "sh int s"), Err(Misread::Ambiguous));
        assert_eq!(read(PRIVILEGED, "show interfaces"), Err(Misread::Incomplete));
        assert_eq!(read(PRIVILEGED, "e"), Err(Misread::Ambiguous));
        assert_eq!(read(USER, "configure terminal"), Err(Misread::Invalid(0)));
        assert_eq!(read(INTERFACE, "channel-group x mode active"), Err(Misread::Invalid(14)));
        assert_eq!(read(PRIVILEGED, "show version now"), Err(Misread::Invalid(13)));
    }
}
