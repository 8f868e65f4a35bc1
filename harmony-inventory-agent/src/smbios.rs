//! The SMBIOS table: finding structures in it and fields in them.
//!
//! Written here, not taken from a crate, because firmware writes tables that break the rules: the crate
//! weighed for this (`dmidecode` 1.0) reads past the end of a structure that is too short, and drops a
//! whole structure, serial number included, for one bad string index. Here a field that is not there is
//! not there. Knows nothing of the report; `facts::system` and `facts::memory` say which field is what.
//!
//! Source: DMTF DSP0134 (SMBIOS) 3.7, clauses 5.2 (entry point), 6.1 (structures).

use crate::root::{Reason, Root, clean};

/// Largest table read, in bytes. Real ones are below 64 KiB.
const MAX_TABLE: u64 = 1 << 20;

/// Most structures followed.
const MAX_STRUCTURES: usize = 8192;

const ENTRY_POINT: &str = "sys/firmware/dmi/tables/smbios_entry_point";
const TABLE: &str = "sys/firmware/dmi/tables/DMI";

/// A table, and the version of the specification that its maker followed.
#[derive(Debug)]
pub(crate) struct Smbios {
    version: (u8, u8),
    table: Vec<u8>,
}

/// One structure: its formatted part, header included, and its strings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Structure<'table> {
    formatted: &'table [u8],
    strings: &'table [u8],
}

impl Smbios {
    /// Reads what the kernel found at boot.
    pub(crate) fn read(root: &Root) -> Result<Self, Reason> {
        if !root.exists(ENTRY_POINT) {
            return Err(Reason::new("the kernel found no SMBIOS table"));
        }
        let entry = root.bytes(ENTRY_POINT, 64)?;
        // Clause 5.2.1 (32 bit) and 5.2.2 (64 bit).
        let version = match entry.as_slice() {
            [b'_', b'S', b'M', b'3', b'_', _, _, major, minor, ..] => (*major, *minor),
            [b'_', b'S', b'M', b'_', _, _, major, minor, ..] => (*major, *minor),
            _ => return Err(Reason::new(format!("/{ENTRY_POINT}: is no SMBIOS entry point"))),
        };
        Ok(Self { version, table: root.bytes(TABLE, MAX_TABLE)? })
    }

    /// All structures up to the end or the first that is not one.
    fn structures(&self) -> impl Iterator<Item = Structure<'_>> {
        let mut rest = self.table.as_slice();
        std::iter::from_fn(move || {
            let length = usize::from(*rest.get(1)?);
            // The header itself has four bytes; type 127 ends the table.
            if length < 4 || rest[0] == 127 {
                return None;
            }
            let (formatted, after) = rest.split_at_checked(length)?;
            let strings = after.windows(2).position(|pair| pair == [0, 0])?;
            rest = &after[strings + 2..];
            Some(Structure { formatted, strings: &after[..strings] })
        })
        .take(MAX_STRUCTURES)
    }

    /// The structures of one type.
    pub(crate) fn of_type(&self, kind: u8) -> impl Iterator<Item = Structure<'_>> {
        self.structures().filter(move |structure| structure.formatted[0] == kind)
    }

    /// The first structure of one type.
    pub(crate) fn first(&self, kind: u8) -> Result<Structure<'_>, Reason> {
        self.of_type(kind).next().ok_or_else(|| Reason::new(format!("SMBIOS has no type {kind}")))
    }

    /// The machine's UUID (type 1, offset 8). Since 2.6 its first three fields are little-endian;
    /// before, vendors wrote them as they liked, and everybody prints them as they stand.
    ///
    /// Source: DSP0134 clause 7.2.1.
    pub(crate) fn uuid(&self) -> Result<String, Reason> {
        let bytes: [u8; 16] = match self.first(1)?.formatted.get(8..24).map(TryInto::try_into) {
            Some(Ok(bytes)) => bytes,
            _ => return Err(Reason::new("SMBIOS type 1 is too short to have a UUID")),
        };
        if bytes == [0xff; 16] || bytes == [0; 16] {
            return Err(Reason::new("SMBIOS says that the UUID is not set"));
        }
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        let ordered = if self.version >= (2, 6) { [d, c, b, a, f, e, h, g] } else { [a, b, c, d, e, f, g, h] };
        let mut text = String::with_capacity(36);
        for (at, byte) in ordered.into_iter().chain(rest).enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        Ok(text)
    }
}

impl<'table> Structure<'table> {
    /// The formatted part from `offset` on, empty when it ends before.
    pub(crate) fn tail(&self, offset: usize) -> &'table [u8] {
        self.formatted.get(offset..).unwrap_or_default()
    }

    pub(crate) fn byte(&self, offset: usize) -> Option<u8> {
        self.formatted.get(offset).copied()
    }

    pub(crate) fn word(&self, offset: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.formatted.get(offset..offset + 2)?.try_into().ok()?))
    }

    pub(crate) fn dword(&self, offset: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.formatted.get(offset..offset + 4)?.try_into().ok()?))
    }

    /// The string that the byte at `offset` points to. Strings are counted from 1; 0 means none.
    pub(crate) fn string(&self, offset: usize) -> Result<String, Reason> {
        let kind = self.formatted[0];
        let reason = |what: &str| Reason::new(format!("SMBIOS type {kind} offset {offset:#04x} {what}"));
        let index = self.byte(offset).ok_or_else(|| reason("is beyond its end"))?;
        if index == 0 {
            return Err(reason("is not specified"));
        }
        let string = self.strings.split(|byte| *byte == 0).nth(usize::from(index) - 1);
        let text = clean(string.ok_or_else(|| reason("names a string that is not there"))?);
        if text.is_empty() { Err(reason("is blank")) } else { Ok(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn smbios(version: (u8, u8), table: &[u8]) -> Smbios {
        Smbios { version, table: table.to_vec() }
    }

    /// Type 1 with UUID 00112233-4455-6677-8899-aabbccddeeff in table order, and two strings.
    fn system() -> Vec<u8> {
        let mut table = vec![1, 27, 0, 1, 1, 0, 9, 2];
        table.extend((0..16).map(|n| n * 0x11));
        table.extend([6, 0, 0]);
        table.extend(b"LabCorp\0  SN-7 \0\0");
        table.extend([127, 4, 0, 2, 0, 0]);
        table
    }

    #[test]
    fn uuid_has_the_byte_order_of_its_version() {
        let uuid = |version| smbios(version, &system()).uuid();
        assert_eq!(uuid((2, 5)), Ok("00112233-4455-6677-8899-aabbccddeeff".into()));
        assert_eq!(uuid((2, 6)), Ok("33221100-5544-7766-8899-aabbccddeeff".into()));
        assert_eq!(uuid((3, 0)), uuid((2, 8)));
    }

    #[test]
    fn a_uuid_of_one_value_is_none() {
        for filler in [0x00, 0xff] {
            let mut table = system();
            table[8..24].fill(filler);
            assert!(smbios((3, 0), &table).uuid().is_err());
        }
    }

    #[test]
    fn one_bad_string_does_not_lose_the_others() {
        let table = system();
        let smbios = smbios((3, 0), &table);
        let system = smbios.first(1).expect("type 1");
        assert_eq!(system.string(4), Ok("LabCorp".into()));
        assert_eq!(system.string(7), Ok("SN-7".into()));
        let reason = |offset| system.string(offset).expect_err("a reason").to_string();
        assert_eq!(reason(5), "SMBIOS type 1 offset 0x05 is not specified");
        assert_eq!(reason(6), "SMBIOS type 1 offset 0x06 names a string that is not there");
        assert_eq!(reason(200), "SMBIOS type 1 offset 0xc8 is beyond its end");
    }

    #[test]
    fn a_short_structure_has_no_uuid() {
        assert!(smbios((3, 0), &[1, 8, 0, 0, 1, 0, 0, 0, b'X', 0, 0]).uuid().is_err());
    }

    proptest! {
        #[test]
        fn never_panics(version: (u8, u8), table: Vec<u8>) {
            let smbios = smbios(version, &table);
            let _ = smbios.uuid();
            for structure in smbios.structures() {
                let _ = (structure.string(4), structure.word(5), structure.dword(6), structure.tail(7));
            }
        }

        #[test]
        fn never_panics_on_a_broken_table(at in 0..200_usize, value: u8, cut in 0..60_usize) {
            let mut table = system();
            let length = table.len();
            table[at % length] = value;
            table.truncate(length - cut.min(length));
            let smbios = smbios((3, 0), &table);
            let _ = smbios.uuid();
            for structure in smbios.structures() {
                for offset in 0..=255 {
                    let _ = structure.string(offset);
                }
            }
        }
    }
}
