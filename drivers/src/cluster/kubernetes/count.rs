//! How many things a certificate request is made of: so that what the parser has read can be compared with all that there
//! is. It skips what follows in a sequence, and takes the first of a set; whoever signs might not.
//!
//! Source: X.690 section 8.1 (a type, a length, a value), RFC 2986 section 4.

use x509_parser::asn1_rs::{Any, FromDer};

/// `extensionRequest`, 1.2.840.113549.1.9.14, and `subjectAltName`, 2.5.29.17.
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// The numbers of things in a request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    /// Parts of the subject.
    pub(super) subject: usize,
    /// Attributes, and the extensions that are in them.
    pub(super) attributes: usize,
    pub(super) extensions: usize,
    /// Alternative names.
    pub(super) names: usize,
}

/// All that a value is made of; nothing, where a rest is no element.
fn elements(mut data: &[u8]) -> Option<Vec<Any<'_>>> {
    let mut found = Vec::new();
    while !data.is_empty() {
        let (rest, element) = Any::from_der(data).ok()?;
        found.push(element);
        data = rest;
    }
    Some(found)
}

/// Counts the things in a request; nothing, where it is not of the shape of one, to the last byte.
pub(super) fn count(der: &[u8]) -> Option<Count> {
    let mut count = Count::default();
    let [request] = &elements(der)?[..] else { return None };
    let [info, _, _] = &elements(request.data)?[..] else { return None };
    let [_, subject, _, attributes] = &elements(info.data)?[..] else { return None };
    for set in elements(subject.data)? {
        for pair in elements(set.data)? {
            let [_, _] = &elements(pair.data)?[..] else { return None };
            count.subject += 1;
        }
    }
    for attribute in elements(attributes.data)? {
        let [kind, set] = &elements(attribute.data)?[..] else { return None };
        let [value] = &elements(set.data)?[..] else { return None };
        count.attributes += 1;
        if kind.data == EXTENSION_REQUEST {
            count.extensions(value.data)?;
        }
    }
    Some(count)
}

impl Count {
    fn extensions(&mut self, data: &[u8]) -> Option<()> {
        for extension in elements(data)? {
            let parts = elements(extension.data)?;
            let (kind, value) = match &parts[..] {
                [kind, value] | [kind, _, value] => (kind, value),
                _ => return None,
            };
            self.extensions += 1;
            if kind.data == SUBJECT_ALT_NAME {
                let [names] = &elements(value.data)?[..] else { return None };
                self.names += elements(names.data)?.len();
            }
        }
        Some(())
    }
}
