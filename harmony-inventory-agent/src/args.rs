//! The command line of the program: one subcommand and a few flags, read by hand, because an argument parser is half
//! the size that the agent may have.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use harmony_core::report::AGENT_PORT;

use crate::wipe::{DiskName, Order};

/// What `--help` prints.
pub const HELP: &str = "\
Reports what this machine is made of, as JSON over HTTP.

Usage: harmony-inventory-agent [OPTIONS]
       harmony-inventory-agent wipe --disk SERIAL [--disk SERIAL...] [--boot-entries]

Options:
      --listen ADDR:PORT  Where to answer [default: 0.0.0.0:8088]
      --links-up          Set every NIC up, so that LLDP can be heard on each
      --once              Print one report and exit
      --root DIR          Read a recorded tree instead of this machine
  -h, --help              Print this
  -V, --version           Print the version

wipe, as root, makes disks blank, so that they can be installed anew: partitions, arrays and file systems are gone, but
what no discard erased is still to be found by who looks for it. Nothing is written unless every disk that is named is
found exactly once, and is not in use. It prints what it did as JSON. Exit code 1: refused, or a disk failed; 2: the arguments
make no sense; 3: the disks are blank, but a boot entry is left.
      --disk SERIAL       A disk to wipe, by its serial in the report; wwn:0x... for one that has no serial
      --boot-entries      Remove the UEFI boot entries that start from these disks, too
      --root DIR          Wipe regular files of a recorded tree instead of disks of this machine

The kernel command line is read too:
  harmony.announce=URL    Post an announcement there (http only) until it is acknowledged
  harmony.token=TOKEN     Answer GET / only to `Authorization: Bearer TOKEN`
  harmony.bootmac=MAC     The NIC booted from; else BOOTIF=01-aa-bb-cc-dd-ee-ff

Examples:
  In a live environment:          harmony-inventory-agent --links-up
  What would it say of this box?  harmony-inventory-agent --once
  From another machine:           curl http://10.10.0.101:8088/
  To be installed anew:           harmony-inventory-agent wipe --disk S6CKNT0W700123 --boot-entries
";

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Args {
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
    /// Print one report.
    Once {
        /// A recorded tree, in place of this machine.
        root: Option<PathBuf>,
    },
    /// Answer over HTTP until killed.
    Serve {
        /// Where.
        listen: SocketAddr,
        /// A recorded tree, in place of this machine.
        root: Option<PathBuf>,
        /// Whether to set NICs up.
        links_up: bool,
    },
    /// Wipe disks.
    Wipe {
        /// Which.
        order: Order,
        /// A recorded tree, in place of this machine.
        root: Option<PathBuf>,
    },
}

/// Why the arguments make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// Not one of ours.
    #[error("`{0}` is no option of this program")]
    Unknown(String),
    /// The last argument wants another.
    #[error("`{0}` needs a value")]
    NoValue(&'static str),
    /// Not `ADDR:PORT`.
    #[error("`{0}` is no address and port, such as 10.10.0.101:8088 or [::]:8088")]
    NoAddress(String),
    /// `--links-up` would change this machine while another is reported.
    #[error("--links-up is for this machine, not for a recorded tree or a single report")]
    LinksUp,
    /// `wipe` without a disk.
    #[error("`wipe` wipes nothing without `--disk SERIAL`")]
    NoDisk,
    /// `--disk` of nothing.
    #[error("`--disk {0}` names no disk: it is blank, or no plain text")]
    NoDiskName(String),
}

impl Args {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// [`ArgsError`], naming the argument.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, ArgsError> {
        let mut listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, AGENT_PORT));
        let (mut root, mut once, mut links_up) = (None, false, false);
        let mut args = args.into_iter().peekable();
        if args.next_if(|arg| arg == "wipe").is_some() {
            return Self::parse_wipe(args);
        }
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("-h" | "--help") => return Ok(Self::Help),
                Some("-V" | "--version") => return Ok(Self::Version),
                Some("--once") => once = true,
                Some("--links-up") => links_up = true,
                Some("--root") => root = Some(args.next().ok_or(ArgsError::NoValue("--root"))?.into()),
                Some("--listen") => {
                    let value = args.next().ok_or(ArgsError::NoValue("--listen"))?;
                    let value = value.to_string_lossy();
                    listen = value.parse().map_err(|_| ArgsError::NoAddress(value.into_owned()))?;
                }
                _ => return Err(ArgsError::Unknown(arg.to_string_lossy().into_owned())),
            }
        }
        if links_up && (once || root.is_some()) {
            return Err(ArgsError::LinksUp);
        }
        Ok(if once { Self::Once { root } } else { Self::Serve { listen, root, links_up } })
    }

    /// Reads the arguments after `wipe`.
    fn parse_wipe(mut args: impl Iterator<Item = OsString>) -> Result<Self, ArgsError> {
        let (mut disks, mut boot_entries, mut root) = (Vec::new(), false, None);
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("-h" | "--help") => return Ok(Self::Help),
                Some("--boot-entries") => boot_entries = true,
                Some("--root") => root = Some(args.next().ok_or(ArgsError::NoValue("--root"))?.into()),
                Some("--disk") => {
                    let value = args.next().ok_or(ArgsError::NoValue("--disk"))?;
                    let name = value.to_str().and_then(|name| name.parse::<DiskName>().ok());
                    disks.push(name.ok_or_else(|| ArgsError::NoDiskName(value.to_string_lossy().into_owned()))?);
                }
                _ => return Err(ArgsError::Unknown(arg.to_string_lossy().into_owned())),
            }
        }
        if disks.is_empty() {
            return Err(ArgsError::NoDisk);
        }
        Ok(Self::Wipe { order: Order { disks, boot_entries }, root })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, ArgsError> {
        Args::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn reads_what_help_says() {
        let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, AGENT_PORT));
        assert_eq!(parse(&[]), Ok(Args::Serve { listen, root: None, links_up: false }));
        assert!(HELP.contains(&listen.to_string()));
        assert_eq!(
            parse(&["--listen", "127.0.0.1:0", "--links-up"]),
            Ok(Args::Serve { listen: ([127, 0, 0, 1], 0).into(), root: None, links_up: true })
        );
        assert_eq!(parse(&["--once", "--root", "/tmp/x"]), Ok(Args::Once { root: Some("/tmp/x".into()) }));
        assert_eq!(parse(&["--once", "-h"]), Ok(Args::Help));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let refusal = |args: &[&str]| parse(args).expect_err("must be refused").to_string();
        assert_eq!(refusal(&["--port"]), "`--port` is no option of this program");
        assert_eq!(refusal(&["--root"]), "`--root` needs a value");
        assert!(refusal(&["--listen", "8088"]).contains("`8088` is no address"));
        assert!(refusal(&["--links-up", "--once"]).contains("--links-up"));
    }

    #[test]
    fn an_order_to_wipe_is_read_whole_or_not_at_all() {
        let serial = |serial: &str| DiskName::Serial(serial.to_owned());
        let order = |disks, boot_entries| Order { disks, boot_entries };
        let cases = [
            (&["wipe", "--disk", "A1"][..], order(vec![serial("A1")], false)),
            (
                &["wipe", "--disk", "B 2", "--boot-entries", "--disk", "wwn:0x5"],
                order(vec![serial("B 2"), DiskName::Wwn("0x5".into())], true),
            ),
            // The value of an option is a value, whatever it looks like.
            (&["wipe", "--disk", "--boot-entries"], order(vec![serial("--boot-entries")], false)),
        ];
        for (args, order) in cases {
            assert_eq!(parse(args), Ok(Args::Wipe { order, root: None }));
        }
        assert_eq!(parse(&["wipe", "--help"]), Ok(Args::Help));
        assert!(matches!(parse(&["wipe", "--disk", "A", "--root", "/x"]), Ok(Args::Wipe { root: Some(_), .. })));
        let refused: [&[&str]; 11] = [
            &["wipe"],
            &["wipe", "--boot-entries"],
            &["wipe", "--disk"],
            &["wipe", "--disk", ""],
            &["wipe", "--disk", "wwn:"],
            &["wipe", "--disk", "A", "B"],
            &["wipe", "--disk", "A", "--all"],
            &["wipe", "--disk=A"],
            &["wipe", "wipe", "--disk", "A"],
            &["--disk", "A"],
            &["--once", "wipe", "--disk", "A"],
        ];
        for args in refused {
            assert!(parse(args).is_err(), "{args:?}");
        }
        let not_text = std::os::unix::ffi::OsStringExt::from_vec(vec![0xff]);
        assert!(Args::parse(["wipe".into(), "--disk".into(), not_text]).is_err());
    }
}
