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
