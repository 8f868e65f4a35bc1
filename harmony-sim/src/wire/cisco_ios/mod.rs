//! A Cisco IOS command line over SSH, in front of one switch of the world.
//!
//! Reads and prints what a Catalyst does; what is asked and done goes through the state of
//! `crate::switch` and `Shared::write`, so writes are recorded and faults strike. What the world has
//! no place for (descriptions, numbers of port-channels, revert timers) is kept here, and is made to
//! agree with the world whenever it is looked at. Time in it is world time.
//!
//! Read next: `session` for what a user sees, `grammar` for what is understood, `config` for what a
//! command does, `show` for what is printed. Source: recorded outputs of Catalyst 2960 to 9500; Cisco
//! IOS Interface and Hardware Component Command Reference.

mod config;
mod device;
mod door;
mod grammar;
mod input;
mod interface;
mod revert;
mod session;
mod show;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use harmony_core::net::SwitchId;
use harmony_core::secret::Secret;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Credentials;
use crate::world::{Shared, World};
use device::Device;

/// How a switch of this family behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Personality {
    /// Whether its configuration has `archive`, without which there is no revert timer.
    pub archive: bool,
    /// Whether its release knows `lacp rate`.
    pub lacp_rate: bool,
    /// Sessions at a time.
    pub lines: usize,
    /// Whether users come in with all privileges, without `enable`.
    pub privileged: bool,
    /// Whether it asks for the password by `keyboard-interactive` alone.
    pub keyboard_interactive: bool,
    /// Whether `terminal length 0` is ignored, so that every answer is paged.
    pub always_pages: bool,
    /// How its answers trickle: bytes at a time, and the world time between them.
    pub trickle: Option<(usize, Duration)>,
    /// What it says before its first prompt.
    pub banner: String,
}

impl Default for Personality {
    /// A Catalyst with IOS-XE as it usually is.
    fn default() -> Self {
        Self {
            archive: true,
            lacp_rate: true,
            lines: 5,
            privileged: false,
            keyboard_interactive: false,
            always_pages: false,
            trickle: None,
            banner: String::new(),
        }
    }
}

/// The host key of a switch: the same in each world, so that a site file can name it.
pub(crate) fn host_key(switch: &SwitchId) -> Option<PrivateKey> {
    let seed: [u8; 32] = Sha256::digest(format!("switch {switch}").as_bytes()).into();
    PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed)), "").ok()
}

/// Answers until it is told to stop.
pub(crate) async fn serve(
    world: Arc<Shared>,
    switch: SwitchId,
    listener: TcpListener,
    credentials: Credentials,
    stop: CancellationToken,
) {
    serve_as(world, switch, listener, credentials, stop, Personality::default()).await;
}

async fn serve_as(
    world: Arc<Shared>,
    switch: SwitchId,
    listener: TcpListener,
    credentials: Credentials,
    stop: CancellationToken,
    personality: Personality,
) {
    let device = Arc::new(Device::new(world, switch, credentials, personality));
    door::serve(device, listener, stop).await;
}

/// One switch of a world on a loopback port of its own, with a personality to choose. It is gone soon
/// after this is dropped.
#[derive(Debug)]
pub struct CiscoIosFront {
    address: SocketAddr,
    _until: DropGuard,
}

impl CiscoIosFront {
    /// User of every such front.
    pub const USER: &str = "harmony";
    /// Its password.
    pub const PASSWORD: &str = "sim-login-pw";
    /// The password of `enable`.
    pub const ENABLE: &str = "sim-enable-pw";

    /// Puts a switch on the wire. Must be called inside a Tokio runtime with I/O whose time is not
    /// paused.
    ///
    /// # Errors
    /// If no loopback port is free.
    pub async fn start(world: &World, switch: SwitchId, personality: Personality) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let until = stop.clone().drop_guard();
        let credentials = Credentials {
            user: Self::USER.to_owned(),
            password: Secret::new(Self::PASSWORD),
            enable: Secret::new(Self::ENABLE),
        };
        let world = Arc::clone(&world.shared);
        tokio::spawn(serve_as(world, switch, listener, credentials, stop, personality));
        Ok(Self { address, _until: until })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
