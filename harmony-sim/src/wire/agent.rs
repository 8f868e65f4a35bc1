//! The agent of a live environment on the wire: the agent's own library, on the files of a machine that is
//! made up.
//!
//! It reads its command line, answers and announces itself as it would on hardware. Only what it would hear
//! from switches and ask of the kernel comes from the world, and what a fault makes it say instead.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use harmony_core::report::v1::Report;
use harmony_inventory_agent::announce::{Url, announce_once};
use harmony_inventory_agent::http::{Agent, router};
use harmony_inventory_agent::{Cmdline, collect};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::cut::CutListener;
use super::tree::{Tree, heard};
use crate::faults::AgentReply;
use crate::machine::report;
use crate::world::Shared;

/// Pause between attempts to announce itself, in world time.
const AGAIN: Duration = Duration::from_secs(2);
/// What a body without end is sent in.
const CHUNK: &[u8] = &[b'x'; 64 << 10];

/// Answers at `address` until it is told to stop.
pub(super) async fn serve(
    world: Arc<Shared>,
    id: usize,
    address: SocketAddr,
    listener: CutListener,
    stop: CancellationToken,
) {
    let name = world.with(|state| state.machines[id].name.clone());
    let made = tokio::task::spawn_blocking({
        let world = Arc::clone(&world);
        move || Front::new(world, id)
    });
    let front = match made.await.map_err(io::Error::other).and_then(|made| made) {
        Ok(Some(front)) => Arc::new(front),
        Ok(None) => return,
        Err(error) => return world.note(&format!("{name}: agent: cannot write its files: {error}")),
    };
    let answers = Router::new().fallback(answer).with_state(Arc::clone(&front));
    let serving = async { axum::serve(listener, answers).await };
    tokio::select! {
        () = stop.cancelled() => {}
        _ = async { tokio::join!(serving, front.announce(address)) } => {}
    }
}

/// One agent and its machine's files.
struct Front {
    world: Arc<Shared>,
    id: usize,
    name: String,
    cmdline: Cmdline,
    files: Mutex<Files>,
}

/// Files, and what they were made from.
struct Files {
    of: Report,
    tree: Tree,
}

impl Front {
    /// None if the machine has gone down meanwhile.
    fn new(world: Arc<Shared>, id: usize) -> io::Result<Option<Self>> {
        let now = world.now();
        let found = world.with(|state| {
            let machine = &state.machines[id];
            Some((machine.name.clone(), machine.live.cmdline.clone(), report(state, id, now)?))
        });
        let Some((name, cmdline, of)) = found else { return Ok(None) };
        let tree = Tree::lay_out(&of, &cmdline)?;
        let cmdline = Cmdline::read(&tree.root()).map_err(|reason| io::Error::other(reason.to_string()))?;
        Ok(Some(Self { world, id, name, cmdline, files: Mutex::new(Files { of: lasting(&of), tree }) }))
    }

    /// What the agent reads now, with what only a live kernel tells it; or, by a fault, a lie.
    fn read(&self, lie: Option<AgentReply>) -> Report {
        let now = self.world.now();
        let found = self.world.with(|state| {
            let mut found = report(state, self.id, now)?;
            if let Some(lie) = lie {
                state.lie(self.id).tell(lie, &mut found);
            }
            Some((found, state.machines[self.id].live.cmdline.clone()))
        });
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        // Without it, the machine went down while it was asked; the connection is about to be cut.
        let (known, cmdline) = found.unwrap_or_else(|| (files.of.clone(), String::new()));
        let of = lasting(&known);
        if files.of != of
            && let Ok(tree) = Tree::lay_out(&of, &cmdline)
        {
            *files = Files { of, tree };
        }
        // A file that cannot be written is one that the agent cannot read either, and it says why.
        let _ = files.tree.set_uptime(known.boot.uptime_s.unwrap_or_default());
        let mut report = collect(&files.tree.root(), &heard(&known, Instant::now()));
        for (at, (nic, known)) in report.nics.iter_mut().zip(known.nics).enumerate() {
            nic.addresses = known.addresses;
            report.unread.retain(|unread| unread.fact != format!("/nics/{at}/addresses"));
        }
        report
    }

    async fn announce(&self, address: SocketAddr) {
        let Some(url) = &self.cmdline.announce else { return };
        let url: Url = match url.parse() {
            Ok(url) => url,
            Err(error) => return self.world.note(&format!("{}: agent: {error}", self.name)),
        };
        let token = self.cmdline.token.as_ref();
        while let Err(why) = announce_once(&url, token, address, &mut || self.read(None)).await {
            self.world.note(&format!("{}: agent: announcing to {url}: {why}", self.name));
            self.world.sleep(AGAIN).await;
        }
    }
}

/// A report without what changes by itself: what the files are made from.
fn lasting(report: &Report) -> Report {
    let mut report = report.clone();
    report.boot.uptime_s = None;
    for nic in &mut report.nics {
        nic.lldp.clear();
        nic.addresses.clear();
        nic.lldp_listened_s = None;
    }
    report
}

/// What the agent answers, or what a fault makes of it.
async fn answer(State(front): State<Arc<Front>>, request: Request) -> Response {
    let fault = match request.uri().path() {
        "/" => front.world.with(|state| state.faults.agent_reply(&front.name)),
        _ => None,
    };
    match fault {
        Some(AgentReply::Error500) => (StatusCode::INTERNAL_SERVER_ERROR, "error\n").into_response(),
        Some(AgentReply::Nonsense) => ([(header::CONTENT_TYPE, "text/html")], "<html>It works!</html>").into_response(),
        Some(AgentReply::Gigabyte) => Body::from_stream(stream::repeat(Ok::<_, Infallible>(CHUNK))).into_response(),
        Some(AgentReply::Silence) => std::future::pending().await,
        lie @ (None | Some(AgentReply::OtherSerial | AgentReply::OtherMac | AgentReply::OtherPort)) => {
            let token = front.cmdline.token.clone();
            let agent = Agent { report: Box::new(move || front.read(lie)), token };
            match router(agent).oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    }
}
