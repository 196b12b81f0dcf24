//! Everything is in the library, so that the manual pages can be made from the command line.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    dbal::run_tool()
}
