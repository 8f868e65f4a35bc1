//! Static files: kernels, initramfs, images. Streamed, in parts if asked for; no listings.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use harmony_core::boot::BootEventKind;
use harmony_templates::urls;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::range::{Part, part};
use super::{Boot, Client, Refusal, is_head};
use crate::evidence::Evidence;
use crate::files::{FileRefusal, Served};

/// What is read at once, in bytes.
const CHUNK_BYTES: usize = 128 << 10;

/// `GET` or `HEAD /os/{path}`.
pub(super) async fn asset(
    State(boot): State<Arc<Boot>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Response {
    let (request, _) = request.into_parts();
    let answer = boot.asset(client, &request).await;
    boot.finish(client, request.uri.path(), answer).await
}

impl From<FileRefusal> for Refusal {
    fn from(refusal: FileRefusal) -> Self {
        let status = match refusal {
            FileRefusal::Odd(_) => StatusCode::BAD_REQUEST,
            FileRefusal::NotFound => StatusCode::NOT_FOUND,
            FileRefusal::Unreadable(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, refusal.to_string())
    }
}

impl Boot {
    async fn asset(&self, client: Client, request: &Parts) -> Result<Response, Refusal> {
        let encoded = request.uri.path().strip_prefix(urls::ASSETS).unwrap_or_default();
        let path = percent_decode_str(encoded).decode_utf8().map_err(|_| FileRefusal::Odd("is not UTF-8"))?;
        let served = self.assets.file(&path).await?;
        let (head, size_bytes) = (is_head(&request.method), served.size_bytes);
        let etag = format!("\"{}\"", served.version);
        if is_fresh(&request.headers, &etag) {
            return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
        }
        // Section 14.2 of RFC 9110: ranges are for GET alone.
        let wanted = if head { Part::Whole } else { part(range(&request.headers, &etag), size_bytes) };
        let (status, first, length_bytes, content_range) = match wanted {
            Part::Whole => (StatusCode::OK, 0, size_bytes, None),
            Part::Range(first, last) => (
                StatusCode::PARTIAL_CONTENT,
                first,
                last - first + 1,
                Some(format!("bytes {first}-{last}/{size_bytes}")),
            ),
            Part::Unsatisfiable => {
                let headers = [(header::CONTENT_RANGE, format!("bytes */{size_bytes}"))];
                return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
            }
        };
        let body = if head {
            Body::empty()
        } else {
            if first == 0 {
                // Evidence is no condition for what is no secret.
                let kind = BootEventKind::Asset { path: path.to_string(), complete: false };
                let _ = self.evidence.saw(client.0, kind).await;
            }
            let last = (first + length_bytes == size_bytes).then(|| Last {
                evidence: Arc::clone(&self.evidence),
                client: client.0,
                path: path.to_string(),
            });
            stream_of(served, first, length_bytes, last).await?
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let mut set = |name: HeaderName, value: String| {
            // Numbers and hex digits: always a valid value.
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        };
        set(header::CONTENT_TYPE, "application/octet-stream".to_owned());
        set(header::ACCEPT_RANGES, "bytes".to_owned());
        set(header::CONTENT_LENGTH, length_bytes.to_string());
        set(header::ETAG, etag);
        if let Some(range) = content_range {
            set(header::CONTENT_RANGE, range);
        }
        Ok(response)
    }
}

/// Whether the client has this version. Source: RFC 9110 section 13.1.2.
fn is_fresh(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    known.is_some_and(|known| {
        known.split(',').any(|tag| matches!(tag.trim().trim_start_matches("W/"), "*") || tag.trim() == etag)
    })
}

/// The range asked for, unless it is of another version. Source: RFC 9110 section 13.1.5.
fn range<'a>(headers: &'a HeaderMap, etag: &str) -> Option<&'a str> {
    let same = headers.get(header::IF_RANGE).is_none_or(|version| version.as_bytes() == etag.as_bytes());
    headers.get(header::RANGE).filter(|_| same).and_then(|range| range.to_str().ok())
}

/// What is told when the last byte has been handed over.
struct Last {
    evidence: Arc<Evidence>,
    client: IpAddr,
    path: String,
}

impl Last {
    /// In a task of its own: hyper drops the body as soon as it has all of its bytes.
    fn told(self) {
        tokio::spawn(async move {
            let kind = BootEventKind::Asset { path: self.path, complete: true };
            // As above.
            let _ = self.evidence.saw(self.client, kind).await;
        });
    }
}

async fn stream_of(served: Served, first: u64, length_bytes: u64, last: Option<Last>) -> Result<Body, Refusal> {
    let mut contents = served.contents;
    if first > 0 {
        contents.seek(std::io::SeekFrom::Start(first)).await.map_err(FileRefusal::Unreadable)?;
    }
    if length_bytes == 0 {
        if let Some(last) = last {
            last.told();
        }
        return Ok(Body::empty());
    }
    let chunks = stream::try_unfold((contents, length_bytes, last), |(mut contents, left, mut last)| async move {
        if left == 0 {
            return Ok(None);
        }
        let wanted = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let mut chunk = bytes::BytesMut::with_capacity(wanted);
        let read = (&mut contents).take(wanted as u64).read_buf(&mut chunk).await?;
        if read == 0 {
            // It was cut while it was being served: the connection is closed, so that it shows.
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        }
        let left = left - read as u64;
        if left == 0
            && let Some(last) = last.take()
        {
            last.told();
        }
        Ok(Some((Bytes::from(chunk), (contents, left, last))))
    });
    Ok(Body::from_stream(chunks))
}
