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
mod tests;
