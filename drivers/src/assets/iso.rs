//! Files of an ISO 9660 image, read only.
//!
//! Owns as much of the format as finding a file by its path takes: the primary volume descriptor, directory records,
//! names by Rock Ridge where there are some, else the plain ones without case and version. Not Joliet, not files in
//! several extents, not interleaved ones: those are refused. An image is untrusted: every length is bounded, every
//! place is checked to lie in the image.
//! Source: ECMA-119, 4th edition; SUSP 1.12 (`CE`), RRIP 1.12 (`NM`).

use std::io::{self, Read, Seek, SeekFrom};

/// ECMA-119 6.1.2: a logical sector.
const SECTOR: u64 = 2048;
/// ECMA-119 6.2.1: descriptors begin behind the system area of 16 sectors.
const FIRST_DESCRIPTOR: u64 = 16;
/// Descriptors that are looked at.
const MAX_DESCRIPTORS: u64 = 64;
/// Largest directory, in bytes.
const MAX_DIRECTORY_BYTES: u64 = 4 << 20;
/// Deepest path. ECMA-119 6.8.2.1 allows eight, Rock Ridge more.
const MAX_DEPTH: usize = 16;
/// Continuations of one record's system use area that are followed.
const MAX_CONTINUATIONS: usize = 4;

/// Why a file cannot be read out of an image.
#[derive(Debug, thiserror::Error)]
pub enum IsoError {
    /// The image cannot be read, or ends too early.
    #[error("the image cannot be read")]
    Read(#[from] io::Error),
    /// It is none.
    #[error("it is no ISO 9660 image: {0}")]
    Format(&'static str),
    /// There is no such file.
    #[error("the image has no `{0}`")]
    NotFound(String),
    /// The file is stored in a way that is not understood.
    #[error("`{0}` is stored in a way that is not understood: {1}")]
    Unsupported(String, &'static str),
}

/// Where a file's bytes are, in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where they begin, in bytes.
    pub offset: u64,
    /// How many there are.
    pub size_bytes: u64,
}

/// An image.
#[derive(Debug)]
pub struct Iso<R> {
    image: R,
    size_bytes: u64,
    block: u64,
    root: Record,
}

/// What is used of a directory record. ECMA-119 9.1.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    extent: Extent,
    is_directory: bool,
    has_more: bool,
    is_interleaved: bool,
    name: Vec<u8>,
    system_use: Vec<u8>,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    // Both-byte-order fields, ECMA-119 7.3.3: the little-endian half comes first.
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

impl Record {
    /// A record of its declared length. `None` if it is none.
    fn parse(bytes: &[u8], block: u64) -> Option<Self> {
        let name_length = usize::from(*bytes.get(32)?);
        let name = bytes.get(33..33 + name_length)?.to_vec();
        // 9.1.12: a padding byte follows a name of even length.
        let system_use = bytes.get(33 + name_length + usize::from(name_length.is_multiple_of(2))..).unwrap_or_default();
        let flags = *bytes.get(25)?;
        let attributes = u64::from(*bytes.get(1)?);
        Some(Self {
            extent: Extent {
                offset: (u64::from(u32_at(bytes, 2)?) + attributes) * block,
                size_bytes: u64::from(u32_at(bytes, 10)?),
            },
            is_directory: flags & 0b10 != 0,
            has_more: flags & 0b1000_0000 != 0,
            is_interleaved: bytes.get(26..28)? != [0, 0],
            name,
            system_use: system_use.to_vec(),
        })
    }

    /// The plain name: without `;version` and a bare dot at its end. ECMA-119 7.5.1.
    fn plain(&self) -> String {
        let name = String::from_utf8_lossy(&self.name);
        let name = name.split(';').next().unwrap_or_default();
        name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
    }
}

impl<R: Read + Seek> Iso<R> {
    /// Finds the primary volume descriptor of an image.
    ///
    /// # Errors
    /// [`IsoError::Format`] if there is none.
    pub fn open(mut image: R) -> Result<Self, IsoError> {
        let size_bytes = image.seek(SeekFrom::End(0))?;
        for number in 0..MAX_DESCRIPTORS {
            let mut sector = [0; SECTOR as usize];
            let offset = (FIRST_DESCRIPTOR + number) * SECTOR;
            if offset + SECTOR > size_bytes {
                return Err(IsoError::Format("it ends before its descriptors do"));
            }
            image.seek(SeekFrom::Start(offset))?;
            image.read_exact(&mut sector)?;
            // 8.1: type, and the standard's identifier.
            match (sector[0], &sector[1..6]) {
                (1, b"CD001") => {
                    let block = u64::from(u16::from_le_bytes([sector[128], sector[129]]));
                    // 6.2.2: a power of two of at least 512, no larger than a sector.
                    if !matches!(block, 512 | 1024 | 2048) {
                        return Err(IsoError::Format("its block size is none"));
                    }
                    let root = Record::parse(&sector[156..190], block).filter(|root| root.is_directory);
                    let root = root.ok_or(IsoError::Format("it has no root directory"))?;
                    return Ok(Self { image, size_bytes, block, root });
                }
                (255, b"CD001") => break,
                (_, b"CD001") => {}
                _ => return Err(IsoError::Format("its descriptors are none")),
            }
        }
        Err(IsoError::Format("it has no primary volume descriptor"))
    }

    /// Finds a file by its path, `images/pxeboot/vmlinuz`.
    ///
    /// # Errors
    /// If it is not there, or not to be read by this.
    pub fn find(&mut self, path: &str) -> Result<Extent, IsoError> {
        let missing = || IsoError::NotFound(path.to_owned());
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.is_empty() || parts.len() > MAX_DEPTH {
            return Err(missing());
        }
        let mut at = self.root.clone();
        for part in parts {
            if !at.is_directory {
                return Err(missing());
            }
            at = self.entry(at.extent, part)?.ok_or_else(missing)?;
        }
        let unsupported = |what| IsoError::Unsupported(path.to_owned(), what);
        if at.is_directory {
            return Err(missing());
        }
        if at.has_more {
            return Err(unsupported("in several extents"));
        }
        if at.is_interleaved {
            return Err(unsupported("interleaved"));
        }
        self.check(at.extent)?;
        Ok(at.extent)
    }

    /// The bytes of a file, in order.
    ///
    /// # Errors
    /// If the image cannot be read.
    pub fn contents(&mut self, extent: Extent) -> Result<impl Read + '_, IsoError> {
        self.check(extent)?;
        self.image.seek(SeekFrom::Start(extent.offset))?;
        Ok((&mut self.image).take(extent.size_bytes))
    }

    fn check(&self, extent: Extent) -> Result<(), IsoError> {
        let end = extent.offset.checked_add(extent.size_bytes);
        if end.is_some_and(|end| end <= self.size_bytes) {
            Ok(())
        } else {
            Err(IsoError::Format("a file lies outside of it"))
        }
    }

    fn bytes(&mut self, extent: Extent) -> Result<Vec<u8>, IsoError> {
        self.check(extent)?;
        if extent.size_bytes > MAX_DIRECTORY_BYTES {
            return Err(IsoError::Format("a directory is too large"));
        }
        let mut bytes = Vec::new();
        self.image.seek(SeekFrom::Start(extent.offset))?;
        (&mut self.image).take(extent.size_bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The entry of a directory with this name: by Rock Ridge as it is, else by the plain name without case.
    fn entry(&mut self, directory: Extent, name: &str) -> Result<Option<Record>, IsoError> {
        let bytes = self.bytes(directory)?;
        let mut at = 0;
        while let Some(&length) = bytes.get(at) {
            if length == 0 {
                // 6.8.1.1: no record crosses a sector; the rest of this one is empty.
                at = (at / SECTOR as usize + 1) * SECTOR as usize;
                continue;
            }
            let record = bytes.get(at..at + usize::from(length)).and_then(|bytes| Record::parse(bytes, self.block));
            let record = record.ok_or(IsoError::Format("a directory is damaged"))?;
            at += usize::from(length);
            // 6.8.2.2: the directory itself and its parent are named by the bytes 0 and 1.
            if matches!(record.name[..], [0] | [1]) {
                continue;
            }
            let is_it = match self.rock_ridge_name(&record.system_use)? {
                Some(found) => found == name.as_bytes(),
                None => record.plain() == name.to_ascii_lowercase(),
            };
            if is_it {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The name that Rock Ridge gives, RRIP 4.1.4; its parts may go on elsewhere, SUSP 5.1.
    fn rock_ridge_name(&mut self, system_use: &[u8]) -> Result<Option<Vec<u8>>, IsoError> {
        let mut name: Option<Vec<u8>> = None;
        let mut area = system_use.to_vec();
        for _ in 0..=MAX_CONTINUATIONS {
            let (mut at, mut next) = (0, None);
            while let (Some(signature), Some(&length)) = (area.get(at..at + 2), area.get(at + 2)) {
                let Some(entry) = area.get(at..at + usize::from(length)).filter(|entry| entry.len() >= 4) else {
                    break;
                };
                match signature {
                    // Flags of `.` and `..` (bits 1 and 2) come with no name.
                    b"NM" if entry.len() >= 5 => name.get_or_insert_default().extend_from_slice(&entry[5..]),
                    b"CE" => {
                        let field = |at| u32_at(entry, at).map(u64::from);
                        if let (Some(block), Some(offset), Some(size_bytes)) = (field(4), field(12), field(20)) {
                            next = Some(Extent { offset: block * self.block + offset, size_bytes });
                        }
                    }
                    b"ST" => break,
                    _ => {}
                }
                at += usize::from(length);
            }
            match next {
                Some(extent) => area = self.bytes(extent)?,
                None => break,
            }
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A directory record for a name, with what follows it.
    fn record(name: &[u8], block: u32, size: u32, flags: u8, system_use: &[u8]) -> Vec<u8> {
        let pad = usize::from(name.len().is_multiple_of(2));
        let length = 33 + name.len() + pad + system_use.len();
        let mut bytes = vec![0; length];
        bytes[0] = u8::try_from(length).expect("short");
        bytes[2..6].copy_from_slice(&block.to_le_bytes());
        bytes[10..14].copy_from_slice(&size.to_le_bytes());
        bytes[25] = flags;
        bytes[32] = u8::try_from(name.len()).expect("short");
        bytes[33..33 + name.len()].copy_from_slice(name);
        bytes[33 + name.len() + pad..].copy_from_slice(system_use);
        bytes
    }

    fn name_entry(name: &[u8]) -> Vec<u8> {
        let length = u8::try_from(5 + name.len()).expect("short");
        [&[b'N', b'M', length, 1, 0][..], name].concat()
    }

    /// An image with `IMAGES/VMLINUZ.;1` by plain names, and `.treeinfo` by Rock Ridge.
    fn image() -> Vec<u8> {
        let mut image = vec![0; 24 * 2048];
        let mut put =
            |sector: usize, bytes: &[u8]| image[sector * 2048..sector * 2048 + bytes.len()].copy_from_slice(bytes);
        let mut descriptor = vec![0; 2048];
        descriptor[..6].copy_from_slice(b"\x01CD001");
        descriptor[128..130].copy_from_slice(&2048u16.to_le_bytes());
        descriptor[156..190].copy_from_slice(&record(&[0], 18, 2048, 2, &[]));
        put(16, &descriptor);
        put(17, b"\xffCD001");
        let root = [
            record(&[0], 18, 2048, 2, &[]),
            record(&[1], 18, 2048, 2, &[]),
            record(b"IMAGES", 19, 2048, 2, &[]),
            record(b"_TREEINF.;1", 20, 5, 0, &name_entry(b".treeinfo")),
            record(b"BIG.;1", 20, 5, 0x80, &[]),
        ];
        put(18, &root.concat());
        put(
            19,
            &[record(&[0], 19, 2048, 2, &[]), record(b"VMLINUZ.;1", 21, 7, 0, &[]), record(b"FAR.;1", 4000, 7, 0, &[])]
                .concat(),
        );
        put(20, b"[tree");
        put(21, b"kernel!");
        image
    }

    fn read(path: &str) -> Result<String, IsoError> {
        let mut iso = Iso::open(Cursor::new(image()))?;
        let extent = iso.find(path)?;
        let mut text = String::new();
        iso.contents(extent)?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn files_are_found_by_both_kinds_of_names() {
        assert_eq!(read("images/vmlinuz").expect("there"), "kernel!");
        assert_eq!(read(".treeinfo").expect("there"), "[tree");
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for path in ["images", "images/vmlinuz/x", "nothing", "", "_treeinf"] {
            assert!(matches!(read(path), Err(IsoError::NotFound(_))), "{path}");
        }
        assert_eq!(
            read("big").expect_err("refused").to_string(),
            "`big` is stored in a way that is not understood: in several extents"
        );
        assert_eq!(
            read("images/far").expect_err("outside").to_string(),
            "it is no ISO 9660 image: a file lies outside of it"
        );
        for (bytes, reason) in
            [(Vec::new(), "it ends"), (vec![0; 40 * 2048], "its descriptors"), (vec![1; 17 * 2048], "its descriptors")]
        {
            let error = Iso::open(Cursor::new(bytes)).expect_err(reason).to_string();
            assert!(error.starts_with(&format!("it is no ISO 9660 image: {reason}")), "{error}");
        }
    }

    proptest::proptest! {
        /// Whatever is damaged, it ends, and nothing panics.
        #[test]
        fn damaged_images_are_refused_or_read(changes in proptest::collection::vec((16usize * 2048..20 * 2048, proptest::num::u8::ANY), 1..40)) {
            let mut bytes = image();
            for (at, value) in changes {
                bytes[at] = value;
            }
            if let Ok(mut iso) = Iso::open(Cursor::new(bytes)) {
                for path in ["images/vmlinuz", ".treeinfo", "big"] {
                    if let Ok(extent) = iso.find(path) {
                        let mut found = Vec::new();
                        let _ = iso.contents(extent).map(|mut contents| contents.read_to_end(&mut found));
                        proptest::prop_assert!(found.len() as u64 <= extent.size_bytes);
                    }
                }
            }
        }
    }
}
