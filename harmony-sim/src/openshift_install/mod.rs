//! A stand-in for `openshift-install`: the same files, messages and exit codes, as they were recorded, without
//! anything of a release behind them.
//!
//! Owns what the program does with its folder and what it says. Does not know who calls it, nor how a cluster comes up:
//! it asks the API that its kubeconfig names. Of the real program's behaviour it has: the install configuration and the
//! manifests are consumed, a hidden state file ties the steps together, an unknown field is a warning only, output
//! goes to standard error.
//!
//! Read next: `settings` for what can be set from outside, faults among it; `create` for the files; `wait` for the rest.

mod bootstrap;
mod client;
mod create;
mod install_config;
mod log;
mod manifests;
mod pki;
mod settings;
mod stream;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) use bootstrap::KUBELET_UNIT;
use log::{Level, Log};
use settings::Settings;
pub use settings::{
    ADDRESS_VARIABLE, FAULT_VARIABLE, LIMIT_VARIABLE, MADE_AGO_VARIABLE, NODE_VARIABLE, POLL_VARIABLE, STREAM_VARIABLE,
    VERSION, VERSION_VARIABLE,
};
pub use stream::{BootFile, stream_metadata};

/// The release that it says it installs, unless told otherwise.
const RELEASE_IMAGE: &str = "quay.io/okd/scos-release:4.19.0-okd-scos.9";
/// As the real program names it.
const OVERRIDE_VARIABLE: &str = "OPENSHIFT_INSTALL_RELEASE_IMAGE_OVERRIDE";

/// How a run ended otherwise than well.
#[derive(Debug)]
struct Failed {
    /// What is said last.
    level: Level,
    message: String,
    code: u8,
}

impl Failed {
    fn fatal(message: impl Into<String>) -> Self {
        Self { level: Level::Fatal, message: message.into(), code: 1 }
    }

    fn error(message: impl Into<String>, code: u8) -> Self {
        Self { level: Level::Error, message: message.into(), code }
    }
}

/// The command line of it: words, and the flags that matter.
struct Arguments {
    words: Vec<String>,
    dir: PathBuf,
}

impl Arguments {
    fn parse(args: impl Iterator<Item = String>) -> Self {
        let (mut words, mut dir) = (Vec::new(), PathBuf::from("."));
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg.clone(), None),
            };
            match name.as_str() {
                "--dir" => dir = value.or_else(|| args.next()).unwrap_or_default().into(),
                "--log-level" => drop(value.or_else(|| args.next())),
                _ => words.push(arg),
            }
        }
        Self { words, dir }
    }
}

/// Does what the command line says, without the program's own name in it.
///
/// Waiting is done in a thread of its own, so that it may be called wherever the caller is.
pub fn main(args: impl Iterator<Item = String>) -> ExitCode {
    let arguments = Arguments::parse(args);
    let done = std::thread::spawn(move || run(&arguments, &Settings::from_environment())).join();
    done.unwrap_or(ExitCode::from(2))
}

fn run(arguments: &Arguments, settings: &Settings) -> ExitCode {
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    let (log, dir) = (Log::new(&arguments.dir), &arguments.dir);
    let done = match words[..] {
        ["version"] => version(settings),
        ["coreos", "print-stream-json"] => stream::print(settings),
        ["create", "manifests"] => create::manifests(dir, settings, &log.to_file()),
        ["create", "ignition-configs"] => create::ignition_configs(dir, settings, &log.to_file()),
        ["wait-for", "bootstrap-complete"] => wait::bootstrap_complete(dir, settings, &log.to_file()),
        ["wait-for", "install-complete"] => wait::install_complete(dir, settings, &log.to_file()),
        _ => Err(Failed::fatal(format!(
            "Error executing openshift-install: unknown command \"{}\" for \"openshift-install\"",
            words.first().unwrap_or(&"")
        ))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed { level, message, code }) => {
            log.say(level, &message);
            ExitCode::from(code)
        }
    }
}

fn version(settings: &Settings) -> Result<(), Failed> {
    println!("openshift-install {}", settings.version);
    println!("built from commit 0000000000000000000000000000000000000000");
    println!("release image {}", settings.release_override.as_deref().unwrap_or(RELEASE_IMAGE));
    println!("release architecture {}", if settings.release_override.is_some() { "unknown" } else { "amd64" });
    println!("default architecture amd64");
    Ok(())
}
