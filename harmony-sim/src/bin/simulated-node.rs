//! A machine's part in a simulated cluster, as a program.

fn main() -> std::process::ExitCode {
    harmony_sim::node::main()
}
