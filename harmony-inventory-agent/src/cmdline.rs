//! The kernel command line: `harmony.*` arguments and which NIC was booted from.
//!
//! The text itself never leaves this module, since it may hold a token.

use crate::mac;
use crate::root::{Reason, Root};

/// Bytes read of the command line: `COMMAND_LINE_SIZE` is at most 4096 on the kernels we know.
const MAX_CMDLINE: u64 = 16 << 10;

/// The token that a caller must present. Deliberately without `Debug` and `Display`.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Compares in a time that depends on the lengths alone.
    #[must_use]
    pub fn matches(&self, presented: &[u8]) -> bool {
        let token = self.0.as_bytes();
        let differences = token.iter().zip(presented).fold(0, |acc, (a, b)| acc | (a ^ b));
        token.len() == presented.len() && std::hint::black_box(differences) == 0
    }

    /// For the header of the announcement, which proves to the boot server that we are who it booted.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Token {
    fn from(token: &str) -> Self {
        Self(token.to_owned())
    }
}

/// What the command line says to the agent.
#[derive(Clone, Default)]
pub struct Cmdline {
    /// `harmony.token=`: needed for `GET /`.
    pub token: Option<Token>,
    /// `harmony.announce=`: where to announce ourselves.
    pub announce: Option<String>,
    /// MAC of the NIC booted from, in lower case with colons, by `harmony.bootmac=` or `BOOTIF=`.
    pub boot_mac: Option<String>,
}

impl Cmdline {
    /// Reads `/proc/cmdline`.
    ///
    /// # Errors
    /// The reason why there is none.
    pub fn read(root: &Root) -> Result<Self, Reason> {
        Ok(Self::parse(&String::from_utf8_lossy(&root.bytes("proc/cmdline", MAX_CMDLINE)?)))
    }

    fn parse(text: &str) -> Self {
        let mut cmdline = Self::default();
        let mut bootif = None;
        for (name, value) in arguments(text) {
            match name {
                "harmony.token" if !value.is_empty() => cmdline.token = Some(Token(value.to_owned())),
                "harmony.announce" if !value.is_empty() => cmdline.announce = Some(value.to_owned()),
                "harmony.bootmac" => cmdline.boot_mac = mac::normal(value),
                // PXELINUX and iPXE put the hardware type in front: `01-52-54-…`.
                "BOOTIF" => bootif = mac::normal(value.get(3..).unwrap_or_default()).or_else(|| mac::normal(value)),
                _ => {}
            }
        }
        cmdline.boot_mac = cmdline.boot_mac.or(bootif);
        cmdline
    }
}

/// Arguments with a value. As in the kernel, blanks inside double quotes do not separate; the quotes
/// are around the value or around the whole argument.
///
/// Source: Linux `lib/cmdline.c`, `next_arg`.
fn arguments(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut quoted = false;
    let separates = move |c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    };
    text.split(separates).filter_map(|argument| {
        let argument = argument.strip_prefix('"').unwrap_or(argument);
        let (name, value) = argument.split_once('=')?;
        let value = value.strip_prefix('"').unwrap_or(value);
        Some((name, value.strip_suffix('"').unwrap_or(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_is_for_us() {
        let cmdline = Cmdline::parse(
            "quiet harmony.token=s3cret harmony.announce=\"http://10.10.0.1:8080/announce?a=b\" \
             BOOTIF=01-52-54-00-AB-CD-EF foo=\"a harmony.token=no\" -- rd.break\n",
        );
        assert!(cmdline.token.as_ref().is_some_and(|token| token.matches(b"s3cret")));
        assert_eq!(cmdline.announce.as_deref(), Some("http://10.10.0.1:8080/announce?a=b"));
        assert_eq!(cmdline.boot_mac.as_deref(), Some("52:54:00:ab:cd:ef"));
    }

    #[test]
    fn bootmac_goes_before_bootif() {
        let cmdline = Cmdline::parse("harmony.bootmac=52:54:00:00:00:02 BOOTIF=01-52-54-00-00-00-01");
        assert_eq!(cmdline.boot_mac.as_deref(), Some("52:54:00:00:00:02"));
        assert_eq!(Cmdline::parse("BOOTIF=52:54:00:00:00:01").boot_mac.as_deref(), Some("52:54:00:00:00:01"));
        assert_eq!(Cmdline::parse("BOOTIF=eth0 harmony.bootmac=:::::").boot_mac, None);
    }

    #[test]
    fn only_the_same_token_matches() {
        let token = Token::from("abcdef");
        assert!(token.matches(b"abcdef"));
        for other in [&b""[..], b"abcde", b"abcdefg", b"abcdeg", b"ABCDEF"] {
            assert!(!token.matches(other));
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(\\PC|[ =\"-]){0,60}") {
            let _ = Cmdline::parse(&text);
            let _ = Cmdline::parse(&format!("BOOTIF={text} harmony.bootmac={text}"));
        }
    }
}
