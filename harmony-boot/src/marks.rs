//! Tokens in served text: marks are replaced at the last moment, so that no stored text has a secret.

use harmony_core::boot::BootToken;
use harmony_core::store::{PROGRESS_MARK, TOKEN_MARK};
use sha2::{Digest, Sha256};

/// The key of an order's progress URL: the first 16 bytes of `SHA-256("harmony-progress:" token)`, in
/// hex. Whoever sees it, in a log or a process list, cannot fetch the answer file with it.
pub(crate) fn progress_key(token: &BootToken) -> String {
    let digest = Sha256::digest(format!("harmony-progress:{}", token.0.expose()));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The text with token and progress key in their places. `None` if the token is no word of letters
/// and digits, since it then might add to the script.
pub(crate) fn fill(text: &str, token: &BootToken) -> Option<String> {
    let secret = token.0.expose();
    let plain = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| text.replace(PROGRESS_MARK, &progress_key(token)).replace(TOKEN_MARK, secret))
}

#[cfg(test)]
mod tests {
    use harmony_core::secret::Secret;

    use super::*;

    #[test]
    fn marks_are_filled_and_the_key_does_not_show_the_token() {
        let token = BootToken(Secret::new("abc123"));
        let key = progress_key(&token);
        let text = format!("a/{TOKEN_MARK} p/{PROGRESS_MARK}/ a/{TOKEN_MARK}");
        assert_eq!(fill(&text, &token), Some(format!("a/abc123 p/{key}/ a/abc123")));
        assert_eq!((key.len(), key.contains("abc123")), (32, false));
        for bad in ["", "a b", "a\n", "${x}", "@PROGRESS-KEY@"] {
            assert_eq!(fill(&text, &BootToken(Secret::new(bad))), None, "{bad}");
        }
    }
}
