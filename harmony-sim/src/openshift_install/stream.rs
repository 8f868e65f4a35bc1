//! The stream metadata that it prints.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::Failed;
use super::settings::{Fault, Settings};
use crate::boot_server::hex;

/// A file that machines are booted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFile {
    /// Its URL.
    pub location: String,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl BootFile {
    /// One with these contents.
    #[must_use]
    pub fn new(location: impl Into<String>, contents: &[u8]) -> Self {
        Self { location: location.into(), sha256: hex(&Sha256::digest(contents)) }
    }
}

/// Stream metadata for these files, in the real one's shape. Its text goes into the file that
/// [`super::STREAM_VARIABLE`] names.
#[must_use]
pub fn stream_metadata(release: &str, kernel: &BootFile, initramfs: &BootFile, rootfs: &BootFile) -> String {
    let file = |file: &BootFile| json!({ "location": file.location, "sha256": file.sha256 });
    let other = |name: &str| json!({ "location": format!("https://rhcos.example/{name}"), "sha256": "0".repeat(64) });
    let value = json!({
        "stream": "c9s",
        "metadata": { "last-modified": "2025-05-10T00:00:00Z", "generator": "harmony-sim" },
        "architectures": { "x86_64": { "artifacts": { "metal": { "release": release, "formats": {
            "iso": { "disk": other("live-iso.x86_64.iso") },
            "pxe": { "kernel": file(kernel), "initramfs": file(initramfs), "rootfs": file(rootfs) },
            "raw.gz": { "disk": other("metal.x86_64.raw.gz") },
        } } } } },
    });
    format!("{value:#}\n")
}

/// What is printed when no file is named: nothing that anybody could fetch.
fn default_metadata() -> String {
    const RELEASE: &str = "9.0.20250510-0";
    let file = |part: &str| BootFile {
        location: format!(
            "https://rhcos.example/art/storage/prod/streams/c9s/builds/{RELEASE}/x86_64/scos-{RELEASE}-live-{part}"
        ),
        sha256: "0".repeat(64),
    };
    stream_metadata(RELEASE, &file("kernel.x86_64"), &file("initramfs.x86_64.img"), &file("rootfs.x86_64.img"))
}

pub(super) fn print(settings: &Settings) -> Result<(), Failed> {
    let text = match &settings.stream {
        _ if settings.fault == Some(Fault::Garbage) => "\u{0}<html>not found</html>".to_owned(),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failed::fatal(format!("failed to read CoreOS stream metadata: {error}")))?,
        None => default_metadata(),
    };
    print!("{text}");
    Ok(())
}
