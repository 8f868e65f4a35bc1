//! A program of a user as its site's boot server: the same program once more, which only serves.
//!
//! Every program that opens a site can be that, since [`open_site`](crate::open_site) looks here
//! first. The process is a session of its own, so that neither Ctrl-C nor the end of the terminal
//! reaches it; `topologies/src/site/boot` knows when it is started, adopted and ended.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use harmony_topologies::site::{SiteFile, SiteTopology};

use crate::run::arguments::program_name;
use crate::{CommandError, report};

/// Says to a program that it is to be the boot server of the site with this state folder.
const SERVES: &str = "HARMONY_BOOT_SERVER";
/// The command, so that it is recognised in a list of processes.
pub(crate) const COMMAND: &str = "boot-server";

/// What starts the boot server of a site.
pub(crate) fn command(site: &Path, state: &Path) -> impl Fn() -> Command + Send + Sync + 'static {
    let (site, state) = (site.to_owned(), state.to_owned());
    move || {
        // This very program, even if the file has been replaced since.
        let mut command = Command::new("/proc/self/exe");
        command.arg0(program_name()).arg(COMMAND).env(SERVES, &state).env("HARMONY_SITE", &site);
        command
    }
}

/// Whether this process was started to be the boot server of this site.
pub(crate) fn is_this_process(site: &SiteFile) -> bool {
    std::env::var_os(SERVES).is_some_and(|state| Path::new(&state) == site.site.state)
}

/// Serves until it is told to end; the process's exit code.
pub(crate) async fn serve(topology: &SiteTopology) -> i32 {
    match run(topology).await {
        Ok(()) => 0,
        Err(error) => {
            report(&error);
            1
        }
    }
}

async fn run(topology: &SiteTopology) -> Result<(), CommandError> {
    use tokio::signal::unix::{SignalKind, signal};
    nix::unistd::setsid().map_err(|error| CommandError::new(format!("failed to leave the terminal: {error}")))?;
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| CommandError::new(format!("failed to wait for signals: {error}")))?;
    let stop = async {
        terminate.recv().await;
    };
    Ok(topology.run_boot_server(stop).await?)
}
