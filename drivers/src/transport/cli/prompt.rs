//! Prompts of Cisco-like command lines: `name>`, `name#`, `name(config-if)#`.

/// What a device takes at a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `>`: some commands that only show something.
    User,
    /// `#`: all commands.
    Privileged,
    /// `(config…)#`: changes.
    Config,
}

/// Devices cut a long name in prompts of the configuration mode; never shorter than this.
const MIN_NAME_CHARS: usize = 16;

/// A prompt, as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt<'a> {
    pub(super) host: &'a str,
    pub(super) mode: Mode,
}

/// Reads a whole line as a prompt.
pub(super) fn parse(line: &str) -> Option<Prompt<'_>> {
    let line = line.trim_end();
    let is_user = line.ends_with('>');
    let body = line.strip_suffix(['>', '#'])?;
    let (host, mode) = match body.strip_suffix(')') {
        Some(inner) => {
            let (host, context) = inner.split_once('(')?;
            (host, context.starts_with("config").then_some(Mode::Config).filter(|_| !is_user)?)
        }
        None => (body, if is_user { Mode::User } else { Mode::Privileged }),
    };
    let is_name =
        (1..=64).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    is_name.then_some(Prompt { host, mode })
}

/// Reads a whole line as a prompt of the device of this name.
pub(super) fn of(host: &str, line: &str) -> Option<Mode> {
    let prompt = parse(line)?;
    let is_cut = prompt.host.len() >= MIN_NAME_CHARS && host.starts_with(prompt.host) && prompt.mode == Mode::Config;
    (prompt.host == host || is_cut).then_some(prompt.mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_told_from_text() {
        for (line, mode) in [
            ("tor-1>", Some(Mode::User)),
            ("tor-1#", Some(Mode::Privileged)),
            ("tor-1# ", Some(Mode::Privileged)),
            ("tor-1(config)#", Some(Mode::Config)),
            ("tor-1(config-if-range)#", Some(Mode::Config)),
            ("tor-1(config)>", None),
            ("tor-1(rommon)#", None),
            ("tor-2#", None),
            ("tor-1", None),
            ("# tor-1#", None),
            ("Vlan1 tor-1#", None),
            ("#", None),
        ] {
            assert_eq!(of("tor-1", line), mode, "{line}");
        }
    }

    #[test]
    fn a_long_name_is_cut_in_configuration_mode() {
        let host = "a-very-long-switch-name-of-ours";
        assert_eq!(of(host, "a-very-long-switch-n(config)#"), Some(Mode::Config));
        assert_eq!(of(host, "a-very-long-switch-n#"), None, "nowhere else");
        assert_eq!(of(host, "a-very(config)#"), None);
    }
}
