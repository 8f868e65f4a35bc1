//! Which algorithms of SSH a device may choose.

use std::borrow::Cow;

use russh::client::Config;
use russh::keys::Algorithm;
use russh::{Preferred, cipher, kex, mac};
use serde::{Deserialize, Serialize};

/// `ssh_profile` of the site file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SshProfile {
    /// What is safe today.
    #[default]
    Modern,
    /// Also what switches of 2005 to 2015 need: SHA-1, CBC and 1024-bit groups. A listener with means
    /// can read such a session, passwords included.
    Legacy,
}

impl SshProfile {
    /// What we offer, most wanted first; legacy algorithms always last.
    pub(super) fn config(self) -> Config {
        let safe = Preferred::DEFAULT;
        let (mut kex, mut key, mut cipher, mut mac) =
            (safe.kex.to_vec(), safe.key.to_vec(), safe.cipher.to_vec(), safe.mac.to_vec());
        // Off by default in the library, and all that many switches have beside group 14 with SHA-1.
        kex.extend([kex::ECDH_SHA2_NISTP256, kex::ECDH_SHA2_NISTP384, kex::ECDH_SHA2_NISTP521]);
        if self == Self::Legacy {
            kex.extend([kex::DH_G14_SHA1, kex::DH_GEX_SHA1, kex::DH_G1_SHA1]);
            cipher.extend([cipher::AES_256_CBC, cipher::AES_192_CBC, cipher::AES_128_CBC]);
            mac.push(mac::HMAC_SHA1);
        } else {
            // RSA with SHA-1.
            key.retain(|algorithm| !matches!(algorithm, Algorithm::Rsa { hash: None }));
        }
        let preferred = Preferred {
            kex: Cow::Owned(kex),
            key: Cow::Owned(key),
            cipher: Cow::Owned(cipher),
            mac: Cow::Owned(mac),
            ..safe
        };
        let mut config = Config { preferred, ..Config::default() };
        if self == Self::Legacy
            && let Ok(gex) = russh::client::GexParams::new(2048, 2048, 8192)
        {
            config.gex = gex;
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_sha1(config: &Config) -> bool {
        config.preferred.kex.contains(&kex::DH_G1_SHA1)
            || config.preferred.mac.contains(&mac::HMAC_SHA1)
            || config.preferred.key.contains(&Algorithm::Rsa { hash: None })
    }

    #[test]
    fn what_is_unsafe_is_only_in_the_legacy_profile_and_last() {
        let (modern, legacy) = (SshProfile::Modern.config(), SshProfile::Legacy.config());
        assert!(!has_sha1(&modern) && has_sha1(&legacy));
        assert_eq!(legacy.preferred.mac.last(), Some(&mac::HMAC_SHA1));
        assert_eq!(legacy.preferred.kex.last(), Some(&kex::DH_G1_SHA1));
        assert_eq!(legacy.preferred.key.last(), Some(&Algorithm::Rsa { hash: None }));
    }
}
