//! What iPXE says of its machine in the chain URL.
//!
//! Not a form: `+` is a plus, and a serial may hold `&`, whose encoding iPXE before 2020 undoes
//! (iPXE `src/core/uri.c`: it decodes each part, then encodes it anew), so what follows no known name belongs to it.

use harmony_core::host::SystemIdentity;
use harmony_core::net::MacAddress;
use percent_encoding::percent_decode_str;

/// MACs in one request: more NICs than iPXE's script tells.
const MAX_MACS: usize = 64;
/// Length of a query, in bytes.
const MAX_QUERY_BYTES: usize = 4096;
/// Length of a serial, in bytes. SMBIOS strings are shorter.
const MAX_SERIAL_BYTES: usize = 256;

/// A machine that asks for its script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) identity: SystemIdentity,
    /// As it told them: the first is that of the NIC in use.
    pub(super) macs: Vec<MacAddress>,
}

impl Caller {
    /// Reads a query. What cannot be understood is as if it had not been said.
    ///
    /// # Errors
    /// If there is too much of it, or nothing that identifies a machine.
    pub(super) fn parse(query: &str) -> Result<Self, &'static str> {
        if query.len() > MAX_QUERY_BYTES {
            return Err("the query is too long");
        }
        let (mut uuid, mut serial, mut macs) = (None, None::<String>, Vec::new());
        for part in query.split('&') {
            if let Some(value) = part.strip_prefix("uuid=") {
                uuid = decoded(value).and_then(|text| text.parse().ok());
            } else if let Some(value) = part.strip_prefix("mac=") {
                if macs.len() == MAX_MACS {
                    return Err("there are too many MACs in the query");
                }
                macs.extend(decoded(value).and_then(|text| text.parse::<MacAddress>().ok()));
            } else if let Some(value) = part.strip_prefix("serial=") {
                serial = Some(value.to_owned());
            } else if let Some(serial) = &mut serial {
                serial.push('&');
                serial.push_str(part);
            }
        }
        let serial = serial.and_then(|serial| decoded(&serial));
        let serial = serial.filter(|text| text.len() <= MAX_SERIAL_BYTES && !text.chars().any(char::is_control));
        let identity = SystemIdentity::new(uuid, serial.as_deref(), macs.iter().copied());
        if identity.is_empty() {
            return Err("neither UUID, nor serial, nor MAC: nothing identifies the machine");
        }
        Ok(Self { identity, macs })
    }
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_ipxe_tells() {
        let caller = Caller::parse(
            "uuid=00112233-4455-6677-8899-aabbccddeeff&mac=52-54-00-00-00-02&mac=52-54-00-00-00-01&mac=52%3A54%3A00%3A00%3A00%3A02&mac=&serial=A%20B+C&D=1&",
        );
        let caller = caller.expect("a machine");
        assert_eq!(caller.identity.serial.as_deref(), Some("A B+C&D=1&"));
        assert_eq!(caller.identity.macs.len(), 2);
        assert_eq!(caller.macs[0].to_string(), "52:54:00:00:00:02");
        assert_eq!(
            caller.identity.uuid.map(|uuid| uuid.to_string()).as_deref(),
            Some("00112233-4455-6677-8899-aabbccddeeff")
        );
    }

    #[test]
    fn the_order_is_free() {
        let one = Caller::parse("serial=X1&uuid=&mac=52:54:00:00:00:01").expect("a machine");
        assert_eq!((one.identity.serial.as_deref(), one.macs.len()), (Some("X1"), 1));
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        let many = "mac=52-54-00-00-00-01&".repeat(65);
        for query in
            ["", "uuid=&serial=", "uuid=zz&mac=zz", "serial=To%20Be%20Filled%20By%20O.E.M.", "serial=a%0ab", &many]
        {
            assert!(Caller::parse(query).is_err(), "{query}");
        }
        assert!(Caller::parse(&format!("mac=52-54-00-00-00-01&serial={}", "x".repeat(5000))).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(query in "(uuid=|mac=|serial=|&|%|\\PC){0,40}") {
            let _ = Caller::parse(&query);
        }
    }
}
