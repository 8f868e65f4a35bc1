//! `cargo xtask okd-artifacts DIR`: everything that the hosts and services of a cluster would be given, as files, for whoever
//! wants to read it or to check it by other programs.
//!
//! Nothing here renders anything. What is wanted comes from the Score (`harmony_scores::okd`), the cluster's secrets from
//! whatever `openshift-install` it is given, scripts and Ignition from the boot server, which is asked as hosts ask it,
//! and the configurations of services from their drivers. Only the machines are made up (`rack`), and the site and the
//! cluster are fixed (`site.toml`, `cluster.toml`). Nothing is started but the installer, and nothing is downloaded.
//!
//! Read next: `artefacts` for the order of things.

mod artefacts;
mod boot_server;
mod folder;
mod rack;

use std::path::PathBuf;
use std::process::ExitCode;

use folder::Folder;
use harmony::CommandError as Failed;

/// The installer program.
const INSTALLER: &str = "HARMONY_OPENSHIFT_INSTALL";
/// The inventory agent's binary, whose digest is in the Kickstart.
const AGENT: &str = "HARMONY_AGENT";

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [dir] = args.as_slice() else {
        eprintln!("usage: cargo xtask okd-artifacts DIR");
        return ExitCode::from(2);
    };
    let dir = PathBuf::from(dir);
    let failed = |error: Failed| {
        harmony::report(&error);
        ExitCode::FAILURE
    };
    let (given, folder) = match given().and_then(|given| Ok((given, Folder::new(&dir)?))) {
        Ok(both) => both,
        Err(error) => return failed(error),
    };
    match artefacts::write(&folder, given).await {
        Ok(written) => {
            written.iter().for_each(|file| println!("{}", file.display()));
            eprintln!("{} files in {}", written.len(), dir.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let code = failed(error);
            eprintln!("what was made before stays in {}; name another folder to try again", dir.display());
            code
        }
    }
}

/// The programs that it needs.
struct Given {
    installer: PathBuf,
    agent: PathBuf,
}

fn given() -> Result<Given, Failed> {
    Ok(Given { installer: named(INSTALLER, "openshift-install")?, agent: named(AGENT, "the inventory agent")? })
}

/// A program that the environment names.
fn named(variable: &str, what: &str) -> Result<PathBuf, Failed> {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty());
    value.map(PathBuf::from).ok_or_else(|| {
        Failed::new(format!("{variable} names no program for {what}")).hint("`cargo xtask okd-artifacts DIR` does")
    })
}
