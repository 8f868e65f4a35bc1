//! The program `harmony-inventory-agent`: arguments in, one thread that serves. All else is in the library.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::PoisonError;
use std::thread;

use harmony_core::report;
use harmony_inventory_agent::announce::{self, Backoff};
use harmony_inventory_agent::args::{Args, HELP};
use harmony_inventory_agent::http::{self, Agent};
use harmony_inventory_agent::lldp::Heard;
use harmony_inventory_agent::lldp::listen::{SharedHeard, listen};
use harmony_inventory_agent::log::say;
use harmony_inventory_agent::wipe::{self, Order, Outcome};
use harmony_inventory_agent::{Cmdline, Root, collect};
use tokio::net::TcpListener;

/// The listener holds one frame and lists the NICs.
const LISTENER_STACK_BYTES: usize = 128 << 10;

/// The disks of an order are blank, but a boot entry is left.
const BOOT_ENTRY_LEFT: u8 = 3;

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
enum MainError {
    #[error("cannot read the kernel command line, which may hold a token: {0}")]
    Cmdline(harmony_inventory_agent::Reason),
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    #[error("cannot start the thread that listens for LLDP")]
    Listener(#[source] std::io::Error),
    #[error("cannot serve")]
    Serve(#[source] std::io::Error),
    #[error("cannot make the report")]
    Json(#[source] serde_json::Error),
    #[error("cannot write to standard output")]
    Write(#[source] std::io::Error),
}

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args_os().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            say(format_args!("error: {error}\nhint: `harmony-inventory-agent --help` lists the options"));
            return ExitCode::from(2);
        }
    };
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            say_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn say_error(error: &dyn std::error::Error) {
    say(format_args!("error: {error}"));
    let mut source = error.source();
    while let Some(cause) = source {
        say(format_args!("  caused by: {cause}"));
        source = cause.source();
    }
}

fn run(args: Args) -> Result<ExitCode, MainError> {
    match args {
        Args::Help => print(HELP)?,
        Args::Version => {
            print(&format!("harmony-inventory-agent {} ({})\n", env!("CARGO_PKG_VERSION"), report::v1::SCHEMA))?
        }
        Args::Once { root } => {
            let report = collect(&root.map_or_else(Root::live, Root::recorded), &Heard::default());
            print(&(serde_json::to_string_pretty(&report).map_err(MainError::Json)? + "\n"))?;
        }
        Args::Serve { listen, root, links_up } => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let root = root.map_or_else(Root::live, Root::recorded);
            runtime.map_err(MainError::Runtime)?.block_on(serve(listen, root, links_up))?;
        }
        Args::Wipe { order, root } => return wipe(&root.map_or_else(Root::live, Root::recorded), &order),
    }
    Ok(ExitCode::SUCCESS)
}

/// Standard output has what was done, even where that is not all.
fn wipe(root: &Root, order: &Order) -> Result<ExitCode, MainError> {
    let Outcome { report, failed, entries_failed, notes } = match wipe::wipe(root, order) {
        Ok(outcome) => outcome,
        Err(refusal) => {
            say_error(&refusal);
            say(format_args!("hint: nothing was written to any disk; {}", refusal.hint()));
            return Ok(ExitCode::FAILURE);
        }
    };
    let printed = serde_json::to_string(&report).map_err(MainError::Json).and_then(|text| print(&(text + "\n")));
    notes.iter().for_each(|note| say(format_args!("{note}")));
    for error in &entries_failed {
        say_error(error);
        let wiped = if failed.is_none() { "the disks are wiped; " } else { "" };
        say(format_args!("hint: {wiped}{}", error.hint()));
    }
    if let Some(error) = &failed {
        say_error(error);
        say(format_args!("hint: {}", error.hint()));
    }
    printed?;
    Ok(match (failed, &entries_failed[..]) {
        (Some(_), _) => ExitCode::FAILURE,
        (None, [_, ..]) => ExitCode::from(BOOT_ENTRY_LEFT),
        (None, []) => ExitCode::SUCCESS,
    })
}

fn print(text: &str) -> Result<(), MainError> {
    std::io::stdout().write_all(text.as_bytes()).map_err(MainError::Write)
}

async fn serve(address: SocketAddr, root: Root, links_up: bool) -> Result<(), MainError> {
    let cmdline = match Cmdline::read(&root) {
        // Without it we do not know whom to answer.
        Err(reason) if root.is_live() => return Err(MainError::Cmdline(reason)),
        cmdline => cmdline.unwrap_or_default(),
    };
    let listener = TcpListener::bind(address).await.map_err(|error| MainError::Listen(address, error))?;
    let address = listener.local_addr().map_err(|error| MainError::Listen(address, error))?;
    say(format_args!("listening on http://{address}/"));

    let heard = SharedHeard::default();
    if root.is_live() {
        let (root, heard) = (root.clone(), heard.clone());
        let listening =
            thread::Builder::new().stack_size(LISTENER_STACK_BYTES).spawn(move || listen(&root, &heard, links_up));
        listening.map_err(MainError::Listener)?;
    }
    if let Some(url) = &cmdline.announce {
        match url.parse() {
            Ok(url) => {
                let (token, root) = (cmdline.token.clone(), root.clone());
                tokio::spawn(async move {
                    let report = || collect(&root, &Heard::default());
                    announce::announce(&url, token.as_ref(), address, Backoff::default(), report).await;
                    say(format_args!("announced to {url}"));
                });
            }
            Err(error) => say(format_args!("not announcing: {error}")),
        }
    }
    let report = Box::new(move || collect(&root, &heard.lock().unwrap_or_else(PoisonError::into_inner)));
    http::serve(listener, Agent { report, token: cmdline.token }).await.map_err(MainError::Serve)
}
