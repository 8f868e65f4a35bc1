//! Which values may go into a script: whitelists, since iPXE and Anaconda cannot quote.
//!
//! Knows characters, not meanings. iPXE expands `${…}` everywhere, splits at blanks, and reads
//! `#`, `&&` and `||` as its own; a newline ends a command in iPXE and in Kickstart alike.
//! Source: iPXE `src/core/exec.c` (`expand_command`, `split_command`), `src/image/script.c`.

use crate::TemplateError;

/// Longest value, in bytes: more than any URL or key in use.
const MAX_VALUE_BYTES: usize = 2048;

/// Whether iPXE, the kernel command line, a shell and Kickstart all leave this byte alone.
pub(crate) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._:/=,@%+-[]".contains(&byte)
}

/// One word: a kernel argument, a path.
pub(crate) fn word(field: &str, value: &str) -> Result<(), TemplateError> {
    check(field, value, is_plain)
}

/// Words with single blanks between them, nothing else.
pub(crate) fn words(field: &str, value: &str) -> Result<(), TemplateError> {
    check(field, value, |byte| is_plain(byte) || byte == b' ')
}

/// A URL that iPXE and curl fetch: `http://` or `https://`, then a word.
pub(crate) fn url(field: &str, value: &str) -> Result<(), TemplateError> {
    let rest = value.strip_prefix("http://").or_else(|| value.strip_prefix("https://"));
    match rest {
        Some("") | None => Err(TemplateError::value(field, value, "is no http:// or https:// URL")),
        Some(_) => word(field, value),
    }
}

/// A SHA-256 as lower-case hex.
pub(crate) fn sha256(field: &str, value: &str) -> Result<(), TemplateError> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if value.len() == 64 && value.bytes().all(hex) {
        Ok(())
    } else {
        Err(TemplateError::value(field, value, "is no SHA-256 in lower-case hex"))
    }
}

/// An OpenSSH public key in one line: type, key, and what a comment may have.
/// Options in front of the type are refused: they have quotes.
pub(crate) fn ssh_key(field: &str, value: &str) -> Result<(), TemplateError> {
    words(field, value)?;
    let mut parts = value.split(' ');
    let kind = parts.next().unwrap_or_default();
    let is_key = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|known| kind.starts_with(known));
    if is_key && parts.next().is_some_and(|key| key.len() >= 16) {
        Ok(())
    } else {
        Err(TemplateError::value(field, value, "is no OpenSSH public key"))
    }
}

fn check(field: &str, value: &str, allowed: impl Fn(u8) -> bool) -> Result<(), TemplateError> {
    let refuse = |reason: String| Err(TemplateError::value(field, value, reason));
    if value.is_empty() {
        return refuse("is empty".into());
    }
    if value.len() > MAX_VALUE_BYTES {
        return refuse(format!("has {} bytes, more than the {MAX_VALUE_BYTES} allowed", value.len()));
    }
    match value.chars().find(|c| !c.is_ascii() || !allowed(*c as u8)) {
        None => Ok(()),
        Some(' ') => refuse("has a blank".into()),
        Some(c) if c.is_control() => refuse(format!("has the control character U+{:04X}", u32::from(c))),
        Some(c) => refuse(format!("has `{c}`, which a script would not take as it is")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_field_value_and_reason() {
        let refusal = |result: Result<(), TemplateError>| result.expect_err("refused").to_string();
        assert_eq!(
            refusal(word("hostname", "a\nreboot")),
            "`hostname` is refused: `a\\nreboot` has the control character U+000A"
        );
        assert_eq!(
            refusal(word("disk_path", "${uuid}")),
            "`disk_path` is refused: `${uuid}` has `$`, which a script would not take as it is"
        );
        assert_eq!(refusal(word("x", "a b")), "`x` is refused: `a b` has a blank");
        assert_eq!(refusal(word("x", "")), "`x` is refused: `` is empty");
        assert_eq!(
            refusal(url("base_url", "tftp://x")),
            "`base_url` is refused: `tftp://x` is no http:// or https:// URL"
        );
        let long = refusal(word("x", &"a".repeat(9000)));
        assert!(long.ends_with("has 9000 bytes, more than the 2048 allowed") && long.len() < 200, "{long}");
    }

    #[test]
    fn keys_without_options_are_keys() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDVDV operator@site";
        assert!(ssh_key("k", key).is_ok());
        for bad in [
            "",
            "ssh-ed25519",
            "AAAAC3NzaC1lZDI1NTE5AAAAIDVDV",
            "command=\"x\" ssh-rsa AAAAC3NzaC1lZDI1NTE5",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5\nx",
        ] {
            assert!(ssh_key("k", bad).is_err(), "{bad}");
        }
    }
}
