//! Names and numbers of the network, parsed once: MAC addresses, VLANs, switch ports, host names, DNS names.
//!
//! Each type can only hold a valid value. Addresses and prefixes are `std::net` and `ipnet`.

mod dns;
mod mac;
mod name;
mod port;

pub use dns::DnsName;
pub use mac::{MacAddress, ParseMacError};
pub use name::{Hostname, NameError};
pub use port::{LagName, ParsePortError, PortName, PortRef, SwitchId, VlanId};

/// `Serialize` and `Deserialize` through `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;
