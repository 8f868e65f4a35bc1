//! What the site file says of the installer program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// `[installer]` of the site file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenshiftInstallSpec {
    /// The program: a path, or a name that is looked up in `PATH`. By default `openshift-install`.
    #[serde(default = "program")]
    pub program: PathBuf,
    /// SHA-256 of the program, in hexadecimal digits; another program is not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Its version, as it says it: `4.19.0-okd-scos.9`; another one is not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// File with the pull secret; OKD needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret_file: Option<PathBuf>,
    /// Variables of its environment: `OPENSHIFT_INSTALL_RELEASE_IMAGE_OVERRIDE`, proxies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

fn program() -> PathBuf {
    "openshift-install".into()
}

impl Default for OpenshiftInstallSpec {
    fn default() -> Self {
        Self { program: program(), sha256: None, version: None, pull_secret_file: None, env: BTreeMap::new() }
    }
}

impl OpenshiftInstallSpec {
    /// Makes relative paths relative to this folder. A program without a folder stays a name.
    pub fn resolve(&mut self, folder: &Path) {
        if self.program.components().count() > 1 {
            self.program = folder.join(&self.program);
        }
        if let Some(file) = &mut self.pull_secret_file {
            *file = folder.join(&*file);
        }
    }
}

/// The file that a program's name means.
pub(super) fn find(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return Some(program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_file_is_checked_and_paths_are_its_own() {
        let mut spec: OpenshiftInstallSpec = toml::from_str(
            "program = \"bin/openshift-install\"\npull_secret_file = \"pull-secret\"\nenv.HTTPS_PROXY = \"http://p:3128\"",
        )
        .expect("valid");
        spec.resolve(Path::new("/site"));
        assert_eq!(spec.program, Path::new("/site/bin/openshift-install"));
        assert_eq!(spec.pull_secret_file.as_deref(), Some(Path::new("/site/pull-secret")));
        assert_eq!(spec.env["HTTPS_PROXY"], "http://p:3128");
        let mut spec: OpenshiftInstallSpec = toml::from_str("").expect("all have defaults");
        spec.resolve(Path::new("/site"));
        assert_eq!(spec, OpenshiftInstallSpec::default());
        assert!(toml::from_str::<OpenshiftInstallSpec>("pull_secret = \"x\"").is_err(), "a secret is in no site file");
    }

    #[test]
    fn a_name_is_looked_up() {
        assert!(find(Path::new("sh")).expect("there").is_absolute());
        assert_eq!(find(Path::new("no-such-program-of-ours")), None);
        assert_eq!(find(Path::new("./x")), Some("./x".into()));
    }
}
