//! The SSH server of a system that runs on a machine: public keys only, one command a channel.
//!
//! What commands answer is for `crate::machine::shell`. A command that restarts the machine is never answered:
//! the connection is cut with the machine. Source: RFC 4252 section 7, RFC 4254 section 6.5.

use std::sync::Arc;
use std::time::Duration;

use harmony_core::capability::CommandOutput;
use russh::keys::PublicKey;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, Session, VerifiedPublicKey, run_stream};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::cut::CutListener;
use crate::machine::{Machine, Running, Said, say};
use crate::world::Shared;

/// Longest command line, in bytes.
const MAX_COMMAND: usize = 64 << 10;
/// What a connection may last without a byte.
const IDLE: Duration = Duration::from_secs(600);
/// The user of a live environment.
const ROOT: &str = "root";

/// The host key of the system that runs on a machine, if one does: an installed system keeps its own, a live
/// environment makes a new one at each boot.
pub(super) fn host_key(machine: &Machine) -> Option<PrivateKey> {
    let seed = match (&machine.running, machine.system()) {
        (Running::Live { boot_id, .. }, _) => boot_id.into_bytes(),
        (Running::System { .. }, Some(system)) => Uuid::from_u64_pair(system.host_key, system.host_key).into_bytes(),
        _ => return None,
    };
    let pair = Ed25519Keypair::from_seed(&[seed, seed].concat().try_into().ok()?);
    PrivateKey::new(KeypairData::Ed25519(pair), "").ok()
}

/// Whether a key opens this user of the system that runs.
fn opens(machine: &Machine, user: &str, shown: &PublicKey) -> bool {
    let is_it = |line: &str| PublicKey::from_openssh(line.trim()).is_ok_and(|key| key.key_data() == shown.key_data());
    match (&machine.running, machine.system()) {
        (Running::Live { .. }, _) => user == ROOT && machine.live.authorized_keys.lines().any(is_it),
        (_, Some(system)) => system.authorized_keys.iter().any(|(name, line)| name == user && is_it(line)),
        _ => false,
    }
}

/// Answers until it is told to stop. `boot_id` is that of the system that opened the door.
pub(super) async fn serve(
    world: Arc<Shared>,
    id: usize,
    boot_id: Uuid,
    host_key: PrivateKey,
    listener: CutListener,
    stop: CancellationToken,
) {
    let config = Arc::new(Config {
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        // Nobody guesses keys.
        auth_rejection_time: Duration::ZERO,
        keys: vec![host_key],
        inactivity_timeout: Some(IDLE),
        ..Config::default()
    });
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            stream = listener.accept() => stream,
        };
        // One that failed before it was accepted is for its client to notice.
        let Ok(stream) = stream else { continue };
        let guest = Guest { world: Arc::clone(&world), id, boot_id };
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
    world: Arc<Shared>,
    id: usize,
    boot_id: Uuid,
}

impl Handler for Guest {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let (name, opens) = self.world.with(|state| {
            let machine = &state.machines[self.id];
            let is_it = machine.running.boot_id() == Some(self.boot_id);
            (machine.name.clone(), is_it && opens(machine, user, key.public_key))
        });
        let may = self.world.log_in("host", &name).is_ok();
        Ok(if opens && may { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if command.len() > MAX_COMMAND {
            return session.channel_failure(channel);
        }
        session.channel_success(channel)?;
        let command = String::from_utf8_lossy(command).into_owned();
        let (world, id, boot_id, handle) = (Arc::clone(&self.world), self.id, self.boot_id, session.handle());
        // Beside the session, which goes on answering keepalives.
        tokio::spawn(async move {
            if let Some(output) = run(&world, id, boot_id, &command).await {
                tell(&handle, channel, output).await;
            }
            let _ = handle.close(channel).await;
        });
        Ok(())
    }
}

/// Runs a command. None if it restarted the machine, or the system that was asked no longer runs.
async fn run(world: &Shared, id: usize, boot_id: Uuid, command: &str) -> Option<CommandOutput> {
    world.ask().await;
    let (now, clocks) = (world.now(), world.clocks());
    let (said, name) = world.with(|state| {
        let machine = &state.machines[id];
        let runs_still = machine.running.boot_id() == Some(boot_id);
        runs_still.then(|| (say(state, id, command, now, clocks), machine.name.clone()))
    })?;
    match said {
        Said::Output(output) => Some(output),
        // An answer that a fault loses is lost here too.
        Said::Wipes(disks) => world.wipe_over_ssh(id, &name, &disks).await.ok(),
        Said::Restarts => {
            let _ = world.restart_over_ssh(id, &name).await;
            None
        }
    }
}

/// A client that is gone hears nothing.
async fn tell(handle: &Handle, channel: ChannelId, output: CommandOutput) {
    let _ = handle.data(channel, output.stdout.into_bytes()).await;
    let _ = handle.extended_data(channel, 1, output.stderr.into_bytes()).await;
    if let Some(status) = output.status {
        let _ = handle.exit_status_request(channel, status).await;
    }
    let _ = handle.eof(channel).await;
}
