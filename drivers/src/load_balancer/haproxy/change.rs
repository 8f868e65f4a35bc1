//! How a running HAProxy is brought to use another text, and how one of our own is started and ended.
//!
//! Whatever a kill cuts off here is finished by the next change, or by `ensure_running`: until a text is
//! known to be in use, the earlier one stands beside the file, and is what `services` shows.

use std::time::Duration;

use harmony_core::error::DeviceResult;
use nix::sys::signal::Signal;

use super::check::{self, ServiceError};
use super::error::HaproxyError;
use super::text::{self, Services};
use super::{DRIVER, Haproxy, socket};
use crate::transport::confirmed::{lock, write};
use crate::transport::process::Program;

/// Time that a reload may take until the new process has everything.
const TAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After how long a reload that shows no effect is asked for again. A signal that comes while a master starts anew is
/// lost (as seen with 2.6, a few milliseconds after a reload), whoever sends it.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// Time that the command which reloads may take.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(30);

impl Haproxy {
    /// Makes it run with the services of Harmony's file, where Harmony owns it: adopts it, starts it, or has
    /// it read its files again. One that is somebody else's is left as it is.
    ///
    /// # Errors
    /// If it refuses the configuration (then an earlier one goes on running) or does not start.
    pub async fn ensure_running(&self) -> DeviceResult<()> {
        if self.daemon.is_none() {
            return Ok(());
        }
        let failed = |error| self.failed("failed to start", error);
        let _lock = lock(&self.places.folder).await.map_err(|error| failed(error.into()))?;
        self.start().await.map_err(failed)
    }

    /// Whether it runs, where Harmony owns it.
    ///
    /// # Errors
    /// If processes cannot be listed.
    pub fn is_running(&self) -> DeviceResult<bool> {
        let running = self.daemon.as_ref().map_or(Ok(false), |daemon| daemon.is_running());
        running.map_err(|error| self.failed("failed to look for", error.into()))
    }

    /// Ends it, with all its connections, where Harmony owns it. Its services stay in the file.
    ///
    /// # Errors
    /// If it cannot be ended.
    pub async fn stop(&self) -> DeviceResult<()> {
        let failed = |error| self.failed("failed to stop", error);
        let Some(daemon) = &self.daemon else { return Ok(()) };
        if !self.is_running()? {
            return Ok(());
        }
        let _lock = lock(&self.places.folder).await.map_err(|error| failed(error.into()))?;
        self.writes.record(DRIVER, self.device(), format!("stop {}", daemon.command()));
        daemon.stop().await.map_err(|error| failed(error.into()))
    }

    /// Starts ours, or has it take what was not finished.
    async fn start(&self) -> Result<(), HaproxyError> {
        let Some(daemon) = &self.daemon else { return Ok(()) };
        let (main, main_text) = (&self.places.main[0], self.places.main_text());
        let is_current = std::fs::read_to_string(main).is_ok_and(|text| text == main_text);
        let runs = !daemon.find()?.is_empty();
        if runs && is_current && !self.file.is_pending() {
            return Ok(());
        }
        write(main, &main_text)?;
        let text = match self.file.text()? {
            empty if empty.is_empty() => {
                let text = text::render(&Services::new());
                self.file.propose(&text)?;
                self.file.adopt()?;
                text
            }
            text => text,
        };
        let services = self.parse(&text)?;
        if runs {
            return self.take(&text, &services).await;
        }
        self.writes.record(DRIVER, self.device(), format!("start {}", daemon.command()));
        let started = daemon.start().await;
        if started.is_err() && self.file.is_pending() {
            self.file.put_back()?;
        }
        started?;
        self.taken(&text, &services, TAKE_TIMEOUT).await?;
        Ok(self.file.confirm()?)
    }

    fn parse(&self, text: &str) -> Result<Services, HaproxyError> {
        text::parse(text).map_err(|source| HaproxyError::Text { path: self.places.config.clone(), source })
    }

    /// Changes the services, all at once.
    pub(super) async fn change(
        &self,
        edit: impl FnOnce(&mut Services) -> Result<(), ServiceError>,
    ) -> Result<(), HaproxyError> {
        let _lock = lock(&self.places.folder).await?;
        let mut wanted = self.read()?;
        edit(&mut wanted)?;
        check::apart(&wanted)?;
        if self.daemon.as_ref().map_or(Ok(false), |daemon| daemon.is_running().map(|runs| !runs))? {
            self.start().await?;
        }
        let before = self.read()?;
        let (text, stat) = (text::render(&wanted), self.stat().await?);
        let is_written = self.file.text()? == text;
        if is_written && stat.missing(&text, &wanted).is_none() {
            return Ok(self.file.confirm()?);
        }
        if !is_written {
            let is_foreign = |name: &str| stat.has_section(name) && !self.has(name);
            if let Some(name) = wanted.keys().find(|name| !before.contains_key(*name) && is_foreign(name.as_str())) {
                return Err(ServiceError::Foreign(name.to_string()).into());
            }
            if self.is_beside_us().await {
                check::free(&wanted, [&before, &self.parse(&self.file.text()?)?])?;
            }
            self.judge(&text).await.inspect_err(|_| self.file.withdraw())?;
            self.writes.record(DRIVER, self.device(), format!("write {}", self.device()));
            self.file.adopt()?;
        }
        self.take(&text, &wanted).await
    }

    /// Whether Harmony's file, confirmed or not, has a service of that name.
    fn has(&self, name: &str) -> bool {
        let listen = format!("listen {name}");
        self.file.text().is_ok_and(|text| text.lines().any(|line| line == listen))
    }

    /// Whether HAProxy listens in the same network namespace as we would: then we can tell what is free.
    async fn is_beside_us(&self) -> bool {
        let info = socket::ask(&self.places.socket, "show info").await.unwrap_or_default();
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid: ")).unwrap_or_default().to_owned();
        let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        pid.bytes().all(|b| b.is_ascii_digit()) && namespace(&pid).is_some_and(|its| Some(its) == namespace("self"))
    }

    /// Lets HAProxy judge a text before it is used.
    async fn judge(&self, text: &str) -> Result<(), HaproxyError> {
        let fresh = self.file.propose(text)?;
        let args = std::iter::once("-c".to_owned()).chain(self.places.files(fresh));
        self.program.run(args).output().await.map(drop).map_err(HaproxyError::Refused)
    }

    /// Has the running process take the file's text; has it take the earlier one again if that fails.
    async fn take(&self, text: &str, services: &Services) -> Result<(), HaproxyError> {
        let error = match self.reload_until(text, services).await {
            Ok(()) => return Ok(self.file.confirm()?),
            Err(error) => error,
        };
        self.writes.record(DRIVER, self.device(), format!("put back {}", self.device()));
        self.file.put_back()?;
        let before = self.file.text()?;
        // What matters to a person is the first failure; what was not confirmed is tried again by the next run.
        if self.reload_until(&before, &self.parse(&before)?).await.is_ok() {
            self.file.confirm()?;
        }
        Err(error)
    }

    async fn reload_until(&self, text: &str, services: &Services) -> Result<(), HaproxyError> {
        let deadline = tokio::time::Instant::now() + TAKE_TIMEOUT;
        loop {
            self.reload().await?;
            match self.taken(text, services, AGAIN_AFTER).await {
                Err(HaproxyError::NotTaken { .. }) if tokio::time::Instant::now() < deadline => {}
                taken => return taken,
            }
        }
    }

    async fn reload(&self) -> Result<(), HaproxyError> {
        if let Some(daemon) = &self.daemon {
            self.writes.record(DRIVER, self.device(), "reload (SIGUSR2)");
            daemon.signal(Signal::SIGUSR2)?;
            return Ok(());
        }
        let command = self.reload.join(" ");
        self.writes.record(DRIVER, self.device(), format!("reload ({command})"));
        let (program, args) = self.reload.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let run = Program::new(program, "systemd").run(args.iter().cloned()).timeout(RELOAD_TIMEOUT);
        run.output().await.map(drop).map_err(|source| HaproxyError::Reload { command, source })
    }

    /// Waits until the running process has everything.
    async fn taken(&self, text: &str, services: &Services, limit: Duration) -> Result<(), HaproxyError> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let seen = match self.stat().await {
                Ok(stat) => match stat.missing(text, services) {
                    None => return Ok(()),
                    Some(missing) => missing,
                },
                // Between two processes nobody may be listening.
                Err(error) => harmony_core::error::chain(&error),
            };
            if tokio::time::Instant::now() >= deadline {
                let path = self.places.config.clone();
                return Err(HaproxyError::NotTaken { path, waited: TAKE_TIMEOUT, seen });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
