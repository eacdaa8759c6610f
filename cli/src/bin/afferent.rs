//! The `afferent` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    afferent_cli::main()
}
