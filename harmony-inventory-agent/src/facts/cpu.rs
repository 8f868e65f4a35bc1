//! Processors: `/proc/cpuinfo` for what one is, `/sys/devices/system/cpu` for how many there are.

use std::collections::BTreeSet;

use harmony_core::report::limits::MAX_CPU_FLAGS;
use harmony_core::report::v1::Cpu;

use super::Notes;
use crate::root::{Reason, Root, clean};

const CPUS: &str = "sys/devices/system/cpu";

/// The first processor's part of `/proc/cpuinfo`. No more is read, since the kernel makes the text as it
/// is read and asks each core for its frequency.
const ONE_CPU: u64 = 8 << 10;

pub(super) fn collect(root: &Root, notes: &mut Notes) -> Cpu {
    let first = root.bytes("proc/cpuinfo", ONE_CPU).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let field = |names: &[&str]| match &first {
        Ok(text) => find(text, names),
        Err(reason) => Err(reason.clone()),
    };
    let mut flags: Vec<String> = match notes.keep("/cpu/flags", field(&["flags", "Features"])) {
        Some(flags) => flags.split_whitespace().map(|flag| clean(flag.as_bytes())).collect(),
        None => Vec::new(),
    };
    notes.bound("/cpu/flags", &mut flags, MAX_CPU_FLAGS);
    let one_line = |text: String| clean(text.as_bytes());
    let (sockets, cores, threads) = match topology(root) {
        Ok(counts) => (Some(counts.0), Some(counts.1), Some(counts.2)),
        Err(reason) => {
            for fact in ["sockets", "cores", "threads"] {
                notes.absent(format_args!("/cpu/{fact}"), &reason);
            }
            (None, None, None)
        }
    };
    Cpu {
        architecture: notes.keep("/cpu/architecture", architecture(root)),
        vendor: notes.keep("/cpu/vendor", field(&["vendor_id"]).map(one_line)),
        model: notes.keep("/cpu/model", field(&["model name"]).map(one_line)),
        sockets,
        cores,
        threads,
        flags,
    }
}

fn architecture(root: &Root) -> Result<String, Reason> {
    // Since Linux 6.1. Before it, a program that runs says as much of its machine.
    match root.text("proc/sys/kernel/arch") {
        Err(_) if root.is_live() => Ok(std::env::consts::ARCH.to_owned()),
        known => known,
    }
}

fn find(cpuinfo: &str, names: &[&str]) -> Result<String, Reason> {
    let lines = cpuinfo.lines().take_while(|line| !line.trim().is_empty());
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    let found = fields.find(|(name, value)| names.contains(&name.trim()) && !value.trim().is_empty());
    match found {
        Some((_, value)) => Ok(value.trim().to_owned()),
        None => Err(Reason::new(format!("/proc/cpuinfo has no `{}`", names.join("` or `")))),
    }
}

/// Sockets, cores and threads on line. A core is known by the threads that share it, which the kernel
/// lists, because core ids are only unique within a die.
fn topology(root: &Root) -> Result<(u32, u32, u32), Reason> {
    let online = cpu_list(&root.text(&format!("{CPUS}/online"))?)?;
    let (mut sockets, mut cores) = (BTreeSet::new(), BTreeSet::new());
    for cpu in &online {
        let topology = format!("{CPUS}/cpu{cpu}/topology");
        // `-1` on machines whose firmware does not say: then all are in one.
        sockets.insert(root.text(&format!("{topology}/physical_package_id"))?);
        cores.insert(root.text(&format!("{topology}/thread_siblings_list"))?);
    }
    Ok((sockets.len() as u32, cores.len() as u32, online.len() as u32))
}

/// A list such as `0-3,8`, as the kernel prints sets of CPUs.
fn cpu_list(text: &str) -> Result<BTreeSet<u32>, Reason> {
    /// `NR_CPUS` is at most 8192.
    const MAX_CPUS: u32 = 8192;
    let mut cpus = BTreeSet::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (first.trim().parse::<u32>(), last.trim().parse::<u32>()) {
            (Ok(first), Ok(last)) if first <= last && last < MAX_CPUS => cpus.extend(first..=last),
            _ => return Err(Reason::new(format!("/{CPUS}/online: `{text}` is no list of CPUs"))),
        }
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists_of_cpus() {
        let count = |text| cpu_list(text).map(|cpus| cpus.len()).ok();
        assert_eq!(count("0"), Some(1));
        assert_eq!(count("0-3,8,10-11"), Some(7));
        for bad in ["", "3-1", "0-99999999", "x", "-1", "0,,1"] {
            assert_eq!(count(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_the_first_processor_alone() {
        let text = "processor\t: 0\nmodel name\t: One: the first\nflags\t\t:\n\nmodel name\t: Two\nflags : fpu\n";
        assert_eq!(find(text, &["model name"]), Ok("One: the first".into()));
        let reason = find(text, &["flags", "Features"]).expect_err("must be absent");
        assert_eq!(reason.to_string(), "/proc/cpuinfo has no `flags` or `Features`");
    }
}
