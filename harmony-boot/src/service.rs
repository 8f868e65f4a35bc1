//! Everything of a boot server but its sockets: routes, files, evidence, on one store.
//!
//! [`BootServer`](crate::BootServer) puts it behind sockets. A simulated world calls it in place: with
//! [`Files::Memory`](crate::Files) and [`AgentBinary::Memory`](crate::AgentBinary) it opens no file
//! and uses no thread, so that it takes no time that the world does not know of.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use harmony_core::clock::SharedClock;
use harmony_core::store::SharedStore;
use harmony_templates::urls;
use tower::util::ServiceExt;
use uuid::Uuid;

use crate::agent::Agent;
use crate::evidence::Evidence;
use crate::files::Root;
use crate::http::{self, Boot, Client};
use crate::{BootConfig, BootError, tftp};

/// A boot server without sockets.
#[derive(Clone)]
pub struct Service {
    pub(crate) router: Router,
    pub(crate) tftp: Option<tftp::Files>,
    pub(crate) base_url: String,
    /// Tells this start of a server from any other.
    pub(crate) instance: Uuid,
}

impl Service {
    /// Prepares to serve. Of the configuration's addresses, only the one of HTTP matters: it is what
    /// scripts name where no base URL is set.
    ///
    /// # Errors
    /// A file or folder that cannot be read, a base URL or kernel argument that cannot go into a script,
    /// no address that scripts could name, or a store that cannot be read.
    pub async fn new(config: BootConfig, store: SharedStore, clock: SharedClock) -> Result<Self, BootError> {
        let http = config.http;
        Self::at(http, config, store, clock).await
    }

    /// The same, where the address of HTTP is known to be this one.
    pub(crate) async fn at(
        http: SocketAddr,
        config: BootConfig,
        store: SharedStore,
        clock: SharedClock,
    ) -> Result<Self, BootError> {
        let assets = Root::open(&config.assets)?;
        let agent = Agent::read(&config.agent).await?;
        let evidence = Arc::new(Evidence::of(Arc::clone(&store), Arc::clone(&clock)).await?);
        let base_url = match &config.base_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None if http.ip().is_unspecified() => return Err(BootError::NoBaseUrl(http)),
            None => urls::base(http),
        };
        let root = config.tftp.as_ref().map(|tftp| Root::open(&tftp.root)).transpose()?;
        let tftp = root.map(|root| tftp::Files { root, evidence: Arc::clone(&evidence) });
        let boot = Boot::new(config, base_url.clone(), assets, agent, store, clock, evidence)?;
        let instance = boot.instance;
        Ok(Self { router: http::router(boot), tftp, base_url, instance })
    }

    /// Answers a request as if it had come over a connection from this address.
    pub async fn http(&self, from: IpAddr, mut request: Request<Body>) -> Response<Body> {
        request.extensions_mut().insert(Client(from));
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// What a TFTP client at this address gets for a path.
    ///
    /// # Errors
    /// The reason that the server gives for a refusal, as it goes into the ERROR packet.
    pub async fn tftp(&self, from: IpAddr, path: &str) -> Result<Bytes, String> {
        match &self.tftp {
            Some(files) => files.read(from, path).await,
            None => Err("there is no TFTP server".to_owned()),
        }
    }

    /// How hosts reach it.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }
}
