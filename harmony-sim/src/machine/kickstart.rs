//! A Kickstart as Anaconda reads it: commands, and what the scripts of `%pre` fetch, compare and run.
//!
//! Of a shell only so much as these scripts need: variables, quotes, and simple commands one after another;
//! loops are not run but seen through, since all they do is try again.
//! Source: pykickstart `pykickstart/parser.py`, `commands/`; Anaconda branch rhel-9, `pyanaconda/kickstart.py`.

use std::collections::BTreeMap;

/// Commands that are known, as of RHEL 9. Others stop Anaconda.
const KNOWN: &[&str] = &[
    "auth",
    "authselect",
    "autopart",
    "autostep",
    "bootloader",
    "cdrom",
    "clearpart",
    "cmdline",
    "eula",
    "firewall",
    "firstboot",
    "graphical",
    "group",
    "halt",
    "harddrive",
    "hmc",
    "ignoredisk",
    "iscsi",
    "keyboard",
    "lang",
    "liveimg",
    "logging",
    "logvol",
    "mediacheck",
    "module",
    "mount",
    "network",
    "nfs",
    "nvdimm",
    "ostreecontainer",
    "ostreesetup",
    "part",
    "partition",
    "poweroff",
    "raid",
    "realm",
    "reboot",
    "repo",
    "reqpart",
    "rescue",
    "rhsm",
    "rootpw",
    "selinux",
    "services",
    "shutdown",
    "skipx",
    "snapshot",
    "sshkey",
    "sshpw",
    "syspurpose",
    "text",
    "timesource",
    "timezone",
    "url",
    "user",
    "vnc",
    "volgroup",
    "xconfig",
    "zerombr",
    "zfcp",
    "zipl",
];
/// Those that write to disks.
const PARTITIONING: &[&str] = &["autopart", "clearpart", "part", "partition", "reqpart", "raid", "volgroup", "zerombr"];
/// Sections that end with `%end`.
const SECTIONS: &[&str] =
    &["%pre", "%pre-install", "%post", "%onerror", "%traceback", "%packages", "%addon", "%anaconda"];
/// Words of a shell that only say when the commands after them are run.
const CONTROL: &[&str] = &["until", "while", "if", "then", "else", "fi", "do", "done"];
/// Commands that do nothing to the machine.
const HARMLESS: &[&str] = &[":", "true", "set", "sleep"];

/// A Kickstart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kickstart {
    /// Keys that may log in as root while Anaconda runs.
    pub(super) root_keys: Vec<String>,
    /// What the scripts of `%pre` do, in order.
    pub(super) pre: Vec<Deed>,
    /// Whether it goes on to write to disks once `%pre` has ended.
    pub(super) partitions: bool,
    /// The disks that it may then use, by name; empty for all.
    pub(super) only_disks: Vec<String>,
}

/// Something that a script does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// Fetches a URL into a file.
    Fetch { url: String, file: String },
    /// Compares a file's SHA-256.
    Compare { sha256: String, file: String },
    /// Lets a file be run.
    MakeExecutable { file: String },
    /// Lets a key log in as root.
    Authorise { key: String },
    /// Runs a file, for as long as it runs.
    Run { file: String },
}

impl Kickstart {
    /// Reads a file, or says why Anaconda stops.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut kickstart = Self::default();
        let mut section: Option<(String, Vec<&str>)> = None;
        for (at, line) in text.lines().enumerate() {
            let number = at + 1;
            let word = line.split_whitespace().next().unwrap_or_default();
            match &mut section {
                Some(_) if word == "%end" => {
                    if let Some((_, lines)) = section.take().filter(|(name, _)| name == "%pre") {
                        kickstart.pre.extend(deeds(&lines)?);
                    }
                }
                Some((_, lines)) => lines.push(line),
                None if SECTIONS.contains(&word) => section = Some((word.to_owned(), Vec::new())),
                None if word.is_empty() || word.starts_with('#') || word == "%include" => {}
                None if word.starts_with('%') => {
                    return Err(format!("line {number}: Unknown kickstart section: {word}"));
                }
                None if !KNOWN.contains(&word) => return Err(format!("line {number}: Unknown command: {word}")),
                None => kickstart.command(&words(line, &BTreeMap::new())?),
            }
        }
        match section {
            Some((name, _)) => Err(format!("Section {name} does not end with %end.")),
            None => Ok(kickstart),
        }
    }

    fn command(&mut self, words: &[String]) {
        let Some(command) = words.first() else { return };
        let option = |name: &str| {
            let at = words.iter().position(|word| word == name || word.starts_with(&format!("{name}=")))?;
            words[at].split_once('=').map(|(_, value)| value.to_owned()).or_else(|| words.get(at + 1).cloned())
        };
        if command == "sshpw"
            && option("--username").as_deref() == Some("root")
            && words.iter().any(|w| w == "--sshkey")
        {
            self.root_keys.extend(words.last().cloned());
        }
        self.partitions |= PARTITIONING.contains(&command.as_str());
        for name in ["--only-use", "--drives"] {
            let disks = option(name).unwrap_or_default();
            self.only_disks.extend(disks.split(',').filter(|disk| !disk.is_empty()).map(str::to_owned));
        }
    }
}

/// What the lines of a shell script do.
fn deeds(lines: &[&str]) -> Result<Vec<Deed>, String> {
    let (mut deeds, mut variables) = (Vec::new(), BTreeMap::new());
    for command in commands(lines) {
        let words = words(&command, &variables)?;
        let said = words.iter().position(|word| word == "echo").and_then(|at| words.get(at + 1)).cloned();
        let words: Vec<String> = words.into_iter().skip_while(|word| CONTROL.contains(&word.as_str())).collect();
        let Some(program) = words.first() else { continue };
        if let Some((name, value)) = program.split_once('=').filter(|(name, _)| is_name(name)) {
            variables.insert(name.to_owned(), value.to_owned());
            continue;
        }
        match program.as_str() {
            "curl" => {
                let file = words.iter().position(|word| word == "-o").and_then(|at| words.get(at + 1));
                let (Some(file), Some(url)) = (file, words.last()) else { continue };
                deeds.push(Deed::Fetch { url: url.clone(), file: file.clone() });
            }
            "echo" => {
                // `echo "DIGEST  FILE" | sha256sum -c`, or `echo KEY >>authorized_keys`.
                let said = said.unwrap_or_default();
                if words.iter().any(|word| word == "sha256sum") {
                    let (sha256, file) =
                        said.split_once("  ").ok_or("sha256sum: no properly formatted checksum line")?;
                    deeds.push(Deed::Compare { sha256: sha256.to_owned(), file: file.to_owned() });
                } else if words.last().is_some_and(|word| word == ">>/root/.ssh/authorized_keys") {
                    deeds.push(Deed::Authorise { key: said });
                }
            }
            program if HARMLESS.contains(&program) => {}
            "chmod" => deeds.extend(words.last().map(|file| Deed::MakeExecutable { file: file.clone() })),
            path if path.starts_with('/') => deeds.push(Deed::Run { file: path.to_owned() }),
            other => return Err(format!("%pre: {other}: command not found")),
        }
    }
    Ok(deeds)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Simple commands, with what is joined to them by a pipe.
fn commands(lines: &[&str]) -> Vec<String> {
    let mut commands = Vec::new();
    for line in lines.iter().map(|line| line.trim()).filter(|line| !line.starts_with('#')) {
        let (mut quote, mut start) = (None, 0);
        for (at, c) in line.char_indices() {
            let joint = ["&&", "||", ";"].into_iter().find(|joint| line[at..].starts_with(joint));
            match (c, quote, joint) {
                (c, Some(open), _) if c == open => quote = None,
                ('\'' | '"', None, _) => quote = Some(c),
                (_, None, Some(joint)) if at >= start => {
                    commands.push(line[start..at].to_owned());
                    start = at + joint.len();
                }
                _ => {}
            }
        }
        commands.push(line[start..].to_owned());
    }
    commands.retain(|command| !command.trim().is_empty());
    commands
}

/// Words of a command, without quotes, with variables in their places.
fn words(line: &str, variables: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut quote = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            ('$', None | Some('"')) => {
                let mut name = String::new();
                while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                let value = variables.get(&name).cloned();
                // `$?`, and what `set -u` would refuse.
                let value = value.unwrap_or_else(|| if name.is_empty() { "$".to_owned() } else { String::new() });
                word.get_or_insert_default().push_str(&value);
            }
            ('#', None) if word.is_none() => break,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() { Err(format!("unexpected end of `{line}` while looking for a quote")) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use harmony_templates::{InventoryKickstart, inventory_ks};
    use proptest::prelude::*;

    use super::*;

    const KEYS: [&str; 2] = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFhhcm1vbnlIYXJtb255SGFybW9ueQ one@site",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFhhcm1vbnlIYXJtb255SGFybW9ueQ two@site",
    ];

    fn harmonys() -> String {
        let url = "http://10.10.0.1:8080/agent/harmony-inventory-agent";
        let kickstart = InventoryKickstart { agent_url: url, agent_sha256: &"a1".repeat(32), ssh_keys: &KEYS };
        inventory_ks(&kickstart).expect("renders")
    }

    #[test]
    fn harmonys_fetches_compares_and_runs_the_agent() {
        let read = Kickstart::read(&harmonys()).expect("valid");
        let file = "/tmp/harmony-inventory-agent".to_owned();
        let url = "http://10.10.0.1:8080/agent/harmony-inventory-agent".to_owned();
        assert_eq!(
            read.pre,
            [
                Deed::Authorise { key: KEYS[1].to_owned() },
                Deed::Fetch { url, file: file.clone() },
                Deed::Compare { sha256: "a1".repeat(32), file: file.clone() },
                Deed::MakeExecutable { file: file.clone() },
                Deed::Run { file },
            ]
        );
        assert_eq!((read.root_keys.as_slice(), read.partitions), (&[KEYS[0].to_owned()][..], false));
    }

    #[test]
    fn what_anaconda_would_stop_at_is_refused() {
        let refusal = |from: &str, to: &str| Kickstart::read(&harmonys().replace(from, to)).expect_err("refused");
        assert_eq!(refusal("\ntext\n", "\ntxet\n"), "line 3: Unknown command: txet");
        assert_eq!(refusal("%pre", "%prae"), "line 6: Unknown kickstart section: %prae");
        assert_eq!(refusal("%end", ""), "Section %pre does not end with %end.");
        assert_eq!(refusal("curl", "curlew"), "%pre: curlew: command not found");
    }

    #[test]
    fn partitioning_is_seen() {
        let read = Kickstart::read("ignoredisk --only-use=sda,sdb\nclearpart --all\nautopart\n").expect("valid");
        assert_eq!((read.partitions, read.only_disks), (true, vec!["sda".to_owned(), "sdb".to_owned()]));
    }

    proptest! {
        #[test]
        fn never_panics(text in "((text|sshpw --username|part|%pre|%end|curl -o|until|echo) ?(['\"$;&|=\\n ]|\\PC){0,9}\n){0,12}") {
            let _ = Kickstart::read(&text);
        }
    }
}
