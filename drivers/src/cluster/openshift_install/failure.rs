//! What the program's exit codes mean, and what to do next.
//!
//! Source: openshift/installer, `cmd/openshift-install/command/waitfor.go`: 3 install configuration, 4 infrastructure,
//! 5 bootstrap, 6 installation, 7 operators not stable, 8 interrupted; 1 is any other failure.

use std::collections::VecDeque;
use std::path::Path;

use harmony_core::error::{DeviceError, FailureKind};

use super::said::{Level, Said};
use crate::transport::process::{Ended, ProcessError};

/// Lines that go into an error.
const MAX_EVIDENCE: usize = 6;

/// What of the program's words is kept, in case it fails.
#[derive(Debug, Default)]
pub(super) struct Heard {
    complaints: VecDeque<String>,
    noise: Option<String>,
    last: Option<String>,
}

impl Heard {
    /// Takes a line; returns what of it people are told, unless it is what they were told last.
    pub(super) fn take(&mut self, said: Said) -> Option<String> {
        match said {
            Said::Nothing => None,
            Said::Noise(text) => {
                self.noise = Some(text);
                None
            }
            Said::Line(level, text) => {
                if self.last.as_ref() == Some(&text) {
                    return None;
                }
                if level != Level::Info {
                    self.complaints.push_back(text.clone());
                    if self.complaints.len() > MAX_EVIDENCE {
                        self.complaints.pop_front();
                    }
                }
                self.last = Some(text.clone());
                Some(text)
            }
        }
    }

    /// What it complained of, and what its Kubernetes client met last.
    fn evidence(self) -> Vec<String> {
        let mut lines: Vec<String> = self.complaints.into();
        if lines.is_empty() {
            lines.extend(self.last);
        }
        lines.extend(self.noise.map(|noise| format!("its Kubernetes client: {noise}")));
        lines
    }
}

/// The error of a program that ended otherwise than well. `folder` is the one that it worked in, `log` what it wrote of
/// all this.
pub(super) fn of_exit(operation: String, ended: Ended, heard: Heard, folder: &Path, log: &Path) -> DeviceError {
    let code = ended.status.code();
    let told = heard.evidence();
    let is_unmade = told.iter().any(|line| line.contains("loading kubeconfig"));
    let (dir, log) = (folder.display(), log.display());
    let (kind, meaning, hint) = match code {
        _ if ended.stopped => {
            (FailureKind::Transient, "it was stopped".to_owned(), "run it again: it only watches".to_owned())
        }
        Some(3) => (
            FailureKind::Invalid,
            "it refuses the install configuration".to_owned(),
            "correct what it names in the cluster's description".to_owned(),
        ),
        Some(4) => (
            FailureKind::Rejected,
            "it could not prepare the infrastructure".to_owned(),
            format!("read {log}; on bare metal it has none to prepare"),
        ),
        Some(5) => (
            FailureKind::Transient,
            "the bootstrap machine did not bring up the control plane in time".to_owned(),
            format!(
                "collect its logs: openshift-install gather bootstrap --dir {dir} --bootstrap ADDRESS --master ADDRESS…; waiting may be repeated"
            ),
        ),
        Some(6) => (
            FailureKind::Transient,
            "the cluster did not finish its installation in time".to_owned(),
            format!(
                "see what is missing: oc --kubeconfig {dir}/auth/kubeconfig get clusteroperators,nodes,csr; waiting may be repeated"
            ),
        ),
        Some(7) => (
            FailureKind::Transient,
            "operators of the cluster do not come to rest".to_owned(),
            format!("see which: oc --kubeconfig {dir}/auth/kubeconfig get clusteroperators; waiting may be repeated"),
        ),
        Some(8) => (
            FailureKind::Transient,
            "somebody interrupted it".to_owned(),
            "run it again".to_owned(),
        ),
        Some(_) if is_unmade => (
            FailureKind::Conflict,
            format!("{dir} has no kubeconfig"),
            "somebody has changed Harmony's folder of the cluster; restore it, or have the artefacts made anew, which makes another cluster".to_owned(),
        ),
        Some(code) => (
            FailureKind::Rejected,
            format!("it ended with exit code {code}"),
            format!("read {log} if it is there"),
        ),
        None => (
            FailureKind::Transient,
            format!("it was ended by {}", ended.status),
            "was it killed for want of memory? dmesg tells".to_owned(),
        ),
    };
    let error = DeviceError::new(kind, operation).because(meaning).hint(hint);
    told.into_iter().fold(error, DeviceError::evidence)
}

/// The error of a program that did not run.
pub(super) fn of_process(operation: String, error: ProcessError, program: &Path) -> DeviceError {
    let denied =
        matches!(&error, ProcessError::Start { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied);
    let kind = if denied { FailureKind::Rejected } else { error.kind() };
    let hint = match &error {
        _ if denied => format!("chmod +x {}", program.display()),
        ProcessError::Missing { .. } => super::INSTALL_HINT.to_owned(),
        ProcessError::Start { .. } => format!("is {} a program for this machine?", program.display()),
        _ => format!("is {} openshift-install? see what it says by hand", program.display()),
    };
    DeviceError::new(kind, operation).because(error).hint(hint)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn told(code: i32, lines: &[(Level, &str)]) -> String {
        let mut heard = Heard::default();
        for (level, text) in lines {
            heard.take(Said::Line(*level, (*text).to_owned()));
        }
        heard.take(Said::Noise("dial tcp: no such host".into()));
        let ended = Ended { status: ExitStatus::from_raw(code << 8), stopped: false };
        let folder = Path::new("/state/clusters/ocp4/1");
        let error = of_exit("failed to wait".into(), ended, heard, folder, &folder.join(".openshift_install.log"));
        let mut text = format!("{:?} {}", error.kind(), harmony_core::error::chain(&error));
        for line in error.evidence_lines() {
            text += &format!("\n  {line}");
        }
        text + &format!("\nhint: {}", error.hint_text().unwrap_or_default())
    }

    #[test]
    fn each_exit_code_has_its_meaning_and_a_next_step() {
        let lines = [(Level::Info, "Waiting up to 20m0s"), (Level::Error, "Bootstrap failed to complete: timed out")];
        let all: Vec<_> = [1, 3, 4, 5, 6, 7, 8].map(|code| told(code, &lines)).into();
        insta::assert_snapshot!(all.join("\n\n"));
        let unmade = told(1, &[(Level::Error, "loading kubeconfig: stat auth/kubeconfig: no such file or directory")]);
        assert!(unmade.starts_with("Conflict failed to wait: /state/clusters/ocp4/1 has no kubeconfig"), "{unmade}");
    }

    #[test]
    fn the_last_complaints_are_kept_and_nothing_is_told_twice_in_a_row() {
        let mut heard = Heard::default();
        let line = |text: &str| Said::Line(Level::Warning, text.to_owned());
        assert_eq!(heard.take(line("a")).as_deref(), Some("a"));
        assert_eq!(heard.take(line("a")), None);
        for number in 0..10 {
            heard.take(line(&number.to_string()));
        }
        assert_eq!(heard.evidence(), ["4", "5", "6", "7", "8", "9"]);
    }
}
