//! Commands for those who develop Harmony: `cargo xtask COMMAND`.
//!
//! `setup` installs what the others need; `lab` runs the virtual rack; `test` runs every test.
//! Knows nothing of Harmony's code: it builds and starts programs.

mod bench;
mod machine;
mod mutants;
mod okd;
mod run;
mod setup;
mod soak;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  lab [ARGS]     build, and run the example `virtual_rack` (ARGS go to it; default: apply --yes)
  lab-cluster    an OKD cluster on a virtual rack of six machines, from unknown hosts to Ready nodes, and what came of it
  test [FILTER]  install what the tests need, then format, clippy and every test, the lab included
  soak --seconds N [--seed S]
                 simulated racks, one random seed after the other; or that one, replayed
  mutants [NAME] plant each bug of tests/mutants in a copy of the sources, and see the laws find it
  bench          the measurements that are promised, beside what they are compared with
  agent          build the static inventory agent, and print its path and size
  okd-artifacts DIR
                 everything that the hosts and services of a fixed cluster would be given, as files in a new folder, made
                 with the openshift-install that HARMONY_OPENSHIFT_INSTALL names, or with its stand-in
  setup          install what the others need (Debian packages where root, the musl target)

Examples:
  cargo xtask lab
  cargo xtask lab tui
  cargo xtask test
  cargo xtask soak --seconds 600
  cargo xtask soak --seed 17
  HARMONY_OPENSHIFT_INSTALL=/opt/okd/openshift-install cargo xtask okd-artifacts /tmp/okd
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let result = match command.as_str() {
        "lab" => run::lab(&rest),
        "lab-cluster" => test::lab_cluster(),
        "test" => test::test(&rest),
        "soak" => soak::soak(&rest),
        "mutants" => mutants::mutants(&rest),
        "bench" => bench::bench(),
        "agent" => setup::toolchain().and_then(|()| run::agent()).map(|path| println!("{}", path.display())),
        "setup" => setup::all(),
        "okd-artifacts" => okd::artifacts(&rest),
        "" | "help" | "--help" | "-h" => {
            print!("{HELP}");
            return if command.is_empty() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
        other => {
            eprintln!("error: there is no command `{other}`\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
