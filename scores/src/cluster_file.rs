//! `cluster.toml`, read: what is wrong with it is said by line and key, and the files that it names are found from its folder.

use std::path::{Path, PathBuf};

use harmony_core::cluster::ClusterDescription;
use harmony_core::score::ScoreError;

/// Reads a description.
///
/// # Errors
/// A file that cannot be read, or what is wrong with it.
pub(crate) fn read(path: &Path) -> Result<ClusterDescription, ScoreError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ScoreError::Document { what: format!("read {}", path.display()), source: source.into() })?;
    parse(&text, path)
}

/// Understands a description that stands in this file.
pub(crate) fn parse(text: &str, path: &Path) -> Result<ClusterDescription, ScoreError> {
    let mut description: ClusterDescription = toml::from_str(text).map_err(|source| ScoreError::Document {
        what: format!("understand {}", path.display()),
        source: source.into(),
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let found = |file: &mut Option<PathBuf>| {
        if let Some(file) = file {
            *file = folder.join(&file);
        }
    };
    found(&mut description.pull_secret_file);
    found(&mut description.ssh_key_file);
    Ok(description)
}
