//! `harmony assets fetch|verify|list`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::{Args, Subcommand};
use harmony_core::capability::{BootAssets as _, ClusterInstaller as _, RemoteFile};
use harmony_topologies::site::SiteFile;
use serde_json::{Value, json};

use super::json_text;
use crate::run::output;
use crate::{CommandError, read_site};

/// Progress of a transfer is told this often, in bytes.
const TOLD_BYTES: u64 = 64 << 20;

#[derive(Debug, Subcommand)]
pub(super) enum AssetsCommand {
    /// Fetch what hosts boot into the folder that is served under `/os/`. A transfer that was cut off goes on.
    #[command(after_help = "Examples:
  harmony assets fetch --stream                             kernel, initramfs and rootfs of the site's openshift-install
  harmony assets fetch --iso CentOS-Stream-9-latest-x86_64-boot.iso
  harmony assets fetch --iso https://mirror.example/boot.iso --sha256 0f3c… --as centos-stream-9
  harmony assets fetch https://mirror.example/disk.img.zst --sha256 9ab1… node/disk.img.zst
Proxies come from HTTPS_PROXY and HTTP_PROXY.")]
    Fetch(FetchArguments),
    /// Hash every file anew, and compare it with the digest that it was fetched with.
    Verify,
    /// List the files, with size and SHA-256.
    List,
}

#[derive(Debug, Args)]
pub(super) struct FetchArguments {
    /// What the site's installer boots its machines with, into `scos/RELEASE/`.
    #[arg(long, conflicts_with_all = ["iso", "url", "sha256"])]
    stream: bool,
    /// A boot image of CentOS Stream 9, a file or a URL: kernel, initramfs and runtime are taken out of it.
    #[arg(long, value_name = "FILE|URL", conflicts_with = "url")]
    iso: Option<String>,
    /// Where what is in the image is shown.
    #[arg(long = "as", value_name = "FOLDER", requires = "iso", default_value = "centos-stream-9")]
    folder: String,
    /// SHA-256 of the file.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// A URL, or the path of a mirror's file.
    #[arg(requires_all = ["path", "sha256"])]
    url: Option<String>,
    /// Its path below `/os/`.
    path: Option<String>,
}

pub(super) async fn run(site: &Path, json: bool, command: AssetsCommand) -> Result<(), CommandError> {
    let file = read_site(site)?;
    match command {
        AssetsCommand::Fetch(arguments) => {
            let fetched = fetch(&file, arguments).await?;
            let lines = fetched.iter().map(|path| format!("/os/{path}\n")).collect::<String>();
            output::print(&if json { json_text(&json!({ "fetched": fetched }))? } else { lines })
        }
        AssetsCommand::Verify => verify(file, json).await,
        AssetsCommand::List => {
            let assets = blocking(move || file.assets().list()).await??;
            if json {
                return output::print(&json_text(&assets)?);
            }
            let line = |asset: &harmony_topologies::site::Asset| {
                format!("{:>12}  {}  /os/{}\n", asset.info.size_bytes, asset.info.sha256, asset.path)
            };
            output::print(&assets.iter().map(line).collect::<String>())
        }
    }
}

/// The paths of what is there now.
async fn fetch(site: &SiteFile, arguments: FetchArguments) -> Result<Vec<String>, CommandError> {
    let FetchArguments { stream, iso, folder, sha256, url, path } = arguments;
    if stream {
        return fetch_stream(site).await;
    }
    if let Some(image) = iso {
        return fetch_iso(site, image, folder, sha256).await;
    }
    let (Some(location), Some(path), Some(sha256)) = (url, path, sha256) else {
        return Err(CommandError::new("what shall be fetched?").hint("harmony assets fetch --help shows examples"));
    };
    let from = RemoteFile { location, sha256 };
    site.assets().fetch_asset(&from, &path, &Told::new(&path).tell()).await?;
    Ok(vec![path.trim_start_matches('/').to_owned()])
}

async fn fetch_stream(site: &SiteFile) -> Result<Vec<String>, CommandError> {
    let installer = site.cluster_installer(Default::default()).ok_or_else(|| {
        CommandError::new("the site file names no installer")
            .hint("`[installer]` does, with the path of openshift-install; docs/reference/site.md tells more")
    })?;
    let (images, assets) = (installer.boot_images().await?, site.assets());
    let mut fetched = Vec::new();
    for (file, path) in images.assets() {
        assets.fetch_asset(file, &path, &Told::new(&path).tell()).await?;
        fetched.push(path);
    }
    Ok(fetched)
}

async fn fetch_iso(
    site: &SiteFile,
    image: String,
    folder: String,
    sha256: Option<String>,
) -> Result<Vec<String>, CommandError> {
    let assets = site.assets();
    let is_url = image.contains("://");
    let local = match sha256 {
        None if is_url => {
            return Err(CommandError::new(format!("the SHA-256 of {image} is not given"))
                .hint("a mirror has it beside the image, in a file CHECKSUM or .SHA256SUM; give it with --sha256"));
        }
        None => PathBuf::from(image),
        Some(sha256) => {
            let location = if is_url {
                image
            } else {
                let path = std::path::absolute(&image);
                path.map_err(|error| CommandError::new(format!("{image}: {error}")))?.to_string_lossy().into_owned()
            };
            let told = Told::new("the boot image");
            assets.fetch_hidden(&RemoteFile { location, sha256 }, &told.tell()).await?
        }
    };
    let extracted = blocking(move || {
        assets.extract(&local, &folder, &|asset| eprintln!("/os/{}: {} MiB", asset.path, asset.info.size_bytes >> 20))
    });
    Ok(extracted.await??.into_iter().map(|asset| asset.path).collect())
}

async fn verify(site: SiteFile, json: bool) -> Result<(), CommandError> {
    let folder = site.boot.assets.clone();
    let verified = blocking(move || {
        site.assets()
            .verify(&|file| eprintln!("/os/{}: {}", file.path, if file.is_right() { "right" } else { "WRONG" }))
    });
    let verified = verified.await??;
    let wrong: Vec<_> = verified.iter().filter(|file| !file.is_right()).collect();
    if json {
        let rows: Vec<Value> = verified
            .iter()
            .map(|file| json!({ "path": file.path, "expected": file.expected, "found": file.found, "right": file.is_right() }))
            .collect();
        output::print(&json_text(&rows)?)?;
    }
    let Some(first) = wrong.first() else { return Ok(()) };
    let expected = first.expected.as_deref().unwrap_or_default();
    Err(CommandError::new(format!(
        "{} of {} files are not what they were; the first is /os/{}, SHA-256 {}, wanted {expected}",
        wrong.len(),
        verified.len(),
        first.path,
        first.found
    ))
    .hint(format!(
        "remove it and fetch it again: rm -f {0}/{1} {0}/.blobs/sha256/{expected}; does the disk fail?",
        folder.display(),
        first.path
    )))
}

/// Hashing and copying what is large, off the runtime's own threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, CommandError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| CommandError::new(error.to_string()))
}

/// Tells how far a transfer is, a line for each 64 MiB and at its end.
struct Told {
    name: String,
    last: Mutex<Option<u64>>,
}

impl Told {
    fn new(name: &str) -> Self {
        Self { name: name.rsplit('/').next().unwrap_or(name).to_owned(), last: Mutex::new(None) }
    }

    fn tell(self) -> impl Fn(u64, Option<u64>) + Send + Sync {
        move |done, total| {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let step = done / TOLD_BYTES;
            if *last == Some(step) && Some(done) != total {
                return;
            }
            *last = Some(step);
            let of = total.map_or_else(String::new, |total| format!(" of {}", total >> 20));
            eprintln!("{}: {}{of} MiB", self.name, done >> 20);
        }
    }
}
