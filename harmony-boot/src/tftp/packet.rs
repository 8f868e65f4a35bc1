//! TFTP on the wire: requests, options, errors.
//!
//! Source: RFC 1350 (packets), 2347 (options), 2348 (`blksize`), 2349 (`timeout`, `tsize`), 7440 (`windowsize`).

use std::time::Duration;

/// Largest block that fits an Ethernet frame: 1500 bytes less the headers of IPv4, UDP and TFTP.
/// Fragments are what PXE ROMs handle worst.
const MAX_BLOCK_BYTES: usize = 1468;
/// Largest window, in blocks: what a ROM's receive ring holds.
const MAX_WINDOW: usize = 16;
/// Longest retransmission time that a client may ask for, in seconds.
const MAX_TIMEOUT: u64 = 10;

/// Error codes of RFC 1350 section 5 and RFC 2347.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum ErrorCode {
    Undefined = 0,
    NotFound = 1,
    AccessViolation = 2,
    IllegalOperation = 4,
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packet {
    /// It wants a file.
    Read(ReadRequest),
    /// It wants to write one.
    Write,
    /// It has this block, and all before it.
    Ack(u16),
    /// It gives up.
    Error,
    /// Something else.
    Unknown,
}

/// A file is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadRequest {
    pub(super) path: String,
    /// `octet`, in any case; the other modes would change the bytes.
    pub(super) octet: bool,
    options: Vec<(String, String)>,
}

/// How a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) block_bytes: usize,
    pub(super) window: usize,
    /// When to send again; absent if the client did not say.
    pub(super) timeout: Option<Duration>,
}

impl Packet {
    /// Reads a datagram.
    pub(super) fn parse(datagram: &[u8]) -> Self {
        let Some((code, rest)) = datagram.split_first_chunk::<2>() else { return Self::Unknown };
        match u16::from_be_bytes(*code) {
            1 => ReadRequest::parse(rest).map_or(Self::Unknown, Self::Read),
            2 => Self::Write,
            4 => rest.first_chunk::<2>().map_or(Self::Unknown, |block| Self::Ack(u16::from_be_bytes(*block))),
            5 => Self::Error,
            _ => Self::Unknown,
        }
    }
}

impl ReadRequest {
    fn parse(body: &[u8]) -> Option<Self> {
        // Every string ends in a NUL, the last one too; what follows it is padding of some ROMs.
        let mut texts = body.split(|byte| *byte == 0).map(|text| std::str::from_utf8(text).ok());
        let path = texts.next()??.to_owned();
        let mode = texts.next()??;
        let mut options = Vec::new();
        while let (Some(Some(name)), Some(Some(value))) = (texts.next(), texts.next()) {
            options.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let terminated = body.iter().filter(|byte| **byte == 0).count() >= 2;
        (terminated && !path.is_empty()).then(|| Self { path, octet: mode.eq_ignore_ascii_case("octet"), options })
    }

    /// What is agreed on for a file of this size, and the options that are acknowledged.
    pub(super) fn settle(&self, size_bytes: u64) -> (Settings, Vec<(&'static str, u64)>) {
        let mut settings = Settings { block_bytes: 512, window: 1, timeout: None };
        let mut agreed: Vec<(&'static str, u64)> = Vec::new();
        for (name, value) in &self.options {
            let Ok(value) = value.parse::<u64>() else { continue };
            let number = usize::try_from(value).unwrap_or(usize::MAX);
            let option = match name.as_str() {
                "blksize" if (8..=65464).contains(&value) => {
                    settings.block_bytes = number.min(MAX_BLOCK_BYTES);
                    ("blksize", settings.block_bytes as u64)
                }
                "windowsize" if (1..=65535).contains(&value) => {
                    settings.window = number.min(MAX_WINDOW);
                    ("windowsize", settings.window as u64)
                }
                // A value that is not the client's cannot be acknowledged; then the option is left out.
                "timeout" if (1..=MAX_TIMEOUT).contains(&value) => {
                    settings.timeout = Some(Duration::from_secs(value));
                    ("timeout", value)
                }
                "tsize" => ("tsize", size_bytes),
                _ => continue,
            };
            if agreed.iter().all(|(known, _)| *known != option.0) {
                agreed.push(option);
            }
        }
        (settings, agreed)
    }
}

/// A block of a file.
pub(super) fn data(block: u16, bytes: &[u8]) -> Vec<u8> {
    [&3u16.to_be_bytes()[..], &block.to_be_bytes(), bytes].concat()
}

/// An acknowledgement of options.
pub(super) fn option_ack(options: &[(&'static str, u64)]) -> Vec<u8> {
    let texts = options.iter().flat_map(|(name, value)| format!("{name}\0{value}\0").into_bytes());
    6u16.to_be_bytes().into_iter().chain(texts).collect()
}

/// An error, which ends the transfer.
pub(super) fn error(code: ErrorCode, reason: &str) -> Vec<u8> {
    [&5u16.to_be_bytes()[..], &(code as u16).to_be_bytes(), reason.as_bytes(), &[0]].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(body: &[u8]) -> Packet {
        Packet::parse(&[&[0, 1], body].concat())
    }

    #[test]
    fn a_pxe_rom_asks() {
        let Packet::Read(request) = request(
            b"undionly.kpxe\0OCTET\0tsize\x000\0BLKSIZE\x001456\0windowsize\x0064\0timeout\x003\0multicast\0\0",
        ) else {
            panic!("a request");
        };
        assert_eq!((request.path.as_str(), request.octet), ("undionly.kpxe", true));
        let (settings, agreed) = request.settle(70_000);
        assert_eq!(settings, Settings { block_bytes: 1456, window: 16, timeout: Some(Duration::from_secs(3)) });
        assert_eq!(agreed, [("tsize", 70_000), ("blksize", 1456), ("windowsize", 16), ("timeout", 3)]);
        assert_eq!(option_ack(&agreed[..2]), b"\0\x06tsize\x0070000\0blksize\x001456\0");
    }

    #[test]
    fn options_out_of_bounds_are_cut_or_left_out() {
        let Packet::Read(request) =
            request(b"f\0octet\0blksize\x0065464\0windowsize\x000\0timeout\x00255\0tsize\0x\0blksize\x007\0")
        else {
            panic!("a request");
        };
        let (settings, agreed) = request.settle(1);
        assert_eq!(settings, Settings { block_bytes: 1468, window: 1, timeout: None });
        assert_eq!(agreed, [("blksize", 1468)]);
    }

    #[test]
    fn what_is_no_request_is_none() {
        for body in [&b""[..], b"f", b"f\0", b"f\0octet", b"\0octet\0", b"\xff\0octet\0"] {
            assert_eq!(request(body), Packet::Unknown, "{body:?}");
        }
        assert_eq!(Packet::parse(&[0, 4, 1, 2]), Packet::Ack(0x102));
        assert_eq!(Packet::parse(&[0, 4, 1]), Packet::Unknown);
        assert_eq!(Packet::parse(&[0, 2, b'f', 0]), Packet::Write);
        assert_eq!(Packet::parse(&[0]), Packet::Unknown);
    }

    proptest! {
        #[test]
        fn never_panics_and_stays_in_bounds(body: Vec<u8>, options in "(blksize|windowsize|timeout|tsize|[0-9]{1,6}|\0){0,12}") {
            for body in [body.clone(), [b"f\0octet\0", options.as_bytes(), &body].concat()] {
                if let Packet::Read(request) = request(&body) {
                    let (settings, _) = request.settle(9);
                    prop_assert!((8..=1468).contains(&settings.block_bytes) && (1..=16).contains(&settings.window));
                }
            }
        }
    }
}
