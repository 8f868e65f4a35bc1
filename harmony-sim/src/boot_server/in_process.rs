//! `harmony-boot` called in place: its routes, its evidence, its refusals, without a socket, a file or a thread.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::uri::PathAndQuery;
use axum::http::{Request, Response, Uri};
use bytes::Bytes;
use harmony_boot::{AgentBinary, BootConfig, BootError, Service, TftpConfig};
use harmony_core::clock::SharedClock;
use harmony_core::store::SharedStore;
use harmony_templates::LiveEnvironment;
use tokio::sync::Mutex;

use super::assets::{ANACONDA_TREE, INITRD, KERNEL, asset_files, tftp_files};
use super::{BootFiles, BootServer, NoAnswer, TftpFailure, agent_binary, files, install_source};
use crate::services::SharedFiles;
use crate::spec::LiveFlavour;

/// TFTP's port, which nothing here listens on.
const TFTP_PORT: u16 = 69;

/// The boot server of a world in process. It starts with the first request.
pub(super) struct InProcess {
    address: SocketAddr,
    files: BootFiles,
    flavour: LiveFlavour,
    store: SharedStore,
    clock: SharedClock,
    /// What is offered besides what every world has.
    fetched: SharedFiles,
    private: SharedFiles,
    /// As of which version of what is fetched it serves. It keeps nothing that is not in the store.
    service: Mutex<Option<(u64, Arc<Service>)>>,
}

impl InProcess {
    pub(super) fn new(
        address: SocketAddr,
        flavour: LiveFlavour,
        store: SharedStore,
        clock: SharedClock,
        fetched: SharedFiles,
        private: SharedFiles,
    ) -> Self {
        let files = BootFiles::of(address);
        Self { address, files, flavour, store, clock, fetched, private, service: Mutex::new(None) }
    }

    /// The server. A store that cannot be read yet is asked again with the next request; when there are new files to
    /// offer, it starts anew.
    async fn service(&self) -> Result<Arc<Service>, BootError> {
        let mut running = self.service.lock().await;
        let (fetched, version) = self.fetched.all();
        if let Some((_, service)) = running.as_ref().filter(|(of, _)| *of == version) {
            return Ok(Arc::clone(service));
        }
        let config = self.config(fetched);
        let service = Arc::new(Service::new(config, self.store.clone(), self.clock.clone()).await?);
        *running = Some((version, Arc::clone(&service)));
        Ok(service)
    }

    fn config(&self, fetched: BTreeMap<String, Bytes>) -> BootConfig {
        let live = match self.flavour {
            LiveFlavour::Initramfs => {
                LiveEnvironment::Initramfs { kernel: KERNEL.to_owned(), initrd: INITRD.to_owned() }
            }
            LiveFlavour::Anaconda => LiveEnvironment::Anaconda { tree: ANACONDA_TREE.to_owned() },
        };
        let listen = SocketAddr::new(self.address.ip(), TFTP_PORT);
        BootConfig {
            http: self.address,
            tftp: Some(TftpConfig { listen, root: files(tftp_files()) }),
            base_url: None,
            assets: files(asset_files().into_iter().chain(fetched)),
            agent: AgentBinary::Memory(agent_binary()),
            authorized_keys: install_source(self.address).ssh_key,
            live,
            live_args: Vec::new(),
            agent_token: None,
            private: Some(Arc::new(self.private.clone())),
        }
    }
}

#[async_trait]
impl BootServer for InProcess {
    fn files(&self) -> &BootFiles {
        &self.files
    }

    async fn http(&self, from: IpAddr, mut request: Request<Body>) -> Result<Response<Body>, NoAnswer> {
        let (address, path) = target(request.uri())?;
        if address.ip() != self.address.ip() {
            return Err(NoAnswer::Silence);
        }
        if address != self.address {
            return Err(NoAnswer::Refused);
        }
        let service = self.service().await.map_err(|_| NoAnswer::Refused)?;
        *request.uri_mut() = path.into();
        Ok(service.http(from, request).await)
    }

    async fn tftp(&self, from: IpAddr, path: &str) -> Result<Bytes, TftpFailure> {
        let service = self.service().await.map_err(|_| TftpFailure::Silence)?;
        service.tftp(from, path).await.map_err(TftpFailure::Refused)
    }
}

/// Whom an absolute URI names, and the rest of it.
pub(super) fn target(uri: &Uri) -> Result<(SocketAddr, PathAndQuery), NoAnswer> {
    if uri.scheme_str() != Some("http") {
        return Err(NoAnswer::Scheme);
    }
    let ip: IpAddr = uri.host().and_then(|host| host.parse().ok()).ok_or(NoAnswer::UnknownHost)?;
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Ok((SocketAddr::new(ip, uri.port_u16().unwrap_or(80)), path))
}
