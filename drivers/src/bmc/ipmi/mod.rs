//! BMCs that speak IPMI 2.0 over LAN, through `ipmitool`.
//!
//! Owns the commands and what their failures mean. The password goes by environment, never by
//! argument. Does not know which host belongs to the BMC, nor when a restart is safe.
//!
//! `set_next_boot` cannot be read back: BMCs answer `bootparam get 5` in many ways, some with a flag
//! that is marked invalid. Most forget it after 60 seconds, so it is to be followed by a restart.
//!
//! Read next: `answer` for what ipmitool prints, `spec` for the site file.

mod answer;
mod spec;

use std::time::Duration;

use async_trait::async_trait;
use harmony_core::capability::{Bmc, BootDevice, PowerAction, PowerState};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use harmony_core::host::{BmcId, Firmware};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::WriteLog;
use crate::transport::process::{ProcessError, Program};
use answer::Failure;
pub use spec::IpmiSpec;
use spec::MAX_PASSWORD_BYTES;

/// Name of this driver in the site file and in the [`WriteLog`].
pub const DRIVER: &str = "ipmi";
/// Seconds that ipmitool waits for one answer, and how often it asks again: a lost packet or two.
const ANSWER_SECONDS: &str = "2";
const REPEATS: &str = "2";
/// Bound of one command, whatever ipmitool does: it takes 10 s to find nobody there.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// Attempts while the BMC says that it is busy, with a pause that doubles.
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Time that a machine has to reach a power state, and how often it is asked.
const POWER_TIMEOUT: Duration = Duration::from_secs(30);
const POWER_POLL: Duration = Duration::from_millis(300);

/// One BMC.
#[derive(Debug)]
pub struct Ipmi {
    id: BmcId,
    spec: IpmiSpec,
    program: Program,
    writes: WriteLog,
    /// One session at a time: BMCs have few, and answer out of turn when asked twice.
    session: Mutex<()>,
}

impl Ipmi {
    /// The BMC `id`. Nothing is contacted, no password is read yet.
    #[must_use]
    pub fn new(id: BmcId, spec: IpmiSpec, writes: WriteLog) -> Self {
        Self { id, spec, program: Program::new("ipmitool", "ipmitool"), writes, session: Mutex::default() }
    }

    fn options(&self) -> Vec<String> {
        let IpmiSpec { address, port, user, cipher_suite, .. } = &self.spec;
        ["-I", "lanplus", "-H", address, "-p", &port.to_string(), "-U", user, "-E", "-C", &cipher_suite.to_string()]
            .map(str::to_owned)
            .to_vec()
    }

    /// For people: the command without the options that only tune it.
    fn line(&self, command: &[&str]) -> String {
        format!("ipmitool {} {}", self.options().join(" "), command.join(" "))
    }

    fn known(&self, bmc: &BmcId) -> DeviceResult<()> {
        if *bmc == self.id {
            Ok(())
        } else {
            Err(DeviceError::new(FailureKind::Bug, format!("BMC `{bmc}` is not `{}`", self.id)))
        }
    }

    /// Runs one command, again while the BMC is busy. `Ok(Err(_))` is ipmitool's own failure.
    async fn ask(&self, operation: &str, command: &[&str]) -> DeviceResult<Result<String, (Failure, ProcessError)>> {
        let password = self.spec.password.read(MAX_PASSWORD_BYTES).map_err(|error| {
            DeviceError::new(FailureKind::Invalid, operation)
                .hint("it holds the BMC's password in its first line")
                .because(error)
        })?;
        let _session = self.session.lock().await;
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let tuning = ["-v", "-N", ANSWER_SECONDS, "-R", REPEATS].map(str::to_owned);
            let args = self.options().into_iter().chain(tuning).chain(command.iter().map(|word| (*word).to_owned()));
            let run = self.program.run(args).secret("IPMI_PASSWORD", password.clone()).timeout(COMMAND_TIMEOUT);
            match run.output().await {
                Ok(output) => return Ok(Ok(String::from_utf8_lossy(&output.stdout).into_owned())),
                Err(error) => {
                    let failure = Failure::of(&error);
                    if failure != Failure::Busy || attempt == ATTEMPTS {
                        return Ok(Err((failure, error)));
                    }
                }
            }
            sleep(pause).await;
            pause *= 2;
        }
        Err(DeviceError::new(FailureKind::Bug, operation))
    }

    fn failed(&self, operation: &str, (failure, error): (Failure, ProcessError)) -> DeviceError {
        let IpmiSpec { address, port, user, password, cipher_suite, .. } = &self.spec;
        let hint = match failure {
            Failure::WrongPassword => {
                Some(format!("wrong password for user `{user}` of BMC `{}`: correct {password}", self.id))
            }
            Failure::WrongUser => {
                Some(format!("BMC `{}` has no user `{user}` with administrator privilege over LAN", self.id))
            }
            Failure::CipherSuite => Some(format!(
                "BMC `{}` does not offer cipher suite {cipher_suite}: set `cipher_suite` in the site file (3 or 17)",
                self.id
            )),
            Failure::OldProtocol => Some(format!("enable IPMI 2.0 over LAN (RMCP+) on BMC `{}`", self.id)),
            Failure::NoAnswer => Some(format!(
                "does BMC `{}` answer at {address}, UDP port {port}, with IPMI over LAN enabled?",
                self.id
            )),
            Failure::Busy => Some("it has too many sessions, or just restarted: wait a minute".to_owned()),
            Failure::NoSuchCommand | Failure::Other => error.hint(),
        };
        let failed = DeviceError::new(failure.kind(&error), operation).because(error);
        if let Some(hint) = hint { failed.hint(hint) } else { failed }
    }

    async fn read(&self, operation: &str, command: &[&str]) -> DeviceResult<String> {
        self.ask(operation, command).await?.map_err(|failure| self.failed(operation, failure))
    }

    async fn write(&self, operation: &str, command: &[&str]) -> DeviceResult<()> {
        self.writes.record(DRIVER, self.id.as_str(), command.join(" "));
        self.read(operation, command).await.map(drop)
    }

    async fn state(&self, operation: &str) -> DeviceResult<PowerState> {
        Ok(answer::power(&self.read(operation, &["chassis", "power", "status"]).await?))
    }
}

fn bootdev(device: BootDevice, firmware: Option<Firmware>) -> Vec<&'static str> {
    let device = match device {
        BootDevice::Network => "pxe",
        BootDevice::Disk => "disk",
    };
    let mut command = vec!["chassis", "bootdev", device];
    if firmware == Some(Firmware::Uefi) {
        // Without it many UEFI servers boot in legacy mode.
        command.push("options=efiboot");
    }
    command
}

#[async_trait]
impl Bmc for Ipmi {
    fn bmcs(&self) -> Vec<BmcId> {
        vec![self.id.clone()]
    }

    async fn system_uuid(&self, bmc: &BmcId) -> DeviceResult<Option<Uuid>> {
        self.known(bmc)?;
        let operation = format!("failed to read the system UUID from BMC `{bmc}`");
        match self.ask(&operation, &["mc", "guid"]).await? {
            Ok(text) => Ok(answer::guid(&text)),
            Err((Failure::NoSuchCommand, _)) => Ok(None),
            Err(failure) => Err(self.failed(&operation, failure)),
        }
    }

    async fn power_state(&self, bmc: &BmcId) -> DeviceResult<PowerState> {
        self.known(bmc)?;
        self.state(&format!("failed to read the power state from BMC `{bmc}`")).await
    }

    async fn power(&self, bmc: &BmcId, action: PowerAction) -> DeviceResult<()> {
        self.known(bmc)?;
        let verb = match action {
            PowerAction::On => "switch on",
            PowerAction::Off => "switch off",
            PowerAction::Restart => "restart",
        };
        let operation = format!("failed to {verb} the machine of BMC `{bmc}`");
        let before = self.state(&operation).await?;
        let (command, wanted) = match (action, &before) {
            (PowerAction::On, PowerState::On) | (PowerAction::Off, PowerState::Off) => return Ok(()),
            (PowerAction::On, _) | (PowerAction::Restart, PowerState::Off) => ("on", PowerState::On),
            (PowerAction::Off, _) => ("off", PowerState::Off),
            (PowerAction::Restart, _) => ("reset", PowerState::On),
        };
        self.write(&operation, &["chassis", "power", command]).await?;
        let deadline = Instant::now() + POWER_TIMEOUT;
        loop {
            // A BMC may be silent for a while after it has switched.
            let seen = match self.state(&operation).await {
                Ok(state) if state == wanted => return Ok(()),
                Err(error) if !error.kind().is_retryable() => return Err(error),
                Ok(state) => DeviceError::new(FailureKind::Transient, operation.clone()).because(format!(
                    "the BMC took the command, but {} s later the power is {state}",
                    POWER_TIMEOUT.as_secs()
                )),
                Err(error) => error,
            };
            if Instant::now() >= deadline {
                return Err(seen);
            }
            sleep(POWER_POLL).await;
        }
    }

    async fn set_next_boot(&self, bmc: &BmcId, device: BootDevice, firmware: Option<Firmware>) -> DeviceResult<()> {
        self.known(bmc)?;
        self.write(&format!("failed to set the next boot device on BMC `{bmc}`"), &bootdev(device, firmware)).await
    }

    fn power_commands(
        &self,
        _: &BmcId,
        action: PowerAction,
        device: BootDevice,
        firmware: Option<Firmware>,
    ) -> Vec<String> {
        let power = match action {
            PowerAction::On => self.line(&["chassis", "power", "on"]),
            PowerAction::Off => self.line(&["chassis", "power", "off"]),
            PowerAction::Restart => format!("{}  # power on, if it is off", self.line(&["chassis", "power", "reset"])),
        };
        vec![self.line(&bootdev(device, firmware)), power]
    }
}
