//! What is installed from: the installer, the images, the certificates, and the clocks that these are judged by.

use jiff::SignedDuration;

use super::{Review, Severity};

/// What a certificate's beginning forgives nobody: nodes that are behind refuse what was just made.
const CLOCK_WARNS: SignedDuration = SignedDuration::from_secs(30);
const CLOCK_BLOCKS: SignedDuration = SignedDuration::from_mins(5);
/// Source: OpenShift, "Creating the Kubernetes manifest and Ignition config files": use them within 12 hours.
const CERTIFICATES_WARN: SignedDuration = SignedDuration::from_hours(12);

/// Releases that are known not to install. Source: issue 2293 of okd-project/okd.
const KNOWN_BAD: [(&str, &str); 1] = [(
    "4.19.0-okd-scos.19",
    "its bootstrap fails with `unknown flag: --operand-kubernetes-version` (okd-project/okd issue 2293)",
)];

impl Review<'_> {
    pub(super) fn software(&mut self) {
        self.installer();
        self.images();
        self.certificates();
        for (whose, ahead) in &self.seen.clocks {
            let away = ahead.abs();
            let severity = match away {
                away if away >= CLOCK_BLOCKS => Severity::Blocking,
                away if away >= CLOCK_WARNS => Severity::Warning,
                _ => continue,
            };
            let side = if ahead.is_negative() { "behind" } else { "ahead of" };
            let evidence = format!("its clock is {} s {side} Harmony's", away.as_secs());
            let remedy = "set it, and name an NTP server: certificates are valid from the moment they are made";
            self.find(severity, format!("clock of {whose}"), evidence, remedy);
        }
    }

    fn installer(&mut self) {
        let Some(installer) = &self.seen.installer else { return };
        let version = &installer.version;
        if let Some(wanted) = self.description.release.as_ref().filter(|wanted| *wanted != version) {
            let evidence = format!("the installer is of release {version}, the description wants {wanted}");
            let remedy = format!("use the installer of {wanted}, or change `release`");
            self.find(Severity::Blocking, "installer", evidence, remedy);
        }
        if let Some((_, why)) = KNOWN_BAD.iter().find(|(bad, _)| bad == version) {
            self.find(Severity::Warning, "installer", format!("release {version}: {why}"), "use another release");
        }
        if self.description.release.is_none() {
            let evidence = format!("no release is pinned; the installer is of {version}");
            self.find(Severity::Note, "installer", evidence, format!("say `release = \"{version}\"`"));
        }
    }

    fn images(&mut self) {
        if let Some(images) =
            self.seen.images.as_ref().filter(|images| images.kernel.location.contains("fedora-coreos"))
        {
            let evidence = format!("hosts would boot Fedora CoreOS: {}", images.kernel.location);
            let remedy = "use an installer whose stream is SCOS: OKD from 4.19 on does not install from Fedora CoreOS (okd-project/okd issue 2222)";
            self.find(Severity::Blocking, "boot images", evidence, remedy);
        }
        for asset in &self.seen.assets {
            let subject = format!("asset {}", asset.path);
            match &asset.there {
                Some(there) if there.sha256 == asset.sha256 => {}
                Some(there) => {
                    let evidence = format!("its SHA-256 is {}, the release says {}", there.sha256, asset.sha256);
                    self.find(Severity::Blocking, subject, evidence, "fetch it again: harmony assets fetch");
                }
                None => self.find(
                    Severity::Warning,
                    subject,
                    "it is not there yet",
                    "fetch it now, or let the run do so: harmony assets fetch",
                ),
            }
        }
    }

    fn certificates(&mut self) {
        let Some(certificates) = self.seen.certificates.filter(|certificates| certificates.are_needed) else { return };
        let age = self.seen.now.duration_since(certificates.made_at);
        if self.seen.now >= certificates.expires_at {
            let evidence = format!("they expired at {}: no machine can join by them", certificates.expires_at);
            let remedy = "make new ones, which is another cluster: its machines begin anew";
            self.find(Severity::Blocking, "certificates of the installation", evidence, remedy);
        } else if age >= CERTIFICATES_WARN {
            let evidence = format!("they are {} h old, and expire at {}", age.as_hours(), certificates.expires_at);
            let remedy = "let all machines join before then, or begin anew";
            self.find(Severity::Warning, "certificates of the installation", evidence, remedy);
        }
    }
}
