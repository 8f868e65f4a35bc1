//! Getting a file's bytes: over HTTP with going on where it was cut off, or from a file of this machine.
//!
//! Owns one transfer into a partial file. Whether the bytes are right is for the digest to say ([`super`]).
//! Source: RFC 9110 sections 13.1.5 (`If-Range`), 14 (`Range`, `Content-Range`), 15.5.17 (416).

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::{Client, Response, StatusCode, redirect};

use super::store::{StoreError, failed};
use crate::transport::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A server that says nothing for this long is given up; what came is kept.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest file, in bytes.
const MAX_BYTES: u64 = 32 << 30;
/// Transfers that are cut off in a row without a byte more, before it is given up.
const MAX_EMPTY: u32 = 2;
const COPY_BYTES: usize = 1 << 20;

/// Why there are no bytes.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// A place that is none.
    #[error("`{0}` is no http, https or file URL and no absolute path")]
    Place(String),
    /// No HTTP client.
    #[error("no HTTP client can be made")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer, or it was cut off.
    #[error("the transfer of {url} was cut off after {} MiB", .bytes >> 20)]
    Cut {
        /// From where.
        url: String,
        /// How much there was.
        bytes: u64,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It is refused.
    #[error("{url} answers {status}")]
    Status {
        /// From where.
        url: String,
        /// What it says.
        status: StatusCode,
    },
    /// It is too large.
    #[error("{0} has more than {MAX_BYTES} bytes")]
    TooLarge(String),
    /// A file of ours, or the one that is read.
    #[error(transparent)]
    File(#[from] StoreError),
}

/// Where a file comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    Url(String),
    File(PathBuf),
}

/// Understands a place: `https://…`, `http://…`, `file:///…`, `/…`.
pub(super) fn source(place: &str) -> Result<Source, DownloadError> {
    let is_clean = !place.is_empty() && !place.chars().any(|c| c.is_control());
    let file = place.strip_prefix("file://").unwrap_or(place);
    match place {
        _ if !is_clean => {}
        _ if place.starts_with("http://") || place.starts_with("https://") => return Ok(Source::Url(place.to_owned())),
        _ if file.starts_with('/') => return Ok(Source::File(file.into())),
        _ => {}
    }
    Err(DownloadError::Place(place.chars().take(200).flat_map(char::escape_default).collect()))
}

/// A client that trusts the authorities of this machine, and uses the proxies that its environment names.
pub(super) fn client() -> Result<Client, DownloadError> {
    let tls = tls::trusting_the_machine().map_err(|error| DownloadError::Client(error.into()))?;
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::limited(8))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE_TIMEOUT)
        .http1_only()
        .build()
        .map_err(|error| DownloadError::Client(error.into()))
}

/// How a transfer goes on.
pub(super) struct Transfer<'a> {
    /// Where the bytes go; what is in it is the beginning of the file.
    pub(super) file: &'a mut std::fs::File,
    /// Its path.
    pub(super) path: &'a Path,
    /// Tells how many bytes are there, and of how many.
    pub(super) progress: &'a (dyn Fn(u64, Option<u64>) + Send + Sync),
}

impl Transfer<'_> {
    /// The file beside it that keeps by what the server knows this version.
    fn validator(&self) -> PathBuf {
        self.path.with_added_extension("validator")
    }

    fn length(&self) -> Result<u64, DownloadError> {
        Ok(self.file.metadata().map_err(failed("read", self.path))?.len())
    }

    fn truncate(&mut self, length: u64) -> Result<(), DownloadError> {
        let done = self.file.set_len(length).and_then(|()| self.file.seek(SeekFrom::Start(length)).map(drop));
        Ok(done.map_err(failed("write", self.path))?)
    }

    /// Copies a file of this machine.
    pub(super) fn copy(&mut self, from: &Path) -> Result<(), DownloadError> {
        self.truncate(0)?;
        let mut source = std::fs::File::open(from).map_err(failed("read", from))?;
        let size = source.metadata().map_err(failed("read", from))?.len();
        let (mut buffer, mut done) = (vec![0; COPY_BYTES], 0);
        loop {
            let read = source.read(&mut buffer).map_err(failed("read", from))?;
            if read == 0 {
                return Ok(());
            }
            self.file.write_all(&buffer[..read]).map_err(failed("write", self.path))?;
            done += read as u64;
            (self.progress)(done, Some(size));
        }
    }

    /// Fetches what is missing, and goes on as long as each attempt brings some of it.
    pub(super) async fn fetch(&mut self, client: &Client, url: &str) -> Result<(), DownloadError> {
        let mut empty = 0;
        loop {
            let before = self.length()?;
            match self.attempt(client, url, before).await {
                Err(DownloadError::Cut { source, .. }) if self.length()? > before || empty < MAX_EMPTY => {
                    empty = if self.length()? > before { 0 } else { empty + 1 };
                    // Nobody listens there: asking again at once changes nothing.
                    if source.is_connect() {
                        return Err(DownloadError::Cut { url: url.to_owned(), bytes: self.length()?, source });
                    }
                }
                done => return done,
            }
        }
    }

    async fn attempt(&mut self, client: &Client, url: &str, have: u64) -> Result<(), DownloadError> {
        let cut = |bytes| move |source| DownloadError::Cut { url: url.to_owned(), bytes, source };
        let validator = std::fs::read_to_string(self.validator()).ok().filter(|_| have > 0);
        let mut request = client.get(url);
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
            if let Some(validator) = &validator {
                request = request.header(IF_RANGE, validator.as_str());
            }
        }
        let response = request.send().await.map_err(cut(have))?;
        let start = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if range_start(response.headers()) == Some(have) => have,
            // All of it is here, or it is another file than the one that was begun: the digest tells.
            StatusCode::RANGE_NOT_SATISFIABLE if whole(response.headers()) == Some(have) => return Ok(()),
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                self.truncate(0)?;
                let response = client.get(url).send().await.map_err(cut(0))?;
                if response.status() != StatusCode::OK {
                    return Err(DownloadError::Status { url: url.to_owned(), status: response.status() });
                }
                return self.take(response, url, 0).await;
            }
            status => return Err(DownloadError::Status { url: url.to_owned(), status }),
        };
        self.take(response, url, start).await
    }

    /// Takes the body of an answer from this place on.
    async fn take(&mut self, mut response: Response, url: &str, start: u64) -> Result<(), DownloadError> {
        self.truncate(start)?;
        self.keep_validator(response.headers())?;
        let total = response.content_length().map(|length| start + length);
        if total.is_some_and(|total| total > MAX_BYTES) {
            return Err(DownloadError::TooLarge(url.to_owned()));
        }
        let mut have = start;
        (self.progress)(have, total);
        while let Some(chunk) =
            response.chunk().await.map_err(|source| DownloadError::Cut { url: url.to_owned(), bytes: have, source })?
        {
            self.file.write_all(&chunk).map_err(failed("write", self.path))?;
            have += chunk.len() as u64;
            if have > MAX_BYTES {
                return Err(DownloadError::TooLarge(url.to_owned()));
            }
            (self.progress)(have, total);
        }
        Ok(())
    }

    /// Keeps by what the server knows this version: a strong entity tag, or the time of its change.
    fn keep_validator(&self, headers: &HeaderMap) -> Result<(), DownloadError> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let tag = text(ETAG).filter(|tag| !tag.starts_with("W/"));
        let path = self.validator();
        match tag.or_else(|| text(LAST_MODIFIED)) {
            Some(validator) => std::fs::write(&path, validator).map_err(failed("write", &path))?,
            None => drop(std::fs::remove_file(&path)),
        }
        Ok(())
    }

    /// Forgets how far it was.
    pub(super) fn forget(&self) {
        // What is left of it is overwritten by the next transfer.
        let _ = std::fs::remove_file(self.validator());
    }
}

/// The first byte of a part: `bytes 5-9/10`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// The length of the whole file: `bytes */10`.
fn whole(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes */")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(source("https://h/x").expect("valid"), Source::Url("https://h/x".into()));
        assert_eq!(source("file:///a/b").expect("valid"), Source::File("/a/b".into()));
        assert_eq!(source("/a/b").expect("valid"), Source::File("/a/b".into()));
        for place in ["", "a/b", "ftp://h/x", "file://host/x", "http\n://x"] {
            assert!(source(place).is_err(), "{place}");
        }
    }
}
