//! MAC addresses as the report writes them: lower case, with colons.

/// Reads colons or dashes.
pub(crate) fn normal(text: &str) -> Option<String> {
    let text = text.trim().replace('-', ":").to_ascii_lowercase();
    let octets: Vec<&str> = text.split(':').collect();
    let valid = |octet: &&str| octet.len() == 2 && octet.bytes().all(|byte| byte.is_ascii_hexdigit());
    (octets.len() == 6 && octets.iter().all(valid)).then_some(text)
}

/// Bytes in hex with colons between them.
pub(crate) fn from_bytes(bytes: &[u8]) -> String {
    let octets: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    octets.join(":")
}
