//! A login at a BMC, from the first request to the last: it is closed again however the work ends, since
//! BMCs have few sessions and keep forgotten ones for half an hour.
//!
//! Owns who we are, what is asked again, and the [`WriteLog`]. Logging in and out is not in it: it
//! changes nothing of the machine. Does not know what a resource means.

use std::time::Duration;

use harmony_core::error::FailureKind;
use harmony_core::host::BmcId;
use harmony_core::secret::Secret;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::DRIVER;
use super::client::{Answer, Auth, Client, Request};
use super::error::RedfishError;
use super::quirks::Quirks;
use super::resource::{Collection, Link, Messages, ResourcePath};
use crate::WriteLog;

/// Most members of a collection that are read: a chassis has some dozens of systems, a server some
/// dozens of NICs.
const MAX_MEMBERS: usize = 256;
/// Most pages that they come on.
const MAX_PAGES: usize = 64;
/// Time to close a session that nobody waits for any more.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long a BMC is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// One request, from the first packet to the last byte.
    pub request: Duration,
    /// Before a question is asked again, at first; it doubles.
    pub pause: Duration,
    /// Longest such pause, also where the BMC asks for more.
    pub longest_pause: Duration,
    /// All attempts at one read.
    pub read: Duration,
    /// All attempts at one write that the BMC cannot take now: iLO's POST, iDRAC's running jobs.
    pub busy: Duration,
    /// From a reset to the power state that it leads to, and from a task's start to its end. A BMC may
    /// show the old state, or nothing, for a quarter of a minute.
    pub follow: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(30),
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(5),
            read: Duration::from_secs(8),
            busy: Duration::from_secs(60),
            follow: Duration::from_secs(60),
        }
    }
}

/// Who visits which BMC.
pub(super) struct Visitor {
    pub(super) bmc: BmcId,
    pub(super) user: String,
    pub(super) password: Secret,
    pub(super) patience: Patience,
    pub(super) writes: WriteLog,
}

/// A login.
pub(super) struct Session {
    client: Client,
    visitor: Visitor,
    auth: Auth,
    quirks: Option<Quirks>,
    /// Where sessions are made, if there is such a place.
    sessions: Option<ResourcePath>,
    /// The one that is to be closed.
    open: Option<ResourcePath>,
}

impl Session {
    /// Nothing is sent yet, and nobody logged in.
    pub(super) fn new(client: Client, visitor: Visitor) -> Self {
        Self { client, visitor, auth: Auth::Nobody, quirks: None, sessions: None, open: None }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn patience(&self) -> Patience {
        self.visitor.patience
    }

    pub(super) fn quirks(&self) -> Option<Quirks> {
        self.quirks
    }

    /// From now on refusals are understood in this vendor's words.
    pub(super) fn set_quirks(&mut self, quirks: Quirks) {
        self.quirks = Some(quirks);
    }

    fn kind(&self, error: &RedfishError) -> FailureKind {
        error.kind(self.quirks)
    }

    /// User and password with each request.
    pub(super) fn use_basic(&mut self) {
        self.auth = Auth::Basic(self.visitor.user.clone(), self.visitor.password.clone());
    }

    /// Logs in: by a session where there is a service for it, else by user and password each time.
    /// Source: DSP0266 clause "Session login".
    pub(super) async fn login(&mut self, sessions: Option<&ResourcePath>) -> Result<(), RedfishError> {
        self.sessions = sessions.cloned();
        let Some(path) = sessions else {
            self.use_basic();
            return Ok(());
        };
        let body = json!({ "UserName": self.visitor.user, "Password": self.visitor.password.expose() });
        let request = Request { method: Method::POST, path, body: Some(&body), if_match: None };
        let (started, mut pause) = (Instant::now(), self.visitor.patience.pause);
        let answer = loop {
            let error = match self.client.send(&request, &Auth::Nobody).await {
                Ok(answer) => break answer,
                Err(error) => error,
            };
            let RedfishError::Status { status, messages, .. } = &error else { return Err(error) };
            let (status, messages) = (*status, messages.clone().without(self.visitor.password.expose()));
            if matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) {
                self.use_basic();
                return Ok(());
            }
            if messages.has(&[PASSWORD_CHANGE]) {
                return Err(RedfishError::PasswordChangeRequired { user: self.visitor.user.clone() });
            }
            let wait = self.pause_before_retry(&error, &mut pause);
            if self.kind(&error) != FailureKind::Transient || started.elapsed() + wait > self.visitor.patience.read {
                // iLO says it with 400.
                let is_wrong = messages.has(&["UnauthorizedLoginAttempt"]);
                let status = if is_wrong { StatusCode::UNAUTHORIZED } else { status };
                return Err(RedfishError::Login { user: self.visitor.user.clone(), status, messages });
            }
            sleep(wait).await;
        };
        self.open = match &answer.location {
            Some(location) => ResourcePath::of_location(location).ok(),
            // Some leave the header out.
            None => serde_json::from_value(answer.body.clone()).ok().map(|link: Link| link.path),
        };
        match answer.token {
            Some(token) => self.auth = Auth::Token(token),
            None => self.use_basic(),
        }
        if Messages::of(&answer.body).has(&[PASSWORD_CHANGE]) {
            return Err(RedfishError::PasswordChangeRequired { user: self.visitor.user.clone() });
        }
        Ok(())
    }

    fn pause_before_retry(&self, error: &RedfishError, pause: &mut Duration) -> Duration {
        let patience = self.visitor.patience;
        let wait = error.retry_after().unwrap_or(*pause).min(patience.longest_pause);
        *pause = (*pause * 2).min(patience.longest_pause);
        wait
    }

    /// Asks until there is an answer, or no hope of one: reads while the BMC fails or the connection
    /// breaks, writes only while the BMC says that it cannot now. An expired session is renewed once.
    async fn ask(&mut self, request: &Request<'_>) -> Result<Answer, RedfishError> {
        let is_read = request.method == Method::GET;
        let limit = if is_read { self.visitor.patience.read } else { self.visitor.patience.busy };
        let (started, mut pause, mut is_renewed) = (Instant::now(), self.visitor.patience.pause, false);
        loop {
            if !is_read {
                let body = request.body.map(Value::to_string).unwrap_or_default();
                let line = format!("{} {} {body}", request.method, request.path);
                self.visitor.writes.record(DRIVER, self.visitor.bmc.as_str(), line.trim_end());
            }
            let error = match self.client.send(request, &self.auth).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if let RedfishError::Status { status, messages, .. } = &error {
                let user = || self.visitor.user.clone();
                if messages.has(&[PASSWORD_CHANGE]) {
                    return Err(RedfishError::PasswordChangeRequired { user: user() });
                }
                match (*status, &self.auth) {
                    // It expired, or iLO has one of its moments.
                    (StatusCode::UNAUTHORIZED, Auth::Token(_)) if !is_renewed => {
                        is_renewed = true;
                        self.open = None;
                        let sessions = self.sessions.clone();
                        self.login(sessions.as_ref()).await?;
                        continue;
                    }
                    (StatusCode::UNAUTHORIZED, Auth::Token(_) | Auth::Basic(..)) => {
                        return Err(RedfishError::Login { user: user(), status: *status, messages: messages.clone() });
                    }
                    _ => {}
                }
            }
            let is_hopeful = match (&error, is_read) {
                (RedfishError::Cut { .. }, true) => true,
                (RedfishError::Status { status, messages, .. }, false) => {
                    matches!(*status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
                        || self.quirks.is_some_and(|quirks| quirks.is_busy(messages))
                }
                (error, true) => self.kind(error) == FailureKind::Transient,
                (_, false) => false,
            };
            let wait = self.pause_before_retry(&error, &mut pause);
            if !is_hopeful || started.elapsed() + wait > limit {
                return Err(error);
            }
            sleep(wait).await;
        }
    }

    /// Reads what is at a path, whatever it is.
    pub(super) async fn get(&mut self, path: &ResourcePath) -> Result<Answer, RedfishError> {
        self.ask(&Request::get(path)).await
    }

    /// Reads a resource, with its entity tag.
    pub(super) async fn read<T: DeserializeOwned>(
        &mut self,
        path: &ResourcePath,
    ) -> Result<(T, Option<String>), RedfishError> {
        let answer = self.get(path).await?;
        let tag = answer.body.get("@odata.etag").and_then(Value::as_str).map(str::to_owned);
        let shape = |source| RedfishError::Shape { path: path.clone(), source };
        if !answer.body.is_object() {
            // serde would take the values of an array for those of the fields.
            return Err(shape(serde::de::Error::custom("it is no object")));
        }
        Ok((serde_json::from_value(answer.body).map_err(shape)?, answer.etag.or(tag)))
    }

    /// The members of a collection, through all its pages.
    pub(super) async fn members(&mut self, path: &ResourcePath) -> Result<Vec<ResourcePath>, RedfishError> {
        let endless = || RedfishError::EndlessCollection { path: path.clone(), max_members: MAX_MEMBERS };
        let (mut members, mut page) = (Vec::new(), path.clone());
        for _ in 0..MAX_PAGES {
            let (collection, _): (Collection, _) = self.read(&page).await?;
            members.extend(collection.members.into_iter().flatten().map(|link| link.path));
            if members.len() > MAX_MEMBERS {
                return Err(endless());
            }
            match collection.next {
                Some(next) => page = next,
                None => return Ok(members),
            }
        }
        Err(endless())
    }

    /// Sends a change of what has this entity tag. The strong form of a weak tag is sent first, since
    /// `If-Match` never matches a weak one; `verbatim` sends it as it came, for BMCs that compare texts.
    /// Source: RFC 9110 section 13.1.1; openstack/sushy `connector.py`.
    pub(super) async fn patch(
        &mut self,
        path: &ResourcePath,
        body: &Value,
        etag: Option<&str>,
        verbatim: bool,
    ) -> Result<Answer, RedfishError> {
        let if_match = etag.map(|etag| if verbatim { etag } else { etag.strip_prefix("W/").unwrap_or(etag) });
        self.ask(&Request { method: Method::PATCH, path, body: Some(body), if_match }).await
    }

    /// Asks for an action.
    pub(super) async fn post(&mut self, path: &ResourcePath, body: &Value) -> Result<Answer, RedfishError> {
        self.ask(&Request { method: Method::POST, path, body: Some(body), if_match: None }).await
    }

    /// Logs out. A BMC that does not want to hear of it forgets the session by itself.
    pub(super) async fn close(mut self) {
        if let Some(path) = self.open.clone() {
            let request = Request { method: Method::DELETE, path: &path, body: None, if_match: None };
            let _ = timeout(FAREWELL, self.client.send(&request, &self.auth)).await;
            self.open = None;
        }
    }
}

/// Source: DSP0266 clause "Password change required handling"; DSP2065 `Base` registry.
const PASSWORD_CHANGE: &str = "PasswordChangeRequired";

impl Drop for Session {
    /// Whoever gave up in the middle (Ctrl-C, a step's deadline) still logs out, if time allows.
    fn drop(&mut self) {
        let (Some(path), Ok(runtime)) = (self.open.take(), tokio::runtime::Handle::try_current()) else { return };
        let (client, auth) = (self.client.clone(), self.auth.clone());
        runtime.spawn(async move {
            let request = Request { method: Method::DELETE, path: &path, body: None, if_match: None };
            let _ = timeout(FAREWELL, client.send(&request, &auth)).await;
        });
    }
}
