//! The mirror that clusters are installed from: [`scos_files`] over HTTP, for whoever fetches them to serve them himself.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::boot_server::scos_files;
use crate::openshift_install::BootFile;

/// Port of the mirror: one that anybody may open.
pub(super) const PORT: u16 = 8081;

/// Kernel, initramfs and root file system, as a mirror at this address offers them.
pub(super) fn boot_files(at: SocketAddr) -> [BootFile; 3] {
    scos_files().map(|(url, file)| BootFile::new(format!("http://{at}{}", path(&url)), &file))
}

/// Offers them until it is told to stop.
pub(super) async fn serve(listener: TcpListener, stop: CancellationToken) {
    let files: BTreeMap<String, _> = scos_files().into_iter().map(|(url, file)| (path(&url), file)).collect();
    let app = Router::new().fallback(move |uri: Uri| {
        let found = files.get(uri.path()).cloned();
        async move { found.ok_or(StatusCode::NOT_FOUND).into_response() }
    });
    // Whoever listens has nobody to tell why he cannot go on.
    let _ = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await;
}

/// The path of a file of the mirror.
fn path(url: &str) -> String {
    let name = url.rsplit_once('/').map_or(url, |(_, name)| name);
    format!("/scos/{name}")
}
