//! Who is let in: by a session's token, or by user and password each time.
//!
//! Source: DSP0266 clauses "Session login", "HTTP basic authentication"; RFC 7617.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use harmony_core::secret::Secret;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{Service, json as answer};
use crate::random::Random;

/// Where sessions are made.
pub(super) const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";
/// A session that nobody uses ends, in world time.
pub(super) const SESSION_TIMEOUT: Duration = Duration::from_secs(1800);

/// The open sessions.
#[derive(Default)]
pub(super) struct Sessions {
    last: u32,
    open: BTreeMap<u32, Open>,
}

struct Open {
    token: Secret,
    used: Duration,
}

impl Sessions {
    fn forget_old(&mut self, now: Duration) {
        self.open.retain(|_, session| now.saturating_sub(session.used) < SESSION_TIMEOUT);
    }

    /// Their numbers.
    pub(super) fn ids(&mut self, now: Duration) -> Vec<u32> {
        self.forget_old(now);
        self.open.keys().copied().collect()
    }

    fn use_token(&mut self, token: &Secret, now: Duration) -> bool {
        self.forget_old(now);
        let found = self.open.values_mut().find(|session| session.token == *token);
        found.map(|session| session.used = now).is_some()
    }
}

fn unauthorized(id: &'static str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, id, "The login was not successful, because the credentials are wrong.")
}

/// Refuses who is not logged in.
pub(super) fn check(service: &Service, headers: &HeaderMap) -> Result<(), Refusal> {
    let now = service.world.now();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(token) = text("x-auth-token") {
        let token = Secret::new(token);
        let is_open = service.own(|own| own.sessions.use_token(&token, now));
        return if is_open { Ok(()) } else { Err(unauthorized("Base.1.4.NoValidSession")) };
    }
    let basic = text("authorization").and_then(|value| value.strip_prefix("Basic ")).and_then(decode);
    let Some((user, password)) = basic.as_deref().and_then(|pair| pair.split_once(':')) else {
        return Err(unauthorized("Base.1.4.NoValidSession"));
    };
    knows(service, user, password)
}

fn knows(service: &Service, user: &str, password: &str) -> Result<(), Refusal> {
    let wrong = || unauthorized("Base.1.4.ResourceAtUriUnauthorized");
    let is_known = user == service.credentials.user && Secret::new(password) == service.credentials.password;
    let is_refused = service.world.log_in("bmc", service.bmc.as_str()).is_err();
    if is_known && !is_refused { Ok(()) } else { Err(wrong()) }
}

/// Opens a session.
pub(super) fn log_in(service: &Service, body: &Value) -> Result<Response, Refusal> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    knows(service, text("UserName"), text("Password"))?;
    let now = service.world.now();
    let opened = service.own(|own| {
        own.sessions.forget_old(now);
        if own.sessions.open.len() >= service.personality.max_sessions() {
            return None;
        }
        own.sessions.last += 1;
        let id = own.sessions.last;
        // Nobody guards anything here: a token only has to differ.
        let mut random = Random::new(u64::from(id), service.bmc.as_str());
        let token = format!("{:016x}{:016x}", random.next(), random.next());
        own.sessions.open.insert(id, Open { token: Secret::new(token.as_str()), used: now });
        Some((id, token))
    });
    let Some((id, token)) = opened else {
        let text = "The session establishment failed due to the number of simultaneous sessions exceeding the limit.";
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "Base.1.4.SessionLimitExceeded", text);
        return Err(refusal.again_after(1));
    };
    let path = format!("{SESSIONS}/{id}");
    let mut response = answer(StatusCode::CREATED, &session(id, &service.credentials.user));
    let location =
        if service.personality.sends_absolute_locations() { format!("{}{path}", service.base) } else { path };
    let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    response.headers_mut().insert(header::LOCATION, value(&location));
    response.headers_mut().insert("X-Auth-Token", value(&token));
    Ok(response)
}

/// A session as a resource.
pub(super) fn session(id: u32, user: &str) -> Value {
    json!({
        "@odata.id": format!("{SESSIONS}/{id}"), "@odata.type": "#Session.v1_1_0.Session",
        "Id": id.to_string(), "Name": "User Session", "UserName": user,
    })
}

/// Closes a session.
pub(super) fn log_out(service: &Service, path: &str) -> Result<Response, Refusal> {
    let id = path.strip_prefix(SESSIONS).and_then(|rest| rest.strip_prefix('/')).and_then(|id| id.parse().ok());
    let was_open = id.is_some_and(|id: u32| service.own(|own| own.sessions.open.remove(&id).is_some()));
    if was_open {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Refusal::new(StatusCode::NOT_FOUND, "Base.1.4.ResourceMissingAtURI", path))
    }
}

/// Base64. Source: RFC 4648 section 4.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, held) = ((bits << 6 | u32::from(value)) & 0xffff, held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        for (text, plain) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9vYmFy", "foobar"), ("YWRtaW46PC8+", "admin:</>")]
        {
            assert_eq!(decode(text).as_deref(), Some(plain), "{text}");
        }
        assert_eq!(decode("Zm9v!"), None);
    }
}
