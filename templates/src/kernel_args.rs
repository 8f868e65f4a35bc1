//! Kernel command lines: checked argument by argument, and as long as Linux can take.
//!
//! Also the network's arguments. `rd.bond=` does not exist, in dracut or anywhere else; it is `bond=`.
//! Source: dracut.cmdline(7), nm-initrd-generator(8), coreos-installer `docs/getting-started.md`.

use std::fmt;
use std::net::IpAddr;

use harmony_core::boot::{Addressing, LinkPlan, Order};
use harmony_core::secret::Secret;
use harmony_core::store::{PROGRESS_MARK, TOKEN_MARK};

use crate::{TemplateError, check};

/// What Linux keeps of the command line on x86, in bytes: `COMMAND_LINE_SIZE` less the final NUL.
/// Source: Linux `arch/x86/include/asm/setup.h`.
pub const MAX_COMMAND_LINE_BYTES: usize = 2047;

/// Longest token or progress key that the boot server may put in a mark's place, in bytes.
pub const MAX_SECRET_BYTES: usize = 64;

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

/// The network's kernel arguments, for the live installer and the first boot:
/// `bond=bond0:eno1,eno2:mode=802.3ad,… vlan=bond0.100:bond0 ip=bond0.100:dhcp::<mac>`.
///
/// The MAC at the end pins the bond's own, which otherwise is that of whichever member came first,
/// so that the DHCP reservation matches. With a static address it is
/// `ip=<address>::<gateway>:<prefix>:<hostname>:<interface>:none::<mac> nameserver=<dns>`.
///
/// # Errors
/// A name that is no interface name, or a link without members.
pub fn link_args(order: &Order) -> Result<Vec<String>, TemplateError> {
    let link = &order.link;
    check_link(link)?;
    let mut args = Vec::new();
    if let Some(options) = &link.bond {
        let members: Vec<_> = link.members.iter().map(|(name, _)| name.as_str()).collect();
        let options: Vec<_> = options.pairs().iter().map(|(key, value)| format!("{key}={value}")).collect();
        args.push(format!("bond={}:{}:{}", link.name, members.join(","), options.join(",")));
    }
    let interface = link.interface();
    if link.vlan.is_some() {
        args.push(format!("vlan={interface}:{}", link.name));
    }
    match &link.addressing {
        Addressing::Dhcp => args.push(format!("ip={interface}:dhcp::{}", link.mac)),
        Addressing::Static { prefix_len, gateway, dns } => {
            let gateway = gateway.map(bracketed).unwrap_or_default();
            let (address, hostname, mac) = (bracketed(order.address), &order.hostname, link.mac);
            args.push(format!("ip={address}::{gateway}:{prefix_len}:{hostname}:{interface}:none::{mac}"));
            args.extend(dns.iter().map(|server| format!("nameserver={}", bracketed(*server))));
        }
    }
    Ok(args)
}

/// An address where `:` parts fields. Source: dracut.cmdline(7), `ip=`.
fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Refuses names that would not fit into arguments and keyfiles alike.
pub(crate) fn check_link(link: &LinkPlan) -> Result<(), TemplateError> {
    interface("bond name", &link.interface())?;
    for (name, _) in &link.members {
        interface("bond member", name)?;
    }
    if link.members.is_empty() {
        return Err(TemplateError::value("bond members", &link.name, "has no members"));
    }
    Ok(())
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

    fn order(members: &[&str]) -> Order {
        let mac = |last| harmony_core::net::MacAddress::new([0x52, 0x54, 0, 0, 0, last]);
        let members = members.iter().zip(1..).map(|(name, last)| ((*name).to_owned(), mac(last))).collect();
        Order {
            id: "hc-7KQ2M9X/1".parse().expect("an order"),
            role: "master-0".parse().expect("a role"),
            hostname: "master-0.ocp4.example.com".parse().expect("a name"),
            address: [10, 0, 0, 11].into(),
            disk_serial: "S".into(),
            disk_path: "/dev/disk/by-id/x".into(),
            link: LinkPlan::bond("bond0", mac(1), members),
            issued_at: jiff::Timestamp::UNIX_EPOCH,
            expires_at: jiff::Timestamp::UNIX_EPOCH,
            attempt: 1,
            state: harmony_core::boot::OrderState::Issued,
            failure: None,
        }
    }

    #[test]
    fn a_bond_has_two_arguments() {
        let args = link_args(&order(&["eno1", "eno2"])).expect("valid");
        assert_eq!(
            args,
            [
                "bond=bond0:eno1,eno2:mode=802.3ad,miimon=100,lacp_rate=fast,xmit_hash_policy=layer2+3",
                "ip=bond0:dhcp::52:54:00:00:00:01"
            ]
        );
    }

    #[test]
    fn one_nic_a_vlan_and_a_static_address_are_said_as_dracut_reads_them() {
        let mut order = order(&["eno1", "eno2"]);
        order.link.vlan = 100.try_into().ok();
        let args = link_args(&order).expect("valid");
        assert_eq!(args[1..], ["vlan=bond0.100:bond0", "ip=bond0.100:dhcp::52:54:00:00:00:01"]);
        order.link = LinkPlan::alone("eno1", order.link.mac);
        assert_eq!(link_args(&order).expect("valid"), ["ip=eno1:dhcp::52:54:00:00:00:01"]);
        let gateway = Some([10, 0, 0, 1].into());
        let dns = vec![[10, 0, 0, 2].into(), "fd00::2".parse().expect("an address")];
        order.link.addressing = Addressing::Static { prefix_len: 24, gateway, dns };
        assert_eq!(
            link_args(&order).expect("valid"),
            [
                "ip=10.0.0.11::10.0.0.1:24:master-0.ocp4.example.com:eno1:none::52:54:00:00:00:01",
                "nameserver=10.0.0.2",
                "nameserver=[fd00::2]"
            ]
        );
    }

    #[test]
    fn names_that_would_split_the_argument_are_refused() {
        for name in ["", "a,b", "a:b", "a b", "eno1\n", "-x", "sixteen-is-a-lot", "a/b", "a=b"] {
            assert!(link_args(&order(&["eno1", name])).is_err(), "{name}");
        }
        assert!(link_args(&order(&[])).is_err());
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
