//! Starting and stopping: sockets, and the tasks that serve them.

use std::net::SocketAddr;

use harmony_core::clock::SharedClock;
use harmony_core::store::SharedStore;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::connection::{self, Patience};
use crate::{BootConfig, BootError, Service, tftp};

/// A running boot server. It stops when it is dropped; [`shutdown`](Self::shutdown) also waits.
#[derive(Debug)]
pub struct BootServer {
    http: SocketAddr,
    tftp: Option<SocketAddr>,
    base_url: String,
    instance: Uuid,
    tasks: Vec<JoinHandle<()>>,
    stop: DropGuard,
}

impl BootServer {
    /// Binds the addresses and begins to serve.
    ///
    /// # Errors
    /// An address that cannot be bound, a file or folder that cannot be read, a base URL or kernel
    /// argument that cannot go into a script, or a store that cannot be read. Nothing runs then.
    pub async fn start(config: BootConfig, store: SharedStore, clock: SharedClock) -> Result<Self, BootError> {
        let listen = |protocol, address| move |source| BootError::Listen { protocol, address, source };
        let listener = TcpListener::bind(config.http).await.map_err(listen("HTTP", config.http))?;
        let http = listener.local_addr().map_err(listen("HTTP", config.http))?;
        let tftp = match &config.tftp {
            None => None,
            Some(tftp) => {
                let socket = UdpSocket::bind(tftp.listen).await.map_err(listen("TFTP", tftp.listen))?;
                Some((socket.local_addr().map_err(listen("TFTP", tftp.listen))?, socket))
            }
        };
        let Service { router, tftp: files, base_url, instance } = Service::at(http, config, store, clock).await?;

        let stop = CancellationToken::new();
        let mut tasks = vec![tokio::spawn(connection::serve(listener, router, stop.clone(), Patience::default()))];
        let tftp = tftp.zip(files).map(|((address, socket), files)| {
            tasks.push(tokio::spawn(tftp::serve(socket, files, stop.clone())));
            address
        });
        Ok(Self { http, tftp, base_url, instance, tasks, stop: stop.drop_guard() })
    }

    /// Where HTTP is answered.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Where TFTP is answered, if it is.
    #[must_use]
    pub fn tftp_addr(&self) -> Option<SocketAddr> {
        self.tftp
    }

    /// How hosts reach it.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// What `GET /healthz` answers after `ok `: another one at each start.
    #[must_use]
    pub fn instance(&self) -> Uuid {
        self.instance
    }

    /// Stops: no new connection is taken, answers under way are finished within three seconds.
    pub async fn shutdown(self) {
        drop(self.stop);
        for task in self.tasks {
            // A task that panicked has stopped, too.
            let _ = task.await;
        }
    }
}
