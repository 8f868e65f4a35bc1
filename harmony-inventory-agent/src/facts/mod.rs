//! What the machine is made of: one module per part of the report.
//!
//! Each reads its own files and fills its own part. All share one habit: an attempt that fails becomes an
//! entry in `unread` through [`Notes::keep`], never a guess.

use std::fmt::Display;
use std::time::Instant;

use harmony_core::report::MAX_REPORT_BYTES;
use harmony_core::report::limits::MAX_UNREAD;
use harmony_core::report::v1::{self, Report, Unread};

use crate::cmdline::Cmdline;
use crate::lldp::Heard;
use crate::root::{Reason, Root};
use crate::smbios::Smbios;

mod boot;
mod cpu;
pub(crate) mod disks;
mod memory;
pub(crate) mod nics;
mod pci;
mod system;

/// Reads everything there is to read below `root`, and adds what was heard by LLDP.
///
/// Takes a few milliseconds; a disk that does not answer is given up on after two seconds, and then left alone.
#[must_use]
pub fn collect(root: &Root, heard: &Heard) -> Report {
    let mut notes = Notes::default();
    let smbios = Smbios::read(root);
    let cmdline = Cmdline::read(root);
    let mut report = Report {
        schema: v1::SCHEMA.to_owned(),
        boot: boot::collect(root, smbios.is_ok(), &mut notes),
        system: system::collect(&smbios, &mut notes),
        cpu: cpu::collect(root, &mut notes),
        memory: memory::collect(root, &smbios, &mut notes),
        disks: disks::collect(root, &mut notes),
        nics: nics::collect(root, &cmdline, heard, Instant::now(), &mut notes),
        bonds: nics::bonds(root, &mut notes),
        pci: pci::collect(root, &mut notes),
        ..Report::default()
    };
    report.agent = v1::Agent {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        peak_memory_bytes: if root.is_live() { boot::peak_memory_bytes(root) } else { None },
    };
    report.unread = notes.0;
    fit(&mut report, MAX_REPORT_BYTES);
    report
}

/// Leaves out what would make the report larger than its readers take. No machine known comes near; one
/// that lies about itself may.
fn fit(report: &mut Report, limit: usize) {
    while size_bytes(report) > limit {
        let lists = [
            ("/pci", report.pci.len()),
            ("/disks", report.disks.len()),
            ("/nics", report.nics.len()),
            ("/memory/dimms", report.memory.dimms.len()),
        ];
        let Some((fact, longest)) = lists.into_iter().max_by_key(|(_, len)| *len).filter(|(_, len)| *len > 0) else {
            return;
        };
        let keep = longest / 2;
        match fact {
            "/pci" => report.pci.truncate(keep),
            "/disks" => report.disks.truncate(keep),
            "/nics" => report.nics.truncate(keep),
            _ => report.memory.dimms.truncate(keep),
        }
        let index =
            |unread: &Unread| unread.fact.strip_prefix(fact)?.strip_prefix('/')?.split('/').next()?.parse().ok();
        report.unread.retain(|unread| index(unread).is_none_or(|index: usize| index < keep));
        let reason = format!("only the first {keep} of {longest} are reported: all would be too much to read");
        report.unread.insert(0, Unread { fact: fact.to_owned(), reason });
    }
}

/// Size of the report as JSON, in bytes, without making it.
fn size_bytes(report: &Report) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Neither the report nor the counter can fail.
    let _ = serde_json::to_writer(&mut count, report);
    count.0
}

/// What is absent so far, and why.
#[derive(Debug, Default)]
pub(crate) struct Notes(Vec<Unread>);

impl Notes {
    /// The value, or a note why the fact at this JSON pointer has none.
    pub(crate) fn keep<T>(&mut self, fact: impl Display, value: Result<T, Reason>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(reason) => {
                self.absent(fact, &reason);
                None
            }
        }
    }

    /// Notes why a fact, or all of an object, is absent.
    pub(crate) fn absent(&mut self, fact: impl Display, reason: &dyn Display) {
        match MAX_UNREAD.saturating_sub(self.0.len()) {
            0 => {}
            // Of the whole report, so that each fact has a reason still.
            1 => {
                self.0.push(Unread { fact: String::new(), reason: "too much could not be read to say why".to_owned() })
            }
            _ => self.0.push(Unread { fact: fact.to_string(), reason: reason.to_string() }),
        }
    }

    /// Cuts a list to what a report may hold, and says so.
    pub(crate) fn bound<T>(&mut self, fact: impl Display, list: &mut Vec<T>, limit: usize) {
        if list.len() > limit {
            self.absent(fact, &format_args!("there are {}, the first {limit} are reported", list.len()));
            list.truncate(limit);
        }
    }
}
