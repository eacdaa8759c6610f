//! The `afferent` command as the tests run it.

use std::process::ExitCode;

fn main() -> ExitCode {
    afferent_cli::main()
}
