//! Finding which addresses of a network accept TCP connections on a port.
//!
//! A connect scan: no raw sockets, so no privileges, and what it finds can be talked to. Many addresses at a
//! time under a bound of sockets; sockets that were refused are used again, which the kernel allows and
//! which halves the system calls. Knows nothing of what listens there: whoever asks talks to what is found.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};
use socket2::{Domain, SockAddr, Socket, Type};

/// Most sockets that a scan ever has open.
pub const MAX_SOCKETS: usize = 1024;

/// Files that the rest of the process may need while a scan runs: databases, servers, pipes.
const SPARE_FILES: u64 = 256;

/// How long a scan that was given up may take to notice.
const NOTICE: Duration = Duration::from_millis(100);

/// Bounds of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sockets open at a time; between 1 and [`MAX_SOCKETS`]. Fewer are used where the process may not open
    /// as many files and 256 more.
    pub sockets: usize,
    /// How long an address may take to answer. Below a second, one lost packet hides a host: the kernel
    /// sends a SYN again after one second.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sockets: MAX_SOCKETS, timeout: Duration::from_millis(2500) }
    }
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Addresses that accepted, in the order in which they did.
    pub open: Vec<SocketAddr>,
    /// Most sockets that were open at a time.
    pub peak_sockets: usize,
}

/// Why a scan had to stop. What it had found is not told: it may be half of the truth.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Not one socket can be had.
    #[error("cannot open a socket to scan with")]
    Socket(#[source] io::Error),
    /// The kernel refuses to wait.
    #[error("cannot wait for sockets")]
    Poll(#[source] io::Error),
    /// The thread that scanned is gone.
    #[error("the scan was interrupted")]
    Interrupted,
}

/// Connects to `port` of each target and closes again at once, without a trace in `TIME_WAIT`.
///
/// Runs on a blocking thread; when the future is dropped, that thread ends within 100 ms.
///
/// # Errors
/// [`ScanError`]. An address that refuses, cannot be reached or does not answer is no error: it is closed.
pub async fn open_addresses<T>(targets: T, port: u16, limits: Limits) -> Result<Scan, ScanError>
where
    T: IntoIterator<Item = IpAddr>,
    T::IntoIter: Send + 'static,
{
    let abandoned = Abandoned(Arc::new(AtomicBool::new(false)));
    let (targets, flag) = (targets.into_iter(), abandoned.0.clone());
    let scan = move || Scanner::new(limits, flag).run(targets.map(|ip| SocketAddr::new(ip, port)));
    tokio::task::spawn_blocking(scan).await.map_err(|_| ScanError::Interrupted)?
}

/// Tells the thread when nobody waits any more.
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection that is being made.
struct Attempt {
    target: SocketAddr,
    socket: Socket,
    deadline: Instant,
}

/// What came of an attempt so far.
enum Outcome {
    Open,
    Closed,
    Pending,
    /// The machine is short of sockets, ports or buffers: the target is still to be tried.
    Short(io::Error),
}

struct Scanner {
    limits: Limits,
    abandoned: Arc<AtomicBool>,
    /// In the order of their deadlines.
    pending: VecDeque<Attempt>,
    /// Refused and free for another target of the same family.
    idle: Vec<(Domain, Socket)>,
    scan: Scan,
}

impl Scanner {
    fn new(limits: Limits, abandoned: Arc<AtomicBool>) -> Self {
        // 1024 files are what a process commonly may open: without a share left, everything else would fail.
        let allowed = getrlimit(Resource::RLIMIT_NOFILE).map_or(MAX_SOCKETS as u64, |(soft, _)| soft);
        let allowed = usize::try_from(allowed.saturating_sub(SPARE_FILES)).unwrap_or(MAX_SOCKETS);
        let sockets = limits.sockets.min(allowed).clamp(1, MAX_SOCKETS);
        let limits = Limits { sockets, ..limits };
        let scan = Scan { open: Vec::new(), peak_sockets: 0 };
        Self { limits, abandoned, pending: VecDeque::new(), idle: Vec::new(), scan }
    }

    fn run(mut self, mut targets: impl Iterator<Item = SocketAddr>) -> Result<Scan, ScanError> {
        let mut postponed = None;
        loop {
            while self.pending.len() < self.limits.sockets && !self.is_abandoned() {
                let Some(target) = postponed.take().or_else(|| targets.next()) else { break };
                if let Some(error) = self.start(target) {
                    // With what we have until some of it comes free; without anything, there is no way on.
                    if self.pending.is_empty() {
                        return Err(ScanError::Socket(error));
                    }
                    self.limits.sockets = self.pending.len();
                    postponed = Some(target);
                }
            }
            if self.is_abandoned() {
                return Err(ScanError::Interrupted);
            }
            if self.pending.is_empty() {
                return Ok(self.scan);
            }
            self.wait()?;
        }
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Begins with one target. The error, if the machine has no means for it now.
    fn start(&mut self, target: SocketAddr) -> Option<io::Error> {
        let domain = Domain::for_address(target);
        let socket = match self.idle.pop_if(|(idle, _)| *idle == domain) {
            Some((_, socket)) => socket,
            None => {
                // Idle ones of the other family would count too.
                self.idle.clear();
                match Socket::new(domain, Type::STREAM.nonblocking(), None) {
                    Ok(socket) => socket,
                    Err(error) => return Some(error),
                }
            }
        };
        self.scan.peak_sockets = self.scan.peak_sockets.max(self.pending.len() + self.idle.len() + 1);
        let mut outcome = connect(&socket, target);
        if matches!(outcome, Outcome::Pending) {
            // On this machine's own addresses the answer is there by now; asking is cheaper than waiting.
            outcome = connect(&socket, target);
        }
        match outcome {
            Outcome::Short(error) => return Some(error),
            Outcome::Pending => {
                let deadline = Instant::now() + self.limits.timeout;
                self.pending.push_back(Attempt { target, socket, deadline });
            }
            outcome => self.finish(&outcome, target, socket),
        }
        None
    }

    /// Waits until something is decided, or the first deadline has passed.
    fn wait(&mut self) -> Result<(), ScanError> {
        let Some(first) = self.pending.front() else { return Ok(()) };
        let timeout = first.deadline.saturating_duration_since(Instant::now()).min(NOTICE);
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::ZERO);
        let mut fds: Vec<PollFd<'_>> =
            self.pending.iter().map(|attempt| PollFd::new(attempt.socket.as_fd(), PollFlags::POLLOUT)).collect();
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(ScanError::Poll(error.into())),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        let now = Instant::now();
        for (attempt, ready) in std::mem::take(&mut self.pending).into_iter().zip(ready) {
            let Attempt { target, socket, deadline } = attempt;
            match if ready { connect(&socket, target) } else { Outcome::Pending } {
                Outcome::Pending if deadline > now => self.pending.push_back(Attempt { target, socket, deadline }),
                outcome => self.finish(&outcome, target, socket),
            }
        }
        Ok(())
    }

    fn finish(&mut self, outcome: &Outcome, target: SocketAddr, socket: Socket) {
        match outcome {
            // A socket that the kernel connected to itself (RFC 9293 simultaneous open) is nobody's answer.
            Outcome::Open if local_address(&socket) != Some(target) => {
                // Closes by RST: nothing was said that could be lost, and no port stays in TIME_WAIT.
                let _ = socket.set_linger(Some(Duration::ZERO));
                self.scan.open.push(target);
            }
            Outcome::Closed => self.idle.push((Domain::for_address(target), socket)),
            _ => {}
        }
    }
}

/// Begins to connect, or asks how far it has come.
fn connect(socket: &Socket, target: SocketAddr) -> Outcome {
    let Err(error) = socket.connect(&SockAddr::from(target)) else { return Outcome::Open };
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EISCONN) => Outcome::Open,
        Some(Errno::EINPROGRESS | Errno::EALREADY | Errno::EINTR) => Outcome::Pending,
        Some(Errno::EADDRNOTAVAIL | Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM) => Outcome::Short(error),
        _ => Outcome::Closed,
    }
}

fn local_address(socket: &Socket) -> Option<SocketAddr> {
    socket.local_addr().ok()?.as_socket()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    use super::*;

    fn limits(sockets: usize, timeout: Duration) -> Limits {
        Limits { sockets, timeout }
    }

    /// A port on which 127.0.0.1 accepts nobody and refuses nobody: the queue of its listener is full.
    fn silent() -> (u16, TcpListener, Vec<TcpStream>) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("binds");
        listener.listen(0).expect("listens");
        let listener = TcpListener::from(listener);
        let address = listener.local_addr().expect("an address");
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            queued.push(stream);
            assert!(queued.len() < 10, "the queue never fills");
        }
        (address.port(), listener, queued)
    }

    /// Until somebody of this machine waits for an answer from this port (state 02 is SYN_SENT).
    fn wait_for_syn(port: u16) {
        let remote = format!(" 0100007F:{port:04X} 02 ");
        while !std::fs::read_to_string("/proc/net/tcp").expect("connections").contains(&remote) {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn finds_what_listens_and_nothing_else() {
        let first = TcpListener::bind("127.7.0.9:0").expect("binds");
        let port = first.local_addr().expect("an address").port();
        let second = TcpListener::bind(("127.7.0.200", port)).expect("binds");
        let targets = (0..=255).map(|n| IpAddr::from([127, 7, 0, n]));
        for sockets in [0, 1, 7, usize::MAX] {
            let scan = open_addresses(targets.clone(), port, limits(sockets, Duration::from_secs(5))).await;
            let scan = scan.expect("scans");
            let expected = [&first, &second].map(|one| one.local_addr().expect("an address"));
            assert_eq!(scan.open, expected);
            assert!((1..=sockets.clamp(1, MAX_SOCKETS)).contains(&scan.peak_sockets));
        }
    }

    #[tokio::test]
    async fn mixes_families() {
        let listener = TcpListener::bind("127.7.1.1:0").expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
        let targets = [v6, IpAddr::from([127, 7, 1, 2]), v6, IpAddr::from([127, 7, 1, 1]), v6];
        let scan = open_addresses(targets, port, limits(2, Duration::from_secs(5))).await.expect("scans");
        assert_eq!(scan.open, [listener.local_addr().expect("an address")]);
    }

    #[tokio::test]
    async fn silence_costs_its_time_limit_and_no_more_sockets() {
        let (port, _listener, _queued) = silent();
        let (start, timeout) = (Instant::now(), Duration::from_millis(150));
        let targets = vec![IpAddr::from(Ipv4Addr::LOCALHOST); 5];
        let scan = open_addresses(targets, port, limits(2, timeout)).await.expect("scans");
        assert_eq!(scan, Scan { open: vec![], peak_sockets: 2 });
        assert!(start.elapsed() >= timeout * 3, "five targets, two at a time");
    }

    #[tokio::test]
    async fn one_that_answers_late_is_found() {
        let (port, listener, queued) = silent();
        listener.set_nonblocking(true).expect("set");
        // Once its SYN has been dropped there is room; the kernel sends it again after a second.
        let late = std::thread::spawn(move || {
            wait_for_syn(port);
            drop(queued);
            while listener.accept().is_ok() {}
            listener
        });
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let scan = open_addresses([target.ip()], port, Limits::default()).await.expect("scans");
        assert_eq!(scan.open, [target]);
        drop(late.join());
    }

    #[test]
    fn ends_when_nobody_waits() {
        let (port, _listener, _queued) = silent();
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let abandoned = Abandoned(Arc::new(AtomicBool::new(false)));
        let scanner = Scanner::new(limits(1, Duration::from_secs(3600)), abandoned.0.clone());
        let scan = std::thread::spawn(move || scanner.run([target; 3].into_iter()));
        wait_for_syn(port);
        drop(abandoned);
        assert!(matches!(scan.join().expect("ends"), Err(ScanError::Interrupted)));
    }
}
