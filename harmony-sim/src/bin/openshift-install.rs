//! The stand-in for `openshift-install`, as a program.

fn main() -> std::process::ExitCode {
    harmony_sim::openshift_install::main(std::env::args().skip(1))
}
