//! Images: files that were fetched, and what iPXE takes them for.
//!
//! Source: iPXE `src/core/image.c`, `src/image/script.c` (`script_probe`), `src/arch/x86/image/bzimage.c`,
//! `src/image/efi_image.c`; Linux `Documentation/arch/x86/boot.rst` for the header of a kernel.

use bytes::Bytes;
use harmony_core::secret::Secret;

use super::Platform;

/// Images that are registered, in the order of their registration.
#[derive(Default)]
pub(super) struct Images {
    all: Vec<Image>,
    /// Name of the one that `boot` boots.
    selected: Option<String>,
}

/// A file that was fetched.
#[derive(Debug, Clone)]
pub struct Image {
    /// The last part of its URL's path, or what `--name` says.
    pub name: String,
    /// Where it came from.
    pub url: String,
    /// Its contents.
    pub data: Bytes,
    /// Its arguments, which may hold a token.
    pub(super) cmdline: Option<Secret>,
    pub(super) autofree: bool,
    pub(super) kind: Kind,
}

/// What iPXE takes an image for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Script,
    Kernel,
    Other,
}

/// A kernel that is about to run.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The kernel.
    pub kernel: Image,
    /// Its command line.
    pub cmdline: Secret,
    /// Everything else that is loaded, in order. A PC BIOS kernel gets all of it; a UEFI kernel what its
    /// `initrd=` names.
    pub initrds: Vec<Image>,
}

impl Image {
    pub(super) fn new(url: &str, data: Bytes, platform: Platform) -> Self {
        let path = url.split(['?', '#']).next().unwrap_or(url);
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        let kind = kind(&data, platform);
        Self { name, url: url.to_owned(), data, cmdline: None, autofree: false, kind }
    }
}

fn kind(data: &[u8], platform: Platform) -> Kind {
    let magic = data.get(..6).unwrap_or_default();
    let is_script =
        (magic == b"#!ipxe" || magic == b"#!gpxe") && data.get(6).is_some_and(|byte| byte.is_ascii_whitespace());
    // Offset 0x202 of the setup header; UEFI's loader looks for a PE file instead.
    let is_kernel = data.get(0x202..0x206) == Some(b"HdrS") || (platform == Platform::Efi && data.starts_with(b"MZ"));
    if is_script {
        Kind::Script
    } else if is_kernel {
        Kind::Kernel
    } else {
        Kind::Other
    }
}

impl Images {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn register(&mut self, image: Image) {
        self.all.push(image);
    }

    pub(super) fn find(&self, name: &str) -> Option<&Image> {
        self.all.iter().find(|image| image.name == name)
    }

    /// Changes the image of this name: the latest one, if there are several.
    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut Image)) -> Option<Image> {
        let image = self.all.iter_mut().rfind(|image| image.name == name)?;
        let before = image.name.clone();
        change(image);
        if self.selected.as_ref() == Some(&before) {
            self.selected = Some(image.name.clone());
        }
        Some(image.clone())
    }

    pub(super) fn select(&mut self, name: &str) {
        self.selected = Some(name.to_owned());
    }

    pub(super) fn selected(&self) -> Option<&Image> {
        self.find(self.selected.as_deref()?)
    }

    pub(super) fn free(&mut self, name: &str) {
        self.all.retain(|image| image.name != name);
    }

    pub(super) fn free_all(&mut self) {
        self.all.clear();
    }

    /// A kernel with what is loaded beside it.
    pub(super) fn loaded(&self, kernel: Image) -> Loaded {
        let beside = |image: &&Image| image.name != kernel.name && image.kind != Kind::Script;
        let initrds = self.all.iter().filter(beside).cloned().collect();
        let cmdline = kernel.cmdline.clone().unwrap_or_else(|| Secret::new(""));
        Loaded { kernel, cmdline, initrds }
    }
}

impl Loaded {
    /// What the kernel unpacks as its initramfs. None if it would find none: it then panics.
    ///
    /// A UEFI kernel opens the files that `initrd=` names; one that is not there is an error to it.
    /// Source: Linux `drivers/firmware/efi/libstub/file.c`.
    #[must_use]
    pub fn initramfs(&self, platform: Platform) -> Option<Vec<&Image>> {
        let found: Vec<&Image> = match platform {
            Platform::Pcbios => self.initrds.iter().collect(),
            Platform::Efi => {
                let args = self.cmdline.expose().split_whitespace();
                let names = args.filter_map(|arg| arg.strip_prefix("initrd="));
                names.map(|name| self.initrds.iter().find(|image| image.name == name)).collect::<Option<_>>()?
            }
        };
        (!found.is_empty()).then_some(found)
    }
}
