//! The installer's stream metadata: what machines are booted with.
//!
//! Source: `coreos print-stream-json`, `architectures.x86_64.artifacts.metal`; names of files differ from release
//! to release, so only what is said here counts.

use harmony_core::capability::{BootImages, RemoteFile};
use serde::Deserialize;

/// Longest URL, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// Why the metadata cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It is no metadata, or there is none for what we need.
    #[error("its stream metadata has no kernel, initramfs and rootfs to boot x86_64 machines from the network")]
    Shape(#[source] serde_json::Error),
    /// A value that cannot be used.
    #[error("`{key}` of its stream metadata is `{value}`, {reason}")]
    Value {
        /// Which one.
        key: String,
        /// What it is.
        value: String,
        /// Why not.
        reason: &'static str,
    },
}

#[derive(Deserialize)]
struct Stream {
    architectures: Architectures,
}

#[derive(Deserialize)]
struct Architectures {
    x86_64: Architecture,
}

#[derive(Deserialize)]
struct Architecture {
    artifacts: Artifacts,
}

#[derive(Deserialize)]
struct Artifacts {
    metal: Metal,
}

#[derive(Deserialize)]
struct Metal {
    release: String,
    formats: Formats,
}

#[derive(Deserialize)]
struct Formats {
    pxe: Pxe,
}

#[derive(Deserialize)]
struct Pxe {
    kernel: File,
    initramfs: File,
    rootfs: File,
}

#[derive(Deserialize)]
struct File {
    location: String,
    sha256: String,
}

fn wrong(key: &str, value: &str, reason: &'static str) -> StreamError {
    let value = value.chars().take(80).flat_map(char::escape_default).collect();
    StreamError::Value { key: key.to_owned(), value, reason }
}

fn file(key: &str, file: File) -> Result<RemoteFile, StreamError> {
    let File { location, sha256 } = file;
    let is_http = ["https://", "http://"].iter().any(|scheme| location.strip_prefix(scheme).is_some_and(is_place));
    if !is_http {
        return Err(wrong(&format!("{key}.location"), &location, "which is no http or https URL"));
    }
    if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong(&format!("{key}.sha256"), &sha256, "which is not 64 hexadecimal digits"));
    }
    Ok(RemoteFile { location, sha256: sha256.to_ascii_lowercase() })
}

/// Whether this can follow the scheme of a URL that names a file.
fn is_place(rest: &str) -> bool {
    let is_clean = rest.len() <= MAX_URL_BYTES && rest.bytes().all(|byte| byte.is_ascii_graphic());
    is_clean && rest.split_once('/').is_some_and(|(host, path)| !host.is_empty() && !path.is_empty())
}

/// Reads the metadata.
pub(super) fn boot_images(text: &[u8]) -> Result<BootImages, StreamError> {
    let stream: Stream = serde_json::from_slice(text).map_err(StreamError::Shape)?;
    let Metal { release, formats } = stream.architectures.x86_64.artifacts.metal;
    let is_release = (1..=64).contains(&release.len())
        && !release.starts_with('.')
        && release.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte));
    if !is_release {
        // It becomes the name of a folder.
        return Err(wrong("metal.release", &release, "which is no build's name"));
    }
    let Pxe { kernel, initramfs, rootfs } = formats.pxe;
    Ok(BootImages {
        release,
        kernel: file("pxe.kernel", kernel)?,
        initramfs: file("pxe.initramfs", initramfs)?,
        rootfs: file("pxe.rootfs", rootfs)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let name = |part: &str| format!("https://h.example/9.0.1-0/x86_64/scos-9.0.1-0-live-{part}");
        let file = |part: &str| serde_json::json!({ "location": name(part), "sha256": "AB".repeat(32) });
        let mut stream = serde_json::json!({ "stream": "c9s", "architectures": { "x86_64": { "artifacts": { "metal": {
            "release": "9.0.1-0", "formats": {
                "iso": { "disk": file("iso.x86_64.iso") },
                "pxe": { "kernel": file("kernel.x86_64"), "initramfs": file("initramfs.x86_64.img"),
                         "rootfs": file("rootfs.x86_64.img") } } } } } } });
        change(&mut stream["architectures"]["x86_64"]["artifacts"]["metal"]);
        stream.to_string().into_bytes()
    }

    #[test]
    fn names_with_dots_and_with_dashes_are_both_taken() {
        let images = boot_images(&text(|_| ())).expect("valid");
        assert_eq!(images.release, "9.0.1-0");
        assert_eq!(images.kernel.location, "https://h.example/9.0.1-0/x86_64/scos-9.0.1-0-live-kernel.x86_64");
        assert_eq!(images.rootfs.sha256, "ab".repeat(32));
        let old = "http://h/fedora-coreos-40-live-kernel-x86_64";
        let images = boot_images(&text(|metal| metal["formats"]["pxe"]["kernel"]["location"] = old.into()));
        assert_eq!(images.expect("valid").kernel.location, old);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(Change, &str); 6] = [
            (|m| m["release"] = "../x".into(), "`metal.release` of its stream metadata is `../x`, which is no build's"),
            (
                |m| m["formats"]["pxe"]["rootfs"]["location"] = "ftp://h/x".into(),
                "`pxe.rootfs.location` of its stream metadata is `ftp://h/x`, which is no http or https URL",
            ),
            (|m| m["formats"]["pxe"]["kernel"]["location"] = "https://h/a b".into(), "`pxe.kernel.location`"),
            (|m| m["formats"]["pxe"]["kernel"]["location"] = "https:///x".into(), "`pxe.kernel.location`"),
            (|m| m["formats"]["pxe"]["initramfs"]["sha256"] = "ab".into(), "`pxe.initramfs.sha256`"),
            (|m| m["formats"]["pxe"] = serde_json::Value::Null, "its stream metadata has no kernel"),
        ];
        for (change, expected) in cases {
            let error = boot_images(&text(change)).expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(boot_images(b"level=fatal msg=x").is_err());
    }
}
