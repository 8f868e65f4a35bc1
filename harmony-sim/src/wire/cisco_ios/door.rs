//! The SSH server of a switch: a password, one shell a connection.
//!
//! Source: RFC 4252 section 8, RFC 4256 (keyboard-interactive), RFC 4254 section 6.5.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Response, Session as SshSession, run_stream};
use russh::{Channel, ChannelId, MethodKind, MethodSet, Pty};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::device::Device;
use super::session::{End, Session};
use crate::wire::cut::CutStream;

/// What a connection may last without a byte: `exec-timeout` of ten minutes.
const IDLE: Duration = Duration::from_secs(600);
/// What a switch says whose lines are all taken.
const REFUSED: &str = "\r\n% Connection refused by remote host\r\n";

/// Answers until it is told to stop.
pub(super) async fn serve(device: Arc<Device>, listener: TcpListener, stop: CancellationToken) {
    let Some(key) = super::host_key(&device.switch) else { return };
    let method =
        if device.personality.keyboard_interactive { MethodKind::KeyboardInteractive } else { MethodKind::Password };
    let config = Arc::new(Config {
        methods: MethodSet::from(&[method][..]),
        // Nobody guesses passwords of a simulator.
        auth_rejection_time: Duration::ZERO,
        keys: vec![key],
        inactivity_timeout: Some(IDLE),
        ..Config::default()
    });
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // One that failed before it was accepted is for its client to notice.
        let Ok((stream, _)) = accepted else { continue };
        let cut = stop.child_token();
        let stream = CutStream::new(stream, &cut);
        let guest = Guest { device: Arc::clone(&device), cut, channel: None };
        let config = Arc::clone(&config);
        tokio::spawn(async move {
            // Whatever goes wrong between a client and us, the client is told by its end of the connection.
            if let Ok(session) = run_stream(config, stream, guest).await {
                let _ = session.await;
            }
        });
    }
}

/// One connection.
struct Guest {
    device: Arc<Device>,
    cut: CancellationToken,
    channel: Option<Channel<Msg>>,
}

impl Guest {
    fn knows(&self, user: &str, password: &str) -> bool {
        let own = &self.device.credentials;
        let may = self.device.world.log_in("switch", self.device.name()).is_ok();
        may && user == own.user && password == own.password.expose()
    }
}

impl Handler for Guest {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let is_open = !self.device.personality.keyboard_interactive;
        Ok(if is_open && self.knows(user, password) { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        if !self.device.personality.keyboard_interactive {
            return Ok(Auth::reject());
        }
        let Some(mut response) = response else {
            let prompts = vec![(Cow::Borrowed("Password: "), false)];
            let (name, instructions) = (Cow::Borrowed(""), Cow::Borrowed(""));
            return Ok(Auth::Partial { name, instructions, prompts: prompts.into() });
        };
        let typed = response.next().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        Ok(if self.knows(user, &typed) { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut SshSession,
    ) -> Result<(), Self::Error> {
        // A second session in one connection is more than a switch allows.
        if self.channel.is_none() {
            self.channel = Some(channel);
            reply.accept().await;
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut SshSession,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut SshSession) -> Result<(), Self::Error> {
        let Some(channel) = self.channel.take() else { return session.channel_failure(id) };
        session.channel_success(id)?;
        let (device, handle, cut) = (Arc::clone(&self.device), session.handle(), self.cut.clone());
        tokio::spawn(async move {
            if let Some(line) = device.line() {
                // A client that is gone is no concern of the switch's.
                let end = Session::new(device, channel.into_stream()).run().await;
                drop(line);
                if matches!(end, Ok(End::Cut)) {
                    return cut.cancel();
                }
            } else {
                let _ = handle.data(id, REFUSED).await;
            }
            let _ = handle.eof(id).await;
            let _ = handle.close(id).await;
        });
        Ok(())
    }
}
