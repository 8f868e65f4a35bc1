//! Switches, their ports, link aggregation groups and VLANs.

use std::fmt;
use std::str::FromStr;

use super::name::NameError;
use super::serde_as_text;

/// A short name without blanks or control characters, as devices print it.
fn check(kind: &'static str, text: &str, slash: bool) -> Result<String, NameError> {
    if text.is_empty() || text.len() > 64 {
        return Err(NameError::new(kind, text, "1 to 64 characters are allowed"));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b) || (slash && b == b'/');
    if !text.bytes().all(allowed) || text.starts_with('-') {
        return Err(NameError::new(kind, text, "letters, digits and `-_.:/` are allowed, `-` not first"));
    }
    Ok(text.to_owned())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $slash:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                check($kind, text, $slash).map(Self)
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        serde_as_text!($type);
    };
}

name_type!(
    /// A switch, as the site file names it.
    SwitchId, "switch name", false
);
name_type!(
    /// A port, as its switch names it: `Gi1/0/1`, `ethernet1/1/1`, `node-a-p0`.
    PortName, "port name", true
);
name_type!(
    /// A link aggregation group (port-channel, LAG, bond) on a switch.
    LagName, "LAG name", true
);

/// A port of a switch, printed as `switch/port`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRef {
    /// The switch.
    pub switch: SwitchId,
    /// The port on it.
    pub port: PortName,
}

/// A text that names no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParsePortError {
    /// No `/` between switch and port.
    #[error("`{0}` names no port: write SWITCH/PORT")]
    NoSwitch(String),
    /// One of both names is not allowed.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl PortRef {
    /// Port `port` of switch `switch`.
    #[must_use]
    pub fn new(switch: SwitchId, port: PortName) -> Self {
        Self { switch, port }
    }
}

impl FromStr for PortRef {
    type Err = ParsePortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (switch, port) =
            text.split_once('/').ok_or_else(|| ParsePortError::NoSwitch(text.chars().take(64).collect()))?;
        Ok(Self { switch: switch.parse()?, port: port.parse()? })
    }
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.switch, self.port)
    }
}

impl fmt::Debug for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(PortRef);

/// A VLAN identifier, 1 to 4094. Source: IEEE 802.1Q-2018 clause 9.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

impl VlanId {
    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for VlanId {
    type Error = NameError;

    fn try_from(id: u16) -> Result<Self, Self::Error> {
        if (1..=4094).contains(&id) {
            Ok(Self(id))
        } else {
            Err(NameError::new("VLAN", &id.to_string(), "1 to 4094 are allowed"))
        }
    }
}

impl From<VlanId> for u16 {
    fn from(vlan: VlanId) -> Self {
        vlan.0
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_keeps_its_slashes() {
        let port: PortRef = "tor-1/Gi1/0/3".parse().expect("valid");
        assert_eq!((port.switch.as_str(), port.port.as_str()), ("tor-1", "Gi1/0/3"));
        assert_eq!(port.to_string(), "tor-1/Gi1/0/3");
        assert!("tor-1".parse::<PortRef>().is_err());
        assert!("tor-1/a b".parse::<PortRef>().is_err());
        assert!("tor-1/--help".parse::<PortRef>().is_err());
    }

    #[test]
    fn vlans_end_at_4094() {
        assert!(VlanId::try_from(0).is_err());
        assert!(VlanId::try_from(4094).is_ok());
        assert!(VlanId::try_from(4095).is_err());
    }
}
