//! What the machines boot: a live environment and a disk image, built once from Debian's packages.
//!
//! Owns what an image is made of and when it has to be made anew: its folder in the cache is named
//! by the hash of everything that goes in. How it is made is said by the scripts in `assets/`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use super::LabError;
use super::prerequisites;
use super::process::{run, run_with};

/// Older images of a kind that are kept, for checkouts that take turns.
const KEPT: usize = 4;

/// A script with its files, by name.
type Assets = &'static [(&'static str, &'static str)];

macro_rules! assets {
    ($folder:literal: $($name:literal),+) => {
        &[$(($name, include_str!(concat!("../../assets/", $folder, $name)))),+]
    };
}

const KERNEL: Assets = assets!["": "kernel.sh", "modules.list"];
const LIVE: Assets = assets!["live/": "build.sh", "harmony-install", "init", "reboot", "udhcpc-script"];
const NODE: Assets = assets!["node/":
    "98-bond-inherit-mac.link", "build.sh", "early.cfg", "grub.cfg", "harmony-host-keys.service",
    "harmony-ignition", "harmony-ignition-fetch.service", "harmony-ignition.service", "ignition-faults.jq",
    "ignition-tar.jq", "ignition.jq", "init", "masked.list", "network-manager.conf", "sshd.conf", "syslinux.cfg"
];

/// Images that are ready.
#[derive(Debug)]
pub(super) struct Images {
    /// Folder with `vmlinuz` and `initrd.img` of the live environment.
    pub(super) live: PathBuf,
    /// Folder with `disk.img.zst`, the installed system.
    pub(super) node: PathBuf,
}

/// Finds the images for this agent, and builds what is not there. One process at a time does so;
/// others wait for it. `say` hears what takes long.
pub(super) fn ready(cache: &Path, agent: &Path, say: &dyn Fn(&str)) -> Result<Images, LabError> {
    let agent = std::path::absolute(agent).map_err(LabError::file("find", agent))?;
    let agent_bytes = std::fs::read(&agent).map_err(LabError::file("read the agent", &agent))?;
    std::fs::create_dir_all(cache).map_err(LabError::file("make", cache))?;
    let builder = Builder { cache, lock: lock(&cache.join("lock"), say)? };

    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let kernel_version = kernel_candidate()?;
    let kernel = Image { kind: "kernel", key: key(KERNEL, &[kernel_version.as_bytes()]), assets: KERNEL };
    let programs = versions(&["busybox-static", "dropbear-bin", "libc6", "zstd"])?;
    let live_key = key(LIVE, &[kernel.key.as_bytes(), programs.as_bytes(), &agent_bytes]);
    let live = Image { kind: "live", key: live_key, assets: LIVE };
    let loaders = versions(&["busybox-static", "grub-efi-amd64-bin", "syslinux-common"])?;
    let node_key = key(NODE, &[kernel.key.as_bytes(), loaders.as_bytes(), release.as_bytes()]);
    let node = Image { kind: "node", key: node_key, assets: NODE };

    let modules = Path::new("../assets/modules.list");
    let kernel = kernel.ready(&builder, "kernel.sh", &[modules], || say("fetching Debian's kernel"))?;
    let files = Path::new("../assets");
    let live = live.ready(&builder, "build.sh", &[files, &kernel, &agent], || say("building the live environment"))?;
    let node = node.ready(&builder, "build.sh", &[files, &kernel], || {
        say("building the installed system from Debian's packages; this takes a minute, once");
    })?;
    Ok(Images { live, node })
}

/// Keeps all other processes from building until it is dropped.
fn lock(path: &Path, say: &dyn Fn(&str)) -> Result<Flock<File>, LabError> {
    let file = File::create(path).map_err(LabError::file("open", path))?;
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(lock),
        Err((file, _)) => file,
    };
    say("another process builds images; waiting for it");
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| LabError::file("lock", path)(errno.into()))
}

/// The one process that may build.
struct Builder<'a> {
    cache: &'a Path,
    lock: Flock<File>,
}

/// One image, which may not have been built yet.
struct Image {
    kind: &'static str,
    key: String,
    assets: Assets,
}

impl Image {
    /// Its folder in the cache; built if it is not there.
    fn ready(&self, builder: &Builder<'_>, script: &str, args: &[&Path], say: impl Fn()) -> Result<PathBuf, LabError> {
        let place = builder.cache.join(format!("{}-{}", self.kind, self.key));
        if !place.exists() {
            prerequisites::for_building()?;
            say();
            self.build(builder, &place, script, args)?;
            forget_older(builder.cache, self.kind);
        }
        Ok(place)
    }

    fn build(&self, builder: &Builder<'_>, place: &Path, script: &str, args: &[&Path]) -> Result<(), LabError> {
        let Builder { cache, lock } = builder;
        let prefix = format!("building-{}-", self.kind);
        // We hold the lock: what others left half built, nobody is building any more.
        for stale in entries(cache, &prefix) {
            std::fs::remove_dir_all(&stale).map_err(LabError::file("remove", &stale))?;
        }
        let work = cache.join(format!("{prefix}{}", self.key));
        let (assets, scratch, out) = (work.join("assets"), work.join("scratch"), work.join("out"));
        for folder in [&work, &assets, &scratch, &out] {
            std::fs::create_dir(folder).map_err(LabError::file("make", folder))?;
        }
        for (name, text) in self.assets {
            let path = assets.join(name);
            std::fs::write(&path, text).map_err(LabError::file("write", &path))?;
        }
        // In a mount namespace of its own, a script that is killed leaves no mounts behind.
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh"]).arg(assets.join(script)).args(args).arg(&out).current_dir(&scratch);
        // The lock is the script's standard input: should we be killed, it is held until the script has
        // ended, too, and nobody clears away what is still being written.
        let shared = lock.try_clone().map_err(LabError::file("share the lock of", *cache))?;
        let doing = format!("build the image `{}`", self.kind);
        let built = run_with(doing, command.env("LC_ALL", "C.UTF-8"), shared.into())
            .and_then(|_| std::fs::rename(&out, place).map_err(LabError::file("keep", place)));
        let removed = std::fs::remove_dir_all(&work).map_err(LabError::file("remove", &work));
        built.and(removed)
    }
}

/// Removes all but the newest images of a kind. One that cannot be removed is left.
fn forget_older(cache: &Path, kind: &str) {
    let mut images: Vec<_> = entries(cache, &format!("{kind}-"))
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .collect();
    images.sort();
    for (_, path) in images.iter().rev().skip(KEPT) {
        let _ = std::fs::remove_dir_all(path);
    }
}

fn entries(cache: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(cache) else { return Vec::new() };
    let ours = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    ours.map(|entry| entry.path()).collect()
}

/// The hash of everything that goes into an image, in as many digits as a folder's name needs.
fn key(assets: Assets, inputs: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    let texts = assets.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]);
    for part in texts.chain(inputs.iter().copied()) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The version of Debian's kernel that apt would install now.
fn kernel_candidate() -> Result<String, LabError> {
    let ask = || -> Result<Option<String>, LabError> {
        let policy =
            run("ask for Debian's kernel", Command::new("apt-cache").args(["policy", "linux-image-cloud-amd64"]))?;
        let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: ").map(str::to_owned));
        Ok(candidate.filter(|version| version != "(none)"))
    };
    if let Some(version) = ask()? {
        return Ok(version);
    }
    run("build the list of packages", Command::new("apt-get").args(["update", "-qq"]))?;
    Ok(ask()?.unwrap_or_default())
}

/// Versions of packages whose files go into an image as they lie on this machine.
fn versions(packages: &[&str]) -> Result<String, LabError> {
    let mut query = Command::new("dpkg-query");
    let versions = run("ask for versions", query.args(["-W", "-f=${Package} ${Version}\n"]).args(packages));
    if let Err(LabError::Program { .. }) = versions {
        // Not installed: then all that is missing is said at once.
        prerequisites::for_building()?;
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Assets = &[("build.sh", "true"), ("init", "x")];

    #[test]
    fn a_key_depends_on_everything_that_goes_in() {
        let known = key(A, &[b"1", b"2"]);
        assert_eq!((known.len(), &known), (16, &key(A, &[b"1", b"2"])));
        for other in [key(A, &[b"1", b"3"]), key(A, &[b"12", b""]), key(&A[..1], &[b"1", b"2"]), key(A, &[])] {
            assert_ne!(known, other);
        }
    }

    #[test]
    fn a_script_that_fails_leaves_nothing_and_says_why() {
        let cache = tempfile::tempdir().expect("folder");
        let lock = lock(&cache.path().join("lock"), &|_| ()).expect("locked");
        let builder = Builder { cache: cache.path(), lock };
        let image = Image { kind: "test", key: "1".into(), assets: &[("build.sh", "echo no space >&2; exit 1")] };
        let error = image.build(&builder, &cache.path().join("test-1"), "build.sh", &[]).expect_err("fails");
        // Who is not root is told by `unshare`.
        assert!(matches!(&error, LabError::Program { stderr, .. } if !stderr.is_empty()), "{error}");
        assert_eq!(entries(cache.path(), ""), [cache.path().join("lock")]);
    }

    #[test]
    fn the_newest_images_are_kept() {
        let cache = tempfile::tempdir().expect("folder");
        for index in 0..KEPT + 2 {
            let path = cache.path().join(format!("live-{index}"));
            let file = File::create(&path).expect("made");
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000 * index as u64);
            file.set_modified(time).expect("dated");
            drop(file);
            std::fs::remove_file(&path).and_then(|()| std::fs::create_dir(&path)).expect("folder");
            File::open(&path).and_then(|folder| folder.set_modified(time)).expect("dated");
        }
        std::fs::create_dir(cache.path().join("node-0")).expect("made");
        forget_older(cache.path(), "live");
        let mut left: Vec<_> =
            entries(cache.path(), "").iter().map(|path| path.file_name().expect("name").to_owned()).collect();
        left.sort();
        assert_eq!(left, ["live-2", "live-3", "live-4", "live-5", "node-0"]);
    }
}
