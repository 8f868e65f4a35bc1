//! How time and memory grow with the number of hosts: whole installations on simulated racks, plans of
//! nothing, and 10,000 things to look at beside Terraform's. And a cluster of three masters and 250 workers.
//!
//! Each row is a process of its own, so that its peak memory is its own. Wall time is real, the racks' is
//! virtual. Run it with `cargo bench --package harmony-tests --bench scale`, or one row of it with
//! `… -- install HOSTS` or `… -- cluster WORKERS`, for a profiler.

mod terraform;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use harmony_core::capability::Cluster as _;
use harmony_core::event::{Event, Outcome};
use harmony_core::net::MacAddress;
use harmony_sim::{SwitchSpec, WorldSpec};
use harmony_tests::{Site, cases};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

/// Rows of the table; the first is what the others are compared with.
const HOSTS: [u16; 4] = [100, 300, 1000, 3000];
/// Two NICs each: a rack of them fits a switch of 96 ports.
const HOSTS_PER_SWITCH: usize = 40;
/// How many steps, or things as wanted, a plan of nothing looks at beside Terraform.
const THINGS: usize = 10_000;
/// A large cluster: its masters, and the workers that it has besides.
const MASTERS: u16 = 3;
const WORKERS: u16 = 250;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => everything(),
        ["install", hosts] => paused(install(hosts.parse().expect("a number of hosts"))),
        ["cluster", workers] => paused(cluster(workers.parse().expect("a number of workers"))),
        ["ports"] => paused(ports()),
        _ => {
            eprintln!("usage: scale [install HOSTS | cluster WORKERS | ports]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn paused(row: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(row);
}

/// What a row tells of itself, in one line.
#[derive(Debug, Clone, Copy)]
struct Row {
    hosts: f64,
    steps: f64,
    world_s: f64,
    wall_s: f64,
    cpu_s: f64,
    plan_s: f64,
    peak_mb: f64,
}

impl Row {
    fn print(self) {
        let Self { hosts, steps, world_s, wall_s, cpu_s, plan_s, peak_mb } = self;
        println!("{hosts} {steps} {world_s} {wall_s} {cpu_s} {plan_s} {peak_mb}");
    }

    /// Runs this program again for one row.
    fn measure(args: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program");
        let output = Command::new(program).args(args).output().expect("this program again");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        let numbers: Vec<f64> = text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        let [hosts, steps, world_s, wall_s, cpu_s, plan_s, peak_mb] = numbers[..] else { panic!("{text}") };
        Self { hosts, steps, world_s, wall_s, cpu_s, plan_s, peak_mb }
    }
}

fn everything() {
    println!("hosts found, installed and bonded on simulated racks of {HOSTS_PER_SWITCH}, nothing known before\n");
    println!("  hosts   steps  their time      wall       CPU  per host      peak  plan of nothing");
    let mut rows: Vec<Row> = Vec::new();
    for hosts in HOSTS {
        let row = Row::measure(&["install", &hosts.to_string()]);
        rows.push(row);
        let per_host = row.wall_s / row.hosts / (rows[0].wall_s / rows[0].hosts);
        println!(
            "{:>7} {:>7} {:>9.0} s {:>7.2} s {:>7.2} s {:>8.2}× {:>6.0} MB {:>14.3} s",
            row.hosts, row.steps, row.world_s, row.wall_s, row.cpu_s, per_host, row.peak_mb, row.plan_s
        );
    }
    let slope_of =
        |of: fn(&Row) -> f64| slope(&rows.iter().map(|row| (row.hosts.ln(), of(row).ln())).collect::<Vec<_>>());
    let (wall, cpu) = (slope_of(|row| row.wall_s), slope_of(|row| row.cpu_s));
    println!(
        "\nfit: wall time grows as hosts^{wall:.2}, CPU time as hosts^{cpu:.2} (least squares of the logarithms; 1 is linear)"
    );
    let thousand = rows[2];
    println!(
        "1,000 hosts: {:.1} s of 60, {:.0} MB of 500, plan of nothing {:.3} s of 1",
        thousand.wall_s, thousand.peak_mb, thousand.plan_s
    );
    let row = Row::measure(&["cluster", &WORKERS.to_string()]);
    println!(
        "cluster of {MASTERS} + {WORKERS}: installed in {:.1} s of 120 ({:.1} s CPU, {:.0} s of its own time), {:.0} MB, {} steps, plan of nothing {:.3} s of 1",
        row.wall_s, row.cpu_s, row.world_s, row.peak_mb, row.steps, row.plan_s
    );
    beside_terraform();
}

/// The slope of the line through points that has the least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (over, under) = points.iter().fold((0.0, 0.0), |(over, under), point| {
        (over + (point.0 - x) * (point.1 - y), under + (point.0 - x) * (point.0 - x))
    });
    over / under
}

fn beside_terraform() {
    println!("\nplans with nothing to do, of {THINGS} each\n");
    let ports = Row::measure(&["ports"]);
    // Each host takes 14 steps or so; the row says how many there were.
    let steps = Row::measure(&["install", "720"]);
    println!("harmony, {} switch ports as wanted: {:.3} s", ports.steps, ports.plan_s);
    println!("harmony, {} hosts that took {} steps: {:.3} s", steps.hosts, steps.steps, steps.plan_s);
    match terraform::plan(THINGS) {
        Ok(None) => println!("terraform: there is none on this machine"),
        Ok(Some(took)) => {
            let took = took.as_secs_f64();
            println!("terraform, {THINGS} terraform_data: {took:.1} s");
            println!("ratio: 1 to {:.0} for ports, 1 to {:.0} for steps", took / ports.plan_s, took / steps.plan_s);
        }
        Err(error) => println!("terraform: {error}"),
    }
}

/// Racks of [`HOSTS_PER_SWITCH`], each with a switch.
fn racks(hosts: u16) -> WorldSpec {
    let mut spec = WorldSpec::rack(1, hosts);
    spec.log = false;
    let mut tor = spec.switches.remove(0);
    let mut ports = std::mem::take(&mut tor.ports).into_iter();
    for (number, rack) in (1u8..).zip(spec.hosts.chunks_mut(HOSTS_PER_SWITCH)) {
        let name = format!("tor-{number}");
        let mut mac = tor.mac.octets();
        mac[4] = number;
        let cables = rack.iter_mut().flat_map(|host| &mut host.nics).filter_map(|nic| nic.port.as_mut());
        let mut here = Vec::new();
        for cable in cables {
            *cable = cable.replace("tor/", &format!("{name}/"));
            here.extend(ports.next());
        }
        rack.iter_mut().for_each(|host| host.powered = false);
        spec.switches.push(SwitchSpec { name, mac: MacAddress::new(mac), ports: here, ..tor.clone() });
    }
    spec
}

/// Everything that a site of so many hosts goes through, then the plan that finds nothing to do.
async fn install(hosts: u16) {
    let site = Site::of(racks(hosts));
    let row = whole(&site, hosts).await;
    site.assert_finished("at its end").await;
    row.print();
}

/// A cluster of [`MASTERS`] and so many workers, from machines that nobody has catalogued; then the plan that finds nothing
/// to do.
async fn cluster(workers: u16) {
    let spec = WorldSpec { log: false, ..WorldSpec::okd_rack(1, MASTERS, workers) };
    let site = Site::wanting(spec, cases::okd);
    let row = whole(&site, 1 + MASTERS + workers).await;
    site.assert_unbroken("at its end");
    let nodes = site.topology.nodes(&"ocp4".parse().expect("a name")).await.expect("an API");
    let ready = nodes.iter().filter(|node| node.ready == Some(true)).count();
    assert_eq!(ready, usize::from(MASTERS + workers), "nodes that are ready");
    row.print();
}

/// Applies all that is wanted, and plans again.
async fn whole(site: &Site, hosts: u16) -> Row {
    // As many installations at once as there are hosts: what grows is the work, not the waiting. The default is
    // for the link of a real boot server: there, 3,000 hosts are six waves, through which the world is looked at.
    let mut engine = site.engine();
    engine.budgets.total = hosts.into();
    let begun = Instant::now();
    let outcome = engine.apply("bench", &site.topology, &site.scores(), None).await.expect("a journal");
    let (wall, cpu_s) = (begun.elapsed(), cpu_s());
    assert_eq!(outcome, Outcome::Converged);
    let peak_mb = peak_mb();
    let done = |event: &Event| matches!(event, Event::StepFinished { .. });
    let steps = site.journal().await.iter().filter(|record| done(&record.event)).count();
    let plan = plan_of_nothing(site).await;
    let world_s = site.world.now().as_secs_f64();
    Row {
        hosts: hosts.into(),
        steps: steps as f64,
        world_s,
        wall_s: wall.as_secs_f64(),
        cpu_s,
        plan_s: plan.as_secs_f64(),
        peak_mb,
    }
}

/// So many switch ports in the mode that is wanted.
async fn ports() {
    let spec = racks(u16::try_from(THINGS / 2).expect("a rack's limit"));
    let things = spec.hosts.iter().flat_map(|host| &host.nics).filter(|nic| nic.port.is_some()).count();
    let site = Site::wanting(spec, cases::ready_to_boot);
    let plan_s = plan_of_nothing(&site).await.as_secs_f64();
    let world_s = site.world.now().as_secs_f64();
    Row { hosts: 0.0, steps: things as f64, world_s, wall_s: plan_s, cpu_s: cpu_s(), plan_s, peak_mb: peak_mb() }
        .print();
}

/// The middle of three.
async fn plan_of_nothing(site: &Site) -> Duration {
    let mut took = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let plans = site.plan().await.expect("plans");
        took.push(begun.elapsed());
        assert!(plans.iter().all(|plan| plan.plan.is_empty()), "something is to do");
    }
    took.sort();
    took[1]
}

/// Processor time of this process so far, in seconds.
fn cpu_s() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("Linux");
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// The most memory that this process had at once, in MB. Source: proc_pid_status(5), `VmHWM`.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
    kib * 1024.0 / 1e6
}
