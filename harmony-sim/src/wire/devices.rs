//! BMCs and switches on the wire: each at an address of its own in the upper half of the prefix, with a user and
//! passwords that nobody else has.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use harmony_core::host::BmcId;
use harmony_core::net::SwitchId;
use harmony_core::secret::Secret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::https::Certificate;
use super::loopback::Loopback;
use super::{Credentials, WireError, cisco_ios, mirror, redfish};
use crate::random::Random;
use crate::world::Shared;

/// HTTPS, on a port that anybody may open.
const BMC_PORT: u16 = 8443;
/// SSH, likewise.
const SWITCH_PORT: u16 = 2222;
/// The user of every device.
const USER: &str = "harmony";

/// How a BMC is reached, for `[bmc.NAME]` of a site file with driver `redfish`.
#[derive(Debug, Clone)]
pub struct BmcEndpoint {
    /// Its name in the site.
    pub bmc: BmcId,
    /// Address and TCP port of its HTTPS server.
    pub address: SocketAddr,
    /// Who may log in.
    pub user: String,
    /// With which password.
    pub password: Secret,
    /// SHA-256 of its certificate's DER form, in hexadecimal digits.
    pub certificate_sha256: String,
}

/// How a switch is reached, for `[switch.NAME]` of a site file with driver `cisco_ios`.
#[derive(Debug, Clone)]
pub struct SwitchEndpoint {
    /// Its name in the site.
    pub switch: SwitchId,
    /// Address and TCP port of its SSH server.
    pub address: SocketAddr,
    /// Who may log in.
    pub user: String,
    /// With which password.
    pub password: Secret,
    /// The password of `enable`.
    pub enable_password: Secret,
    /// Its host key, in OpenSSH's format.
    pub host_key: String,
}

/// Puts devices on the wire, one after the other.
pub(super) struct Devices<'a> {
    pub(super) world: &'a Arc<Shared>,
    pub(super) loopback: &'a Loopback,
    pub(super) stop: &'a CancellationToken,
    /// Addresses given so far.
    pub(super) given: usize,
}

impl Devices<'_> {
    /// The mirror that clusters are installed from; its address.
    pub(super) async fn mirror(&mut self) -> Result<SocketAddr, WireError> {
        let (address, listener) = self.listen("the mirror", mirror::PORT).await?;
        tokio::spawn(mirror::serve(listener, self.stop.clone()));
        Ok(address)
    }

    /// Every BMC, sorted by name.
    pub(super) async fn bmcs(&mut self) -> Result<Vec<BmcEndpoint>, WireError> {
        let mut names: Vec<BmcId> =
            self.world.with(|state| state.machines.iter().filter_map(|machine| machine.bmc.clone()).collect());
        names.sort();
        let mut bmcs = Vec::new();
        for bmc in names {
            let device = format!("BMC {bmc}");
            let (address, listener) = self.listen(&device, BMC_PORT).await?;
            let certificate = Certificate::self_signed(&address.ip().to_string());
            let failed = |error| WireError::Listen { device: device.clone(), address, source: io::Error::other(error) };
            let certificate = certificate.map_err(failed)?;
            let credentials = self.credentials(&device);
            bmcs.push(BmcEndpoint {
                bmc: bmc.clone(),
                address,
                user: credentials.user.clone(),
                password: credentials.password.clone(),
                certificate_sha256: certificate.sha256().to_owned(),
            });
            let (world, stop) = (Arc::clone(self.world), self.stop.clone());
            tokio::spawn(redfish::serve(world, bmc, listener, certificate, credentials, stop));
        }
        Ok(bmcs)
    }

    /// Every switch, sorted by name.
    pub(super) async fn switches(&mut self) -> Result<Vec<SwitchEndpoint>, WireError> {
        let names: Vec<SwitchId> = self.world.with(|state| state.switches.keys().cloned().collect());
        let mut switches = Vec::new();
        for switch in names {
            let device = format!("switch {switch}");
            let (address, listener) = self.listen(&device, SWITCH_PORT).await?;
            let key = cisco_ios::host_key(&switch).and_then(|key| key.public_key().to_openssh().ok());
            let no_key =
                || WireError::Listen { device: device.clone(), address, source: io::Error::other("no host key") };
            let host_key = key.ok_or_else(no_key)?;
            let credentials = self.credentials(&device);
            switches.push(SwitchEndpoint {
                switch: switch.clone(),
                address,
                user: credentials.user.clone(),
                password: credentials.password.clone(),
                enable_password: credentials.enable.clone(),
                host_key,
            });
            let (world, stop) = (Arc::clone(self.world), self.stop.clone());
            tokio::spawn(cisco_ios::serve(world, switch, listener, credentials, stop));
        }
        Ok(switches)
    }

    /// A listener at the next address.
    async fn listen(&mut self, device: &str, port: u16) -> Result<(SocketAddr, TcpListener), WireError> {
        let ip = self.loopback.device(self.given).ok_or(WireError::TooMany(self.given))?;
        self.given += 1;
        let address = SocketAddr::new(ip, port);
        let failed = |source| WireError::Listen { device: device.to_owned(), address, source };
        Ok((address, TcpListener::bind(address).await.map_err(failed)?))
    }

    /// The same at each start, so that a site file made before still fits; seen nowhere else.
    fn credentials(&self, device: &str) -> Credentials {
        let secret = |what: &str| {
            let secret = Random::new(0, &format!("{what} of {device}")).uuid().simple().to_string();
            self.world.with(|state| state.know_secret(&secret));
            Secret::new(secret)
        };
        Credentials { user: USER.to_owned(), password: secret("password"), enable: secret("enable password") }
    }
}
