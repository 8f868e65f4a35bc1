//! Boot entries of UEFI firmware as bytes: which partitions one starts from, and the order without some. Pure.
//!
//! The bytes are those of a file of efivarfs. Any operating system may have written them, so nothing is
//! believed: what does not fit together is no entry.

use std::collections::BTreeSet;

use super::gpt::Guid;
use crate::root::clean;

/// `EFI_GLOBAL_VARIABLE`, the vendor of boot entries, as it ends names of files. Source: UEFI 2.10 clause 3.3.
const GLOBAL: &str = "-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// Name of the file that says in which order entries are tried.
pub(crate) const BOOT_ORDER: &str = "BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// In front of a variable's value, efivarfs has its attributes. Source: Linux `Documentation/filesystems/efivarfs.rst`.
const ATTRIBUTES_BYTES: usize = 4;

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BootEntry {
    /// Its description, as it may be shown.
    pub(crate) label: String,
    /// Unique GUIDs of the GPT partitions that its device path goes through.
    pub(crate) partitions: Vec<Guid>,
}

/// The number of a `Boot####` file; none of another's.
pub(crate) fn number(file: &str) -> Option<u16> {
    let digits = file.strip_prefix("Boot")?.strip_suffix(GLOBAL)?;
    // `from_str_radix` would take a sign.
    let is_number = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_number.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

impl BootEntry {
    /// Reads an `EFI_LOAD_OPTION`. None if a part of it reaches beyond its end.
    ///
    /// Source: UEFI 2.10 clause 3.1.3.
    pub(crate) fn parse(file: &[u8]) -> Option<Self> {
        let option = file.get(ATTRIBUTES_BYTES..)?;
        let path_bytes = usize::from(u16::from_le_bytes(*option.get(4..)?.first_chunk()?));
        let (characters, _) = option.get(6..)?.as_chunks::<2>();
        let len = characters.iter().position(|character| *character == [0, 0])?;
        let label: Vec<u16> = characters[..len].iter().map(|character| u16::from_le_bytes(*character)).collect();
        let path = option.get(6 + 2 * (len + 1)..)?.get(..path_bytes)?;
        Some(Self { label: clean(String::from_utf16_lossy(&label).as_bytes()), partitions: partitions(path)? })
    }
}

/// The partitions that a device path goes through. Of a list of paths, the first: it is what is started, the
/// others are the vendor's. One without an end, as some firmware has it, ends with its bytes.
///
/// Source: UEFI 2.10 clause 10.3.1 and table 10-50 "Hard Drive Media Device Path".
fn partitions(mut path: &[u8]) -> Option<Vec<Guid>> {
    const END: u8 = 0x7f;
    const END_ENTIRE: u8 = 0xff;
    const MEDIA: u8 = 4;
    const HARD_DRIVE: u8 = 1;
    const GUID_SIGNATURE: u8 = 2;
    let mut found = Vec::new();
    while let [kind, subkind, low, high, ..] = *path {
        let len = usize::from(u16::from_le_bytes([low, high]));
        if len < 4 {
            return None;
        }
        let (node, rest) = path.split_at_checked(len)?;
        match (kind, subkind) {
            (END, END_ENTIRE) => return Some(found),
            (MEDIA, HARD_DRIVE) => {
                // Number, start and size before the signature, format and kind of the signature behind it.
                let signature = *node.get(24..)?.first_chunk()?;
                if *node.get(41)? == GUID_SIGNATURE {
                    found.push(signature);
                }
            }
            _ => {}
        }
        path = rest;
    }
    path.is_empty().then_some(found)
}

/// `BootOrder` without these numbers, attributes included; the rest keeps its order.
/// None if it is no list of numbers.
pub(crate) fn without(order: &[u8], removed: &BTreeSet<u16>) -> Option<Vec<u8>> {
    let (attributes, numbers) = order.split_at_checked(ATTRIBUTES_BYTES)?;
    let (numbers, []) = numbers.as_chunks::<2>() else { return None };
    let stays = numbers.iter().filter(|number| !removed.contains(&u16::from_le_bytes(**number)));
    Some(attributes.iter().chain(stays.flatten()).copied().collect())
}

/// Whether a `BootOrder` lists nothing.
pub(crate) fn is_empty(order: &[u8]) -> bool {
    order.len() <= ATTRIBUTES_BYTES
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    const END: &[u8] = &[0x7f, 0xff, 4, 0];

    /// A node of this type and subtype.
    fn node(kind: u8, subkind: u8, data: &[u8]) -> Vec<u8> {
        let len = u16::try_from(data.len() + 4).expect("short").to_le_bytes();
        [&[kind, subkind, len[0], len[1]], data].concat()
    }

    fn hard_drive(signature: Guid, signature_type: u8) -> Vec<u8> {
        let mut data = 1_u32.to_le_bytes().to_vec();
        data.extend([2048_u64.to_le_bytes(), 4096_u64.to_le_bytes()].concat());
        data.extend(signature);
        data.extend([2, signature_type]);
        node(4, 1, &data)
    }

    fn file(label: &str, path: &[u8], optional: &[u8]) -> Vec<u8> {
        let mut file = vec![7, 0, 0, 0, 1, 0, 0, 0];
        file.extend(u16::try_from(path.len()).expect("short").to_le_bytes());
        file.extend(label.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        file.extend(path);
        file.extend(optional);
        file
    }

    /// An entry that starts a loader from this partition, as `efibootmgr` makes it.
    pub(crate) fn from_partition(label: &str, partition: Guid) -> Vec<u8> {
        let loader: Vec<u8> = "\\EFI\\BOOT\\BOOTX64.EFI\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        file(label, &[hard_drive(partition, 2), node(4, 4, &loader), END.to_vec()].concat(), b"")
    }

    /// An entry that starts from the network.
    pub(crate) fn from_network(label: &str) -> Vec<u8> {
        let path = [node(2, 1, &[0xd0, 0x41, 3, 0x0a, 0, 0, 0, 0]), node(3, 11, &[0x52; 33]), END.to_vec()].concat();
        file(label, &path, b"\x4e\xac\x08\x81\x11\x9f\x59\x4d")
    }

    #[test]
    fn numbers_are_those_of_boot_entries_only() {
        let cases = [
            ("Boot0003-8be4df61-93ca-11d2-aa0d-00e098032b8c", Some(3)),
            ("Boot00AF-8be4df61-93ca-11d2-aa0d-00e098032b8c", Some(0xaf)),
            ("BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c", None),
            ("BootNext-8be4df61-93ca-11d2-aa0d-00e098032b8c", None),
            ("Boot0003-00000000-93ca-11d2-aa0d-00e098032b8c", None),
            ("Boot+003-8be4df61-93ca-11d2-aa0d-00e098032b8c", None),
            ("Boot003-8be4df61-93ca-11d2-aa0d-00e098032b8c", None),
            ("Boot00030-8be4df61-93ca-11d2-aa0d-00e098032b8c", None),
            ("Boot00\u{e9}-8be4df61-93ca-11d2-aa0d-00e098032b8c", None),
            ("Boot", None),
        ];
        for (file, expected) in cases {
            assert_eq!(number(file), expected, "{file}");
        }
    }

    #[test]
    fn partitions_are_found_in_every_form_of_path() {
        let (guid, other) = ([0xab; 16], [0xcd; 16]);
        let hd = || hard_drive(guid, 2);
        let pci = || [node(2, 1, &[0; 8]), node(1, 1, &[0, 0x1f]), node(3, 18, &[0; 6])].concat();
        let loader = || node(4, 4, b"\\\0E\0\0\0");
        let cases: [(&str, Vec<u8>, &[Guid]); 9] = [
            ("short form", [hd(), loader(), END.to_vec()].concat(), &[guid]),
            ("whole", [pci(), hd(), loader(), END.to_vec()].concat(), &[guid]),
            (
                "of two instances",
                [hd(), node(0x7f, 1, b""), hard_drive(other, 2), END.to_vec()].concat(),
                &[guid, other],
            ),
            ("of the first of two", [hd(), END.to_vec(), hard_drive(other, 2), END.to_vec()].concat(), &[guid]),
            ("without an end", [hd(), loader()].concat(), &[guid]),
            ("MBR signature", [hard_drive(guid, 1), loader(), END.to_vec()].concat(), &[]),
            ("no signature", [hard_drive(guid, 0), loader(), END.to_vec()].concat(), &[]),
            ("optical drive", [node(4, 2, &[0xab; 20]), END.to_vec()].concat(), &[]),
            ("nothing", Vec::new(), &[]),
        ];
        for (what, path, expected) in cases {
            let entry = BootEntry::parse(&file("Fedora CoreOS", &path, b"BOOT")).expect(what);
            assert_eq!((&*entry.label, &entry.partitions[..]), ("Fedora CoreOS", expected), "{what}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_no_entry() {
        let good = [hard_drive([1; 16], 2), END.to_vec()].concat();
        let mut node_of_no_length = good.clone();
        node_of_no_length[2..4].copy_from_slice(&[0, 0]);
        let mut node_of_three_bytes = good.clone();
        node_of_three_bytes[2] = 3;
        let mut node_beyond_the_path = good.clone();
        node_beyond_the_path[2..4].copy_from_slice(&[0xff, 0xff]);
        let short_hard_drive = [node(4, 1, &[1; 36]), END.to_vec()].concat();
        let mut path_beyond_the_file = file("x", &good, b"");
        path_beyond_the_file[8] += 1;
        let mut label_without_end = vec![7, 0, 0, 0, 1, 0, 0, 0, 0, 0];
        label_without_end.extend(b"a\0b\0c\0");
        let cases = [
            ("node of no length", file("x", &node_of_no_length, b"")),
            ("node shorter than its head", file("x", &node_of_three_bytes, b"")),
            ("node beyond the path", file("x", &node_beyond_the_path, b"BOOT")),
            ("hard drive without signature type", file("x", &short_hard_drive, b"")),
            ("odd bytes at the end", file("x", &[&hard_drive([1; 16], 2)[..], b"\x7f\xff"].concat(), b"")),
            ("path beyond the file", path_beyond_the_file),
            ("label without end", label_without_end),
            ("attributes only", vec![7, 0, 0, 0]),
            ("nothing", Vec::new()),
        ];
        for (what, file) in cases {
            assert_eq!(BootEntry::parse(&file), None, "{what}");
        }
    }

    #[test]
    fn labels_cannot_move_the_cursor() {
        let entry = BootEntry::parse(&file("\u{1b}[2JUbuntu\n", END, b"")).expect("an entry");
        assert_eq!(entry.label, "\u{fffd}[2JUbuntu");
        let mut lone_surrogate = file("xy", END, b"");
        lone_surrogate[10..12].copy_from_slice(&[0x00, 0xd8]);
        assert_eq!(BootEntry::parse(&lone_surrogate).expect("an entry").label, "\u{fffd}y");
    }

    #[test]
    fn the_order_keeps_what_is_not_removed() {
        let order = |numbers: &[u16]| {
            [vec![7, 0, 0, 0], numbers.iter().flat_map(|number| number.to_le_bytes()).collect()].concat()
        };
        let cases: [(&[u16], &[u16], &[u16]); 5] = [
            (&[3, 0, 0x1a, 1], &[0, 1], &[3, 0x1a]),
            (&[3, 3, 1, 3], &[3], &[1]),
            (&[3], &[3], &[]),
            (&[], &[3], &[]),
            (&[0x0100, 1], &[1], &[0x0100]),
        ];
        for (before, removed, after) in cases {
            let changed = without(&order(before), &removed.iter().copied().collect()).expect("an order");
            assert_eq!(changed, order(after));
            assert_eq!(is_empty(&changed), after.is_empty());
        }
        for bad in [&b""[..], b"\x07\0\0", b"\x07\0\0\0\x01"] {
            assert_eq!(without(bad, &BTreeSet::new()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, name in "Boot\\PC{0,6}(-8be4df61-93ca-11d2-aa0d-00e098032b8c)?") {
            let _ = BootEntry::parse(&bytes);
            let _ = partitions(&bytes);
            let _ = without(&bytes, &BTreeSet::from([0, 1]));
            let _ = number(&name);
        }

        /// An entry cut short or changed in one byte never names a partition that is not in its bytes.
        #[test]
        fn a_damaged_entry_names_no_other_partition(at in 0_usize..150, byte: u8, cut in 0_usize..150, guid: Guid) {
            let mut file = from_partition("Fedora", guid);
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
            file.truncate(file.len() - cut.min(file.len()));
            for found in BootEntry::parse(&file).map(|entry| entry.partitions).unwrap_or_default() {
                prop_assert!(file.windows(16).any(|window| window == found));
            }
        }

        #[test]
        fn what_is_written_is_read(label in "[A-Za-z0-9]([A-Za-z0-9 ]{0,30}[A-Za-z0-9])?", guid: Guid) {
            let entry = BootEntry::parse(&from_partition(&label, guid)).expect("an entry");
            prop_assert_eq!(entry, BootEntry { label, partitions: vec![guid] });
        }

        #[test]
        fn the_order_loses_exactly_what_is_removed(numbers: Vec<u16>, removed: BTreeSet<u16>) {
            let order: Vec<u8> = [7, 0, 0, 0].into_iter().chain(numbers.iter().flat_map(|n| n.to_le_bytes())).collect();
            let expected = numbers.iter().filter(|n| !removed.contains(n)).flat_map(|n| n.to_le_bytes());
            let expected: Vec<u8> = expected.collect();
            prop_assert_eq!(&without(&order, &removed).expect("an order")[4..], expected);
        }
    }
}
