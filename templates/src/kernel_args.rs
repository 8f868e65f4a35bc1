//! Kernel command lines: checked argument by argument, and as long as Linux can take.
//!
//! Also the bond's arguments. `rd.bond=` does not exist, in dracut or anywhere else; it is `bond=`.
//! Source: dracut.cmdline(7), nm-initrd-generator(8), coreos-installer `docs/getting-started.md`.

use std::fmt;

use harmony_core::boot::{BondPlan, Order};
use harmony_core::secret::Secret;
use harmony_core::store::{PROGRESS_MARK, TOKEN_MARK};

use crate::{TemplateError, check};

/// What Linux keeps of the command line on x86, in bytes: `COMMAND_LINE_SIZE` less the final NUL.
/// Source: Linux `arch/x86/include/asm/setup.h`.
pub const MAX_COMMAND_LINE_BYTES: usize = 2047;

/// Longest token or progress key that the boot server may put in a mark's place, in bytes.
pub const MAX_SECRET_BYTES: usize = 64;

/// Options of every bond. `layer2+3` is the hash that switches and Linux have in common.
/// Source: Linux `Documentation/networking/bonding.rst`.
pub(crate) const BOND_OPTIONS: [(&str, &str); 4] =
    [("mode", "802.3ad"), ("miimon", "100"), ("lacp_rate", "fast"), ("xmit_hash_policy", "layer2+3")];

/// Kernel arguments, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommandLine(String);

impl CommandLine {
    /// Adds `key=value`.
    pub(crate) fn arg(mut self, key: &'static str, value: &str) -> Result<Self, TemplateError> {
        check::word(key, value)?;
        self.push(&format!("{key}={value}"));
        Ok(self)
    }

    /// Adds `key=value` whose value no error may show.
    pub(crate) fn secret(self, key: &'static str, value: &Secret) -> Result<Self, TemplateError> {
        self.arg(key, value.expose()).map_err(|_| TemplateError::value(key, "…", "cannot go into a kernel argument"))
    }

    /// Adds whole arguments.
    pub(crate) fn extra(mut self, args: &[String]) -> Result<Self, TemplateError> {
        for arg in args {
            check::word("extra arguments", arg)?;
            self.push(arg);
        }
        Ok(self)
    }

    /// Refuses what Linux would cut; `others` are bytes of the line that are not in here.
    pub(crate) fn fitting(self, others: usize) -> Result<Self, TemplateError> {
        let marks: usize = [TOKEN_MARK, PROGRESS_MARK]
            .into_iter()
            .map(|mark| self.0.matches(mark).count() * MAX_SECRET_BYTES.saturating_sub(mark.len()))
            .sum();
        let length = self.0.len() + marks + others;
        if length > MAX_COMMAND_LINE_BYTES {
            return Err(TemplateError::CommandLineTooLong { length, limit: MAX_COMMAND_LINE_BYTES });
        }
        Ok(self)
    }

    fn push(&mut self, arg: &str) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(arg);
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The bond's two kernel arguments, for the live installer and the first boot:
/// `bond=bond0:eno1,eno2:mode=802.3ad,… ip=bond0:dhcp::<mac>`.
///
/// The MAC at the end pins the bond's own, which otherwise is that of whichever member came first,
/// so that the DHCP reservation matches.
///
/// # Errors
/// A name that is no interface name, or a bond without members.
pub fn bond_args(bond: &BondPlan) -> Result<[String; 2], TemplateError> {
    interface("bond name", &bond.name)?;
    for (name, _) in &bond.members {
        interface("bond member", name)?;
    }
    if bond.members.is_empty() {
        return Err(TemplateError::value("bond members", &bond.name, "has no members"));
    }
    let members: Vec<_> = bond.members.iter().map(|(name, _)| name.as_str()).collect();
    let options: Vec<_> = BOND_OPTIONS.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Ok([
        format!("bond={}:{}:{}", bond.name, members.join(","), options.join(",")),
        format!("ip={}:dhcp::{}", bond.name, bond.mac),
    ])
}

/// An interface name of Linux: at most 15 bytes, and nothing that `bond=` would split.
/// Source: Linux `net/core/dev.c`, `dev_valid_name`.
fn interface(field: &str, name: &str) -> Result<(), TemplateError> {
    check::word(field, name)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let valid = name.len() <= 15 && name.bytes().all(allowed) && !name.starts_with(['.', '-']);
    if valid { Ok(()) } else { Err(TemplateError::value(field, name, "is no interface name")) }
}

/// The path of the one disk that an order may write.
pub(crate) fn disk_path(order: &Order) -> Result<&str, TemplateError> {
    check::word("disk_path", &order.disk_path)?;
    // coreos-installer deprecates bare names; `..` would leave the folder that makes the name stable.
    let is_device = order.disk_path.strip_prefix("/dev/").is_some_and(|rest| !rest.is_empty() && !rest.contains(".."));
    if is_device {
        Ok(&order.disk_path)
    } else {
        Err(TemplateError::value("disk_path", &order.disk_path, "is no path of a disk"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bond(members: &[&str]) -> BondPlan {
        let mac = |last| harmony_core::net::MacAddress::new([0x52, 0x54, 0, 0, 0, last]);
        let members = members.iter().zip(1..).map(|(name, last)| ((*name).to_owned(), mac(last))).collect();
        BondPlan { name: "bond0".into(), mac: mac(1), members }
    }

    #[test]
    fn a_bond_has_two_arguments() {
        let [bond, ip] = bond_args(&bond(&["eno1", "eno2"])).expect("valid");
        assert_eq!(bond, "bond=bond0:eno1,eno2:mode=802.3ad,miimon=100,lacp_rate=fast,xmit_hash_policy=layer2+3");
        assert_eq!(ip, "ip=bond0:dhcp::52:54:00:00:00:01");
    }

    #[test]
    fn names_that_would_split_the_argument_are_refused() {
        for name in ["", "a,b", "a:b", "a b", "eno1\n", "-x", "sixteen-is-a-lot", "a/b", "a=b"] {
            assert!(bond_args(&bond(&["eno1", name])).is_err(), "{name}");
        }
        assert!(bond_args(&bond(&[])).is_err());
    }

    #[test]
    fn a_line_that_linux_would_cut_is_refused_with_its_length() {
        let long = |bytes: usize| {
            CommandLine::default().extra(&["a".repeat(1000), "b".repeat(bytes)]).and_then(|line| line.fitting(40))
        };
        assert!(long(2047 - 1041).is_ok());
        let error = long(2047 - 1040).expect_err("too long");
        assert!(matches!(error, TemplateError::CommandLineTooLong { length: 2048, limit: 2047 }), "{error}");
        // A mark is counted as the secret that will stand there.
        let marked = CommandLine::default().arg("t", TOKEN_MARK).and_then(|line| line.extra(&["a".repeat(2047 - 66)]));
        assert!(matches!(
            marked.and_then(|line| line.fitting(0)),
            Err(TemplateError::CommandLineTooLong { length: 2048, .. })
        ));
    }

    #[test]
    fn a_refused_secret_is_not_shown() {
        let error = CommandLine::default().secret("harmony.token", &Secret::new("hunter 2")).expect_err("blank");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    }
}
