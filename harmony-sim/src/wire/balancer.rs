//! The site's load balancer on the wire: whoever connects to one of its addresses is passed on to a server that takes
//! part just then, or finds the connection closed.
//!
//! What it listens for and whom it chooses is the state's. Ports below 1024 are not opened, which only root may; what
//! is behind them, the cluster's routers, is not on the wire either.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::loopback::Loopback;
use crate::world::Shared;

/// The first port that anybody may open. Source: Linux `net.ipv4.ip_unprivileged_port_start`.
const UNPRIVILEGED: u16 = 1024;

/// Its listeners, by address; each until it is dropped.
#[derive(Default)]
pub(super) struct Listeners(BTreeMap<SocketAddr, DropGuard>);

impl Listeners {
    /// Opens and closes them, as the balancer is configured now.
    pub(super) async fn follow(&mut self, world: &Arc<Shared>, loopback: &Loopback, stop: &CancellationToken) {
        let mut wanted = world.with(|state| state.balanced_addresses());
        wanted.retain(|at| at.port() >= UNPRIVILEGED && loopback.holds(at.ip()));
        self.0.retain(|at, _| wanted.contains(at));
        for at in wanted {
            if self.0.contains_key(&at) {
                continue;
            }
            let until = stop.child_token();
            match TcpListener::bind(at).await {
                Ok(listener) => drop(tokio::spawn(serve(Arc::clone(world), at, listener, until.clone()))),
                // The one before it has just been told to go.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                Err(error) => world.note(&format!("wire: cannot listen on {at}: {error}")),
            }
            self.0.insert(at, until.drop_guard());
        }
    }
}

async fn serve(world: Arc<Shared>, at: SocketAddr, listener: TcpListener, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((client, from)) => {
                    let server = world.with(|state| state.balance(from.ip(), at));
                    drop(connections.spawn(pass(client, server)));
                }
                // Out of descriptors, say: they come back as connections end.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }
}

/// Passes a connection on until either side ends it.
async fn pass(mut client: TcpStream, server: Option<SocketAddr>) {
    let Some(server) = server else { return };
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    // Small answers to small questions; a stream that is gone already will say so when it is read.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    // However it ends, both sides know as much as we.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
