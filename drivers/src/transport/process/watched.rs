//! A program that runs for long, whose lines are handed over as they come and which can be told to stop.
//!
//! Owns the bounds of a line and how a program is ended: asked first (SIGTERM, which reaches it even where it was started in the background), killed when it does not listen.

use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{ProcessError, Run};

/// Bytes of a line that are kept; the rest of it is dropped.
const MAX_LINE_BYTES: usize = 4096;
/// Time that a program has to end by itself once it was asked to.
const GRACE: Duration = Duration::from_secs(2);
/// Time for what is still in the pipes of a program that has ended: who else holds them is not waited for.
const DRAIN: Duration = Duration::from_secs(1);

/// How a program that was watched ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Whether it was asked to.
    pub stopped: bool,
}

impl Run {
    /// Runs it to its end, without a limit of time, and hands over each line of both outputs as it comes; a line is
    /// cut at 4096 bytes. When `stop` is cancelled it is told to end, and killed two seconds later.
    ///
    /// # Errors
    /// If it cannot be started or heard; it does not run any more then.
    pub async fn watched(
        self,
        line: &mut (dyn FnMut(&str) + Send),
        stop: &CancellationToken,
    ) -> Result<Ended, ProcessError> {
        let program = self.program.to_string();
        let failed = |source| ProcessError::Read { program: program.clone(), source };
        let mut child = self.spawn()?;
        let (mut stdout, mut stderr) = (Lines::new(child.stdout.take()), Lines::new(child.stderr.take()));
        let ended = loop {
            tokio::select! {
                next = stdout.next(), if !stdout.is_over => tell(next.map_err(failed)?, line),
                next = stderr.next(), if !stderr.is_over => tell(next.map_err(failed)?, line),
                status = child.wait() => break Ended { status: status.map_err(failed)?, stopped: false },
                () = stop.cancelled() => break Ended { status: end(&mut child).await.map_err(failed)?, stopped: true },
            }
        };
        let rest = async {
            while !stdout.is_over {
                tell(stdout.next().await.map_err(failed)?, line);
            }
            while !stderr.is_over {
                tell(stderr.next().await.map_err(failed)?, line);
            }
            Ok(())
        };
        match timeout(DRAIN, rest).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(_) => Ok(ended),
        }
    }
}

fn tell(next: Option<String>, line: &mut (dyn FnMut(&str) + Send)) {
    if let Some(text) = next {
        line(&text);
    }
}

/// Asks the program's whole group to end, and kills it when it does not.
async fn end(child: &mut Child) -> std::io::Result<ExitStatus> {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    // A group that is gone already is what is wanted.
    let signal = |signal| group.map(|group| killpg(group, signal));
    let _ = signal(Signal::SIGTERM);
    if let Ok(status) = timeout(GRACE, child.wait()).await {
        return status;
    }
    let _ = signal(Signal::SIGKILL);
    child.wait().await
}

/// Lines of a pipe. Dropping a [`Self::next`] that waits loses nothing.
struct Lines<R> {
    pipe: Option<R>,
    chunk: Vec<u8>,
    /// What of `chunk` is taken.
    taken: usize,
    line: Vec<u8>,
    is_over: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(pipe: Option<R>) -> Self {
        Self { is_over: pipe.is_none(), pipe, chunk: Vec::new(), taken: 0, line: Vec::new() }
    }

    /// The next line, without its end; `None` at the end of the pipe.
    async fn next(&mut self) -> std::io::Result<Option<String>> {
        loop {
            while let Some(&byte) = self.chunk.get(self.taken) {
                self.taken += 1;
                match byte {
                    b'\n' => return Ok(Some(self.take())),
                    _ if self.line.len() < MAX_LINE_BYTES => self.line.push(byte),
                    _ => {}
                }
            }
            self.chunk.clear();
            self.taken = 0;
            let Some(pipe) = &mut self.pipe else { return Ok(None) };
            self.chunk.reserve(MAX_LINE_BYTES);
            if pipe.read_buf(&mut self.chunk).await? == 0 {
                self.is_over = true;
                return Ok((!self.line.is_empty()).then(|| self.take()));
            }
        }
    }

    fn take(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.line).trim_end_matches('\r').to_owned();
        self.line.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::Program;
    use super::*;

    async fn watch(script: &str, stop: &CancellationToken) -> (Ended, Vec<String>) {
        let mut lines = Vec::new();
        let run = Program::new("sh", "dash").run(["-c", script]);
        let ended = run.watched(&mut |line| lines.push(line.to_owned()), stop).await.expect("runs");
        (ended, lines)
    }

    #[tokio::test]
    async fn lines_of_both_outputs_come_with_the_status() {
        let (ended, mut lines) = watch("printf 'a\\r\\nb'; echo c >&2; exit 5", &CancellationToken::new()).await;
        lines.sort();
        assert_eq!(
            (lines, ended.status.code(), ended.stopped),
            (vec!["a".into(), "b".into(), "c".into()], Some(5), false)
        );
    }

    #[tokio::test]
    async fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let script = "head -c 100000 /dev/zero | tr '\\0' x; echo; echo next";
        let (_, lines) = watch(script, &CancellationToken::new()).await;
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE_BYTES, 4]);
    }

    #[tokio::test]
    async fn it_is_asked_to_stop_and_may_say_goodbye() {
        let stop = CancellationToken::new();
        let mut lines = Vec::new();
        let script = "trap 'echo interrupted; exit 8' TERM; echo ready; while :; do sleep 0.05; done";
        let run = Program::new("sh", "dash").run(["-c", script]);
        let ended = run
            .watched(
                &mut |line| {
                    lines.push(line.to_owned());
                    stop.cancel();
                },
                &stop,
            )
            .await
            .expect("runs");
        // Its `sleep` is asked to stop, too; whether the shell tells of that depends on which of them is first.
        lines.retain(|line| line != "Terminated");
        assert_eq!(
            (lines, ended.status.code(), ended.stopped),
            (vec!["ready".into(), "interrupted".into()], Some(8), true)
        );
    }

    #[tokio::test]
    async fn who_does_not_listen_is_killed() {
        let stop = CancellationToken::new();
        let run = Program::new("sh", "dash").run(["-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]);
        let ended = run.watched(&mut |_| stop.cancel(), &stop).await.expect("runs");
        assert!(ended.stopped);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(Signal::SIGKILL as i32));
    }
}
