//! The agent announces itself: enough to know the host again and where to read its report.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use harmony_core::boot::BootEventKind;
use harmony_core::host::SystemIdentity;
use harmony_core::report::{MAX_ANNOUNCEMENT_BYTES, parse_announcement};
use harmony_core::secret::Secret;
use harmony_core::store::Sighting;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{Boot, Client, Refusal};
use crate::evidence::About;

/// How long the body may take.
const BODY: Duration = Duration::from_secs(10);

/// `POST /announce`. Acknowledged only once it is stored.
pub(super) async fn announce(
    State(boot): State<Arc<Boot>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    let answer = boot.announced(client, request).await;
    boot.finish(client, &path, answer).await
}

impl Boot {
    async fn announced(&self, client: Client, request: Request) -> Result<Response, Refusal> {
        self.has_agent_token(request.headers())?;
        let body = read(request.into_body()).await?;
        let announcement = parse_announcement(&body);
        let announcement =
            announcement.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, harmony_core::error::chain(&error)))?;
        let macs: Vec<_> = announcement.macs.iter().filter_map(|mac| mac.parse().ok()).collect();
        let uuid = announcement.uuid.and_then(|uuid| uuid.parse().ok());
        let identity = SystemIdentity::new(uuid, announcement.serial.as_deref(), macs.iter().copied());
        let mac = macs.first().copied();
        if identity.is_empty() {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "neither UUID, nor serial, nor MAC: nothing identifies the machine",
            ));
        }
        let port = announcement.listen.port();
        // Where it is reached is where it was heard from, not what it says.
        let sighting = Sighting { identity, address: Some(client.0), agent_port: Some(port), at: self.clock.now() };
        let unknown = About { mac, ..About::default() };
        let host = self.store.record_sighting(&sighting).await;
        let host = host.map_err(|error| Refusal::from(error).about(unknown.clone()))?;
        let about = About { host: Some(host), ..unknown };
        self.evidence.saw_of(client.0, about, BootEventKind::Announced { port }).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    /// Source: RFC 6750 section 2.1.
    fn has_agent_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(wanted) = &self.config.agent_token else { return Ok(()) };
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = header.and_then(|value| value.strip_prefix("Bearer ")).map(Secret::new);
        if shown.as_ref() == Some(wanted) {
            return Ok(());
        }
        Err(Refusal::new(StatusCode::FORBIDDEN, "an announcement needs the token that the kernel command line names"))
    }
}

async fn read(body: Body) -> Result<bytes::Bytes, Refusal> {
    let too_large = || {
        let reason = format!("an announcement has at most {MAX_ANNOUNCEMENT_BYTES} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
    };
    // Told before anything is read, where the client says how much is to come.
    if axum::body::HttpBody::size_hint(&body).lower() > MAX_ANNOUNCEMENT_BYTES as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY, Limited::new(body, MAX_ANNOUNCEMENT_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, format!("the announcement did not arrive whole: {error}")))
        }
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the announcement did not arrive in {} s", BODY.as_secs()),
        )),
    }
}
