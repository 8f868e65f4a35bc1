//! `cluster.toml`: the text of a [`ClusterDescription`], read, checked, and its paths made those of its folder.
//!
//! What the keys mean is with the description itself.

use std::path::{Path, PathBuf};

use harmony_core::cluster::{ClusterDescription, DescriptionError};

/// A description that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterFileError {
    /// The file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is malformed; the cause names line and key.
    #[error("failed to understand the cluster description {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value cannot work, or contradicts another.
    #[error("{}: {source}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Key and reason.
        source: DescriptionError,
    },
}

/// Reads and checks a cluster description. What works but is unusual is returned with it, as sentences.
///
/// # Errors
/// What is wrong, by file, line and key.
pub fn read_cluster(path: &Path) -> Result<(ClusterDescription, Vec<String>), ClusterFileError> {
    let failed = |source| ClusterFileError::Read { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = std::path::absolute(folder).map_err(failed)?;
    parse_cluster(&text, path, &folder)
}

/// Parses and checks the text of a cluster description; `path` is for errors, relative paths in it are of `folder`.
///
/// # Errors
/// As for [`read_cluster`].
pub fn parse_cluster(
    text: &str,
    path: &Path,
    folder: &Path,
) -> Result<(ClusterDescription, Vec<String>), ClusterFileError> {
    let mut description: ClusterDescription = toml::from_str(text)
        .map_err(|source| ClusterFileError::Parse { path: path.to_owned(), source: Box::new(source) })?;
    let advice = description.check().map_err(|source| ClusterFileError::Value { path: path.to_owned(), source })?;
    for file in [&mut description.pull_secret_file, &mut description.ssh_key_file].into_iter().flatten() {
        *file = folder.join(&*file);
    }
    Ok((description, advice))
}

#[cfg(test)]
mod tests {
    use harmony_core::boot::choice::NicChoice;
    use harmony_core::cluster::{HostBinding, LacpStrategy, NodeKind};
    use harmony_core::error::chain;

    use super::*;

    fn parse(text: &str) -> Result<(ClusterDescription, Vec<String>), ClusterFileError> {
        parse_cluster(text, Path::new("cluster.toml"), Path::new("/site"))
    }

    fn page_example(at: usize) -> &'static str {
        let page = include_str!("../../docs/reference/cluster.md");
        page.split("```toml\n").nth(at).and_then(|rest| rest.split("```").next()).expect("an example")
    }

    #[test]
    fn the_examples_of_the_reference_are_understood() {
        let (small, advice) = parse(page_example(1)).unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert!(advice.is_empty(), "{advice:?}");
        assert_eq!(small.roles.len(), 6);
        let (whole, advice) = parse(page_example(2)).unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert!(advice.is_empty(), "{advice:?}");
        assert_eq!(whole.pull_secret_file.as_deref(), Some(Path::new("/site/pull-secret.json")));
        let plans = whole.role_plans().expect("valid");
        let plan = |role: &str| plans.iter().find(|plan| plan.role.as_str() == role).expect(role);
        assert!(matches!(plan("master-0").host, HostBinding::Serial(_)));
        assert_eq!(plan("worker-0").kind, NodeKind::Worker);
        assert_eq!(plan("master-0").lacp, Some(LacpStrategy::Flip));
        let nics = plan("worker-2").bond.as_ref().map(|bond| bond.nics.clone());
        assert_eq!(nics, Some(NicChoice::AtLeastMbps(10_000)));
    }

    /// Every alternative that the reference shows in a comment is understood in its place.
    #[test]
    fn the_alternatives_of_the_reference_are_understood() {
        let example = page_example(2);
        let mut tried = 0;
        for (at, line) in example.lines().enumerate() {
            let Some(alternative) = line.strip_prefix("# ").filter(|rest| rest.contains(" = ")) else { continue };
            let key = alternative.split(" = ").next().expect("a key");
            // It takes the place of the line with its key before it, where there is one.
            let before = example.lines().take(at).collect::<Vec<_>>();
            let replaced =
                before.iter().rposition(|line| line.split(" = ").next() == Some(key) || line.starts_with('['));
            let text: Vec<&str> = example
                .lines()
                .enumerate()
                .filter(|(number, line)| !(Some(*number) == replaced && line.split(" = ").next() == Some(key)))
                .map(|(number, line)| if number == at { alternative } else { line })
                .collect();
            parse(&text.join("\n")).unwrap_or_else(|error| panic!("{alternative}: {}", chain(&error)));
            tried += 1;
        }
        assert!(tried >= 8, "{tried}");
    }

    #[test]
    fn an_error_names_file_line_and_key() {
        let good = page_example(1);
        for (from, to, parts) in [
            ("api = ", "apis = ", &["cluster.toml", "line", "apis"][..]),
            ("api = \"10.10.0.5\"", "api = \"10.10.0\"", &["cluster.toml", "line", "api = \"10.10.0\""]),
            ("name = \"ocp4\"", "name = \"ocp4.x\"", &["line 1", "one label is allowed"]),
            ("[roles.worker-1]", "[roles.\"worker 1\"]", &["line", "worker 1"]),
            ("[roles.worker-1]", "[roles.worker-1]\nbond = \"yes\"", &["line", "bond", "`false` or a table"]),
            (
                "[roles.worker-1]",
                "[roles.worker-1]\nhost = { serial = \"A\", id = \"hc-0000000\" }",
                &["line", "host = { serial"],
            ),
            (
                "[roles.worker-1]",
                "[roles.worker-1]\nbond = { nics = \"eno1\" }",
                &["line", "eno1", "\"provisioning\", \"all\""],
            ),
            ("[roles.master-2]", "[roles.worker-2]", &["cluster.toml: `roles`", "odd number of masters"]),
        ] {
            assert!(good.contains(from), "{from}");
            let error = parse(&good.replacen(from, to, 1)).expect_err(to);
            let text = chain(&error);
            for part in parts {
                assert!(text.contains(part), "{part} | {text}");
            }
        }
    }
}
