//! Laying out recorded trees in a folder, and what every report must hold to.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use harmony_core::report::{self, v1::Report};
use harmony_inventory_agent::Root;
use serde_json::Value;

/// A recorded tree, gone when dropped.
pub(crate) struct Tree(tempfile::TempDir);

impl Tree {
    /// From `tests/fixtures/NAME.tree`.
    pub(crate) fn recorded(name: &str) -> Self {
        let tree = Self(tempfile::tempdir().expect("a folder"));
        tree.lay_out(&fs::read_to_string(fixture(&format!("{name}.tree"))).expect("a fixture"));
        tree
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn root(&self) -> Root {
        Root::recorded(self.path())
    }

    /// Adds what a manifest says.
    pub(crate) fn lay_out(&self, manifest: &str) {
        let mut lines = manifest.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).peekable();
        while let Some(line) = lines.next() {
            let mut content = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with('|')) {
                content.push(line.strip_prefix("| ").unwrap_or_default());
            }
            let (directive, rest) = line.split_once(' ').expect("a directive");
            let place = |path: &str| {
                let path = self.path().join(path);
                fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
                path
            };
            match directive {
                "file" => fs::write(place(rest), content.join("\n") + "\n").expect("a file"),
                "hex" => fs::write(place(rest), unhex(&content)).expect("a file"),
                "dir" => fs::create_dir_all(place(rest)).expect("a folder"),
                "fifo" => nix::unistd::mkfifo(&place(rest), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO"),
                "link" => {
                    let (path, target) = rest.split_once(" -> ").expect("a target");
                    symlink(target, place(path)).expect("a link");
                }
                "bytes" => {
                    let (path, offset) = rest.split_once(' ').expect("an offset");
                    let file = File::options().create(true).append(false).truncate(false).write(true).open(place(path));
                    let offset = offset.parse().expect("a number");
                    file.expect("a file").write_all_at(&unhex(&content), offset).expect("writes");
                }
                other => panic!("no directive `{other}`"),
            }
        }
    }

    /// Adds a file.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        File::create(path).and_then(|mut file| file.write_all(bytes)).expect("a file");
    }
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn unhex(lines: &[&str]) -> Vec<u8> {
    let digits: Vec<char> = lines.iter().flat_map(|line| line.chars()).filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hex")).collect()
}

/// What holds for every report, of whatever machine: it is within the bounds of its readers, and each fact
/// that is absent says why.
pub(crate) fn check(report: &Report) {
    let document = serde_json::to_vec(report).expect("serialises");
    assert_eq!(&report::parse(&document).expect("its own readers take it"), report);
    let absent = nulls(&serde_json::to_value(report).expect("serialises"), "");
    let explained: HashSet<&str> = report.unread.iter().map(|unread| &*unread.fact).collect();
    for fact in absent {
        let above = fact.match_indices('/').map(|(at, _)| &fact[..at]);
        assert!(above.chain([&*fact]).any(|fact| explained.contains(fact)), "{fact} is absent without a reason");
    }
    assert!(report.unread.iter().all(|unread| !unread.reason.is_empty()));
}

/// JSON pointers to every `null`.
fn nulls(value: &Value, path: &str) -> Vec<String> {
    match value {
        Value::Null => vec![path.to_owned()],
        Value::Array(entries) => {
            entries.iter().enumerate().flat_map(|(at, entry)| nulls(entry, &format!("{path}/{at}"))).collect()
        }
        Value::Object(fields) => {
            fields.iter().flat_map(|(name, value)| nulls(value, &format!("{path}/{name}"))).collect()
        }
        _ => Vec::new(),
    }
}
