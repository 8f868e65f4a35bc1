//! `cargo xtask mutants`: plants bugs, and sees the laws find them.
//!
//! Each `tests/mutants/NAME.patch` begins with `Bug:`, what it breaks, and `Test:`, the law that must
//! fail then. The patches are applied one after the other to a copy of the sources, which is built in a
//! target folder of its own; first the same tests must pass without any.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::machine::{cargo, root, run, target};

/// A planted bug.
struct Mutant {
    name: String,
    patch: PathBuf,
    bug: String,
    /// Name of the test in `tests/laws`.
    test: String,
}

/// Plants all bugs, or the one of this name; an error names those that no test found.
pub(crate) fn mutants(only: &[String]) -> Result<()> {
    let mutants: Vec<Mutant> =
        read_all()?.into_iter().filter(|mutant| only.is_empty() || only.contains(&mutant.name)).collect();
    if mutants.is_empty() {
        bail!("no such mutant in tests/mutants: {}", only.join(", "));
    }
    let tree = Tree::copy()?;
    let mut names: Vec<&str> = mutants.iter().map(|mutant| mutant.test.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    println!("without any bug: {}", names.join(", "));
    tree.build()?;
    if !tree.passes(&names)? {
        bail!("the tests fail without any bug");
    }
    let mut survivors = Vec::new();
    println!("{:<28} {:>6}  {:<8} test", "bug", "time", "");
    for mutant in &mutants {
        let (found, took) = tree.with(mutant, || Ok(!tree.passes(&[&mutant.test])?))?;
        let verdict = if found { "found" } else { "SURVIVES" };
        println!("{:<28} {:>4} s  {verdict:<8} {}\n    {}", mutant.name, took.as_secs(), mutant.test, mutant.bug);
        if !found {
            survivors.push(mutant.name.as_str());
        }
    }
    if !survivors.is_empty() {
        bail!("no test finds {}", survivors.join(", "));
    }
    println!("all {} found", mutants.len());
    Ok(())
}

fn read_all() -> Result<Vec<Mutant>> {
    let folder = root().join("tests/mutants");
    let entries = fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))?;
    let mut patches: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "patch"))
        .collect();
    patches.sort();
    patches.into_iter().map(Mutant::read).collect()
}

impl Mutant {
    fn read(patch: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(&patch).with_context(|| format!("failed to read {}", patch.display()))?;
        let line = |key: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(key)).map(|rest| rest.trim().to_owned());
            found.with_context(|| format!("{} has no line `{key} …`", patch.display()))
        };
        let (bug, test) = (line("Bug:")?, line("Test:")?);
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, patch, bug, test })
    }
}

/// A copy of the sources, with a target folder beside it.
struct Tree {
    sources: PathBuf,
    target: PathBuf,
}

impl Tree {
    /// Copies what git tracks or would track. What is the same already keeps its time, so that cargo
    /// builds it only once.
    fn copy() -> Result<Self> {
        let folder = target().join("mutants");
        let tree = Self { sources: folder.join("sources"), target: folder.join("target") };
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let output = Command::new("git").current_dir(root()).args(list).output().context("failed to start git")?;
        let listed = String::from_utf8(output.stdout).context("git names a file that is not UTF-8")?;
        let mut wanted: Vec<&str> = listed.split('\0').filter(|name| !name.is_empty()).collect();
        wanted.retain(|name| root().join(name).is_file());
        tree.remove_others(&tree.sources, &wanted)?;
        for name in wanted {
            let text = fs::read(root().join(name)).with_context(|| format!("failed to read {name}"))?;
            tree.write(name, &text)?;
        }
        Ok(tree)
    }

    fn remove_others(&self, folder: &Path, wanted: &[&str]) -> Result<()> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let name = path.strip_prefix(&self.sources).unwrap_or(&path).to_string_lossy().into_owned();
            if path.is_dir() {
                self.remove_others(&path, wanted)?;
            } else if !wanted.contains(&name.as_str()) {
                fs::remove_file(&path).with_context(|| format!("failed to remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<()> {
        let path = self.sources.join(name);
        if fs::read(&path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        fs::create_dir_all(path.parent().unwrap_or(&self.sources))?;
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
    }

    /// Plants a bug, works, and takes it out again. How long that took, building included.
    fn with<T>(&self, mutant: &Mutant, work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
        let started = Instant::now();
        self.apply(mutant, &[])?;
        let result = self.build().with_context(|| format!("{} does not compile", mutant.name)).and_then(|()| work());
        self.apply(mutant, &["--reverse"])?;
        Ok((result?, started.elapsed()))
    }

    fn apply(&self, mutant: &Mutant, options: &[&str]) -> Result<()> {
        // Without a repository of its own, git would apply it to the one around it, or not at all.
        let mut git = Command::new("git");
        git.current_dir(&self.sources).env("GIT_CEILING_DIRECTORIES", self.sources.parent().unwrap_or(&self.sources));
        run(git.args(["apply", "-C1"]).args(options).arg(&mutant.patch))
            .with_context(|| format!("{} does not fit the sources any more", mutant.patch.display()))
    }

    fn laws(&self) -> Command {
        let mut command = cargo();
        command.current_dir(&self.sources).env("CARGO_TARGET_DIR", &self.target);
        command.args(["test", "--quiet", "--package", "harmony-tests", "--test", "laws"]);
        command
    }

    fn build(&self) -> Result<()> {
        run(self.laws().arg("--no-run").stderr(Stdio::null()))
    }

    /// Whether these tests pass; an error if there is one that does not exist.
    fn passes(&self, tests: &[&str]) -> Result<bool> {
        let output = self.laws().arg("--").arg("--exact").args(tests).output().context("failed to start cargo")?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !text.contains(&format!("running {} test", tests.len())) {
            bail!("not all of these tests exist: {}", tests.join(", "));
        }
        Ok(output.status.success())
    }
}
