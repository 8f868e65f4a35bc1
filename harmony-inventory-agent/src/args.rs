//! The command line of the program: five flags, read by hand, because an argument parser is half the size
//! that the agent may have.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use harmony_core::report::AGENT_PORT;

/// What `--help` prints.
pub const HELP: &str = "\
Reports what this machine is made of, as JSON over HTTP.

Usage: harmony-inventory-agent [OPTIONS]

Options:
      --listen ADDR:PORT  Where to answer [default: 0.0.0.0:8088]
      --links-up          Set every NIC up, so that LLDP can be heard on each
      --once              Print one report and exit
      --root DIR          Read a recorded tree instead of this machine
  -h, --help              Print this
  -V, --version           Print the version

The kernel command line is read too:
  harmony.announce=URL    Post an announcement there (http only) until it is acknowledged
  harmony.token=TOKEN     Answer GET / only to `Authorization: Bearer TOKEN`
  harmony.bootmac=MAC     The NIC booted from; else BOOTIF=01-aa-bb-cc-dd-ee-ff

Examples:
  In a live environment:          harmony-inventory-agent --links-up
  What would it say of this box?  harmony-inventory-agent --once
  From another machine:           curl http://10.10.0.101:8088/
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
}

impl Args {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// [`ArgsError`], naming the argument.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, ArgsError> {
        let mut listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, AGENT_PORT));
        let (mut root, mut once, mut links_up) = (None, false, false);
        let mut args = args.into_iter();
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
}
