//! Two racks at once on one machine: one in the TUI, where roles are assigned by keyboard, one without a
//! terminal. Afterwards nothing is left of either.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harmony_lab_tests::{Killed, program, succeed};

/// A terminal that a person would sit at.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn open(command: &str) -> Self {
        let terminal = Self { socket: format!("harmony-test-{}", std::process::id()) };
        let mut tmux = terminal.tmux();
        let _ = succeed(tmux.args(["new-session", "-d", "-x", "80", "-y", "24", command]));
        terminal
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.socket, "-f", "/dev/null"]);
        command
    }

    fn screen(&self) -> String {
        succeed(self.tmux().args(["capture-pane", "-p"]))
    }

    fn keys(&self, keys: &[&str]) {
        for key in keys {
            let _ = succeed(self.tmux().args(["send-keys", key]));
            std::thread::sleep(Duration::from_millis(150));
        }
    }

    fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let _ = succeed(self.tmux().args(["resize-window", "-x", &columns, "-y", &rows]));
    }

    /// Waits until the screen shows something; returns it.
    fn shows(&self, what: &str, limit: Duration, is_so: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(started.elapsed() < limit, "waited {} s for {what}\n{screen}", limit.as_secs());
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux().arg("kill-server").stderr(Stdio::null()).status();
    }
}

/// Those of racks: other tests may make others meanwhile.
fn namespaces() -> Vec<String> {
    let all = succeed(Command::new("ip").args(["netns", "list"]));
    all.lines().filter(|name| name.starts_with("harmony-")).map(str::to_owned).collect()
}

#[test]
fn roles_are_assigned_by_keyboard_while_another_rack_runs() {
    let before = namespaces();
    let mut other = Command::new(program("virtual_rack"));
    let other = other.args(["apply", "--yes"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut other = Killed(other.spawn().expect("starts"));
    let rack = program("virtual_rack");
    let terminal = Terminal::open(&format!("{} tui; echo \"ended with $?\"; sleep 3600", rack.display()));
    assign_roles(&terminal);
    watch_to_the_end(&terminal);
    drop(terminal);
    let mut told = String::new();
    let mut pipe = other.0.stderr.take().expect("piped");
    std::io::Read::read_to_string(&mut pipe, &mut told).expect("text");
    assert!(other.0.wait().expect("ends").success(), "{told}");
    for role in ["node-1", "node-2", "node-3"] {
        let row = told.lines().rfind(|line| line.contains(role) && line.contains("provisioned"));
        let row = row.unwrap_or_else(|| panic!("the summary has no row of {role}:\n{told}"));
        // Switched on, agent answers, row in the inventory: with its time, in this order.
        let times: Vec<f64> =
            row.split(" s").filter_map(|part| part.split(' ').next_back()?.parse().ok()).take(3).collect();
        assert!(times.len() == 3 && times.is_sorted(), "{row}\n{told}");
    }
    println!("{told}");
    assert_eq!(namespaces(), before, "namespaces are left behind");
}

/// Three hosts appear; each is given its role, unassigned ones first in the list.
fn assign_roles(terminal: &Terminal) {
    let many = Duration::from_secs(420);
    terminal.shows("the run", many, |screen| screen.contains("Inventory"));
    terminal.keys(&["2"]);
    let screen = terminal.shows("three discovered hosts", many, |screen| screen.matches("discovered").count() >= 3);
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    println!("80×24\n{screen}");
    terminal.shows("the wish for roles", many, |screen| {
        terminal.keys(&["1"]);
        screen.contains("hosts for the roles") || screen.contains("roles node-1")
    });
    for role in ["node-1", "node-2", "node-3"] {
        terminal.keys(&["2", "g", "a"]);
        terminal.shows("the dialog", Duration::from_secs(20), |screen| screen.to_lowercase().contains("role"));
        let _ = succeed(terminal.tmux().args(["send-keys", "-l", role]));
        terminal.keys(&["Enter"]);
        let in_its_row = |line: &str| line.contains(role) && line.contains("acquired");
        terminal.shows(&format!("{role} in its row"), Duration::from_secs(30), |screen| screen.lines().any(in_its_row));
    }
}

fn watch_to_the_end(terminal: &Terminal) {
    terminal.resize(120, 40);
    terminal.keys(&["1"]);
    let screen = terminal
        .shows("steps of the hosts", Duration::from_secs(60), |screen| screen.contains("follow the installation"));
    assert!(screen.lines().count() >= 30, "{screen}");
    println!("120×40\n{screen}");
    terminal.keys(&["3"]);
    let screen = terminal
        .shows("ports in LACP mode", Duration::from_secs(900), |screen| screen.matches("lag-node-").count() >= 6);
    println!("{screen}");
    terminal.keys(&["2"]);
    // While it runs, `q` asks whether to stop it.
    let is_over = |screen: &str| screen.matches("provisioned").count() >= 3 && screen.contains("converged");
    terminal.shows("the end", Duration::from_secs(120), is_over);
    terminal.keys(&["q"]);
    terminal.shows("the program's end", Duration::from_secs(60), |screen| screen.contains("ended with 0"));
}

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    let before = namespaces();
    let mut command = Command::new(program("virtual_rack"));
    let child =
        command.args(["apply", "--yes", "--json"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Killed(child.spawn().expect("starts"));
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.0.stdout.take().expect("piped")));
    for line in lines.map_while(Result::ok) {
        if line.contains("step_finished") && line.contains("power-on") {
            let _ = succeed(Command::new("kill").args(["-INT", &child.0.id().to_string()]));
            break;
        }
    }
    let status = child.0.wait().expect("ends");
    assert_eq!(status.code(), Some(130), "stopped by request");
    assert_eq!(namespaces(), before, "namespaces are left behind");
}
