//! What of a site is used without its devices: the files that it offers, and the program that makes clusters.

use harmony_drivers::WriteLog;
use harmony_drivers::assets::AssetFolder;
use harmony_drivers::cluster::openshift_install::OpenshiftInstall;

use super::SiteFile;

impl SiteFile {
    /// The files that the boot server offers.
    #[must_use]
    pub fn assets(&self) -> AssetFolder {
        AssetFolder::new(&self.boot.assets)
    }

    /// The program that makes clusters, if the site has one. What it makes is noted in `writes`.
    #[must_use]
    pub fn cluster_installer(&self, writes: WriteLog) -> Option<OpenshiftInstall> {
        Some(OpenshiftInstall::new(self.installer.clone()?, &self.site.state, writes))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_installer_of_the_reference_is_named_by_its_path() {
        let page = include_str!("../../../docs/reference/site.md");
        let text = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let parse = |text: &str| SiteFile::parse(text, Path::new("site.toml"), Path::new("/site")).expect("valid");
        let (without, section) = text.split_once("[installer]").expect("an example");
        let (_, rest) = section.split_once("\n[cluster]").expect("an example");
        let file = parse(&format!("{without}\n[cluster]{rest}"));
        assert_eq!(file.assets().folder(), Path::new("/site/assets"));
        assert!(file.cluster_installer(WriteLog::default()).is_none());
        let file = parse(text);
        assert_eq!(
            file.installer.as_ref().map(|spec| spec.program.as_path()),
            Some(Path::new("/site/bin/openshift-install"))
        );
        let installer = file.cluster_installer(WriteLog::default()).expect("named");
        assert_eq!(installer.private_root(), Path::new("/site/state/clusters"));
    }
}
