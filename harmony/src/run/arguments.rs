//! The arguments of a user's program.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

/// The name that the program was called by.
pub(crate) fn program_name() -> String {
    let path = std::env::args_os().next().map(PathBuf::from);
    path.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned())).unwrap_or_else(|| "harmony".to_owned())
}

/// Makes the site as this program wants it.
#[derive(Debug, Parser)]
#[command(
    name = program_name(),
    version,
    after_help = "Examples:
  plan                       show what would be done; writes to nothing
  plan --out site.plan       the same, kept in a file that can be read and signed
  apply site.plan            do what the file says, if the world is still as it was
  apply --yes --json         do it all, one event a line
  tui                        do it all, and watch; roles are assigned there
  --only Inventory apply     only this Score
Exit code: 0 done, 1 failed or refused, 2 wrong arguments, 3 `status` found work, 130 stopped."
)]
pub(crate) struct Arguments {
    /// Print one JSON object a line (events of a run), or one JSON document.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Only this Score; may be given more than once.
    #[arg(long, global = true, value_name = "SCORE")]
    pub(crate) only: Vec<String>,
    /// Apply without asking.
    #[arg(long, short, global = true)]
    pub(crate) yes: bool,
    /// What to do; without it, `tui` on a terminal and `plan` elsewhere.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show every command, file and record that would be written, and every disk to be erased.
    Plan {
        /// Also write the plan to this file.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Make it so. With a plan file, its steps and no other.
    Apply {
        /// A file made by `plan --out`.
        file: Option<PathBuf>,
    },
    /// Make it so, and watch: hosts, steps and ports on the screen.
    Tui,
    /// Compare the site with what is wanted; exit code 3 if there is work.
    Status,
    /// Serve the site's boot files: how a run starts this program for it.
    #[command(name = crate::boot_server::COMMAND, hide = true)]
    BootServer,
    /// Print the completion script of a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}
