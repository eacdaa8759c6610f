//! Integration tests that need several crates: the command line, recovery from kills, bad input, examples.
//!
//! The path of another crate's binary is not known to a test, so this crate builds one of its own over
//! [`afferent_cli::main`], and what the tests share lives here.

pub mod campaign;
pub mod fuzzing;
pub mod given;
pub mod receiver;
pub mod records;
mod running;
pub mod sender;
pub mod shared_store;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub use self::running::Running;

/// A directory with a state directory of its own, and the command that runs in it.
#[derive(Debug)]
pub struct Place {
    binary: PathBuf,
    directory: TempDir,
}

impl Place {
    /// A new place for `binary`.
    ///
    /// # Panics
    /// If no temporary directory can be made.
    pub fn new(binary: &str) -> Place {
        Place { binary: binary.into(), directory: tempfile::tempdir().expect("a temporary directory") }
    }

    /// The place's directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file into it, with the folders of its name, and returns its path.
    ///
    /// # Panics
    /// If it can't be written.
    #[allow(clippy::disallowed_methods, reason = "a test's own files")]
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the place")).expect("a folder of the test");
        std::fs::write(&path, content).expect("a file of the test");
        path
    }

    /// The command with `arguments`, its working directory and its state directory here.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .current_dir(self.path())
            .env("AFFERENT_DATA", self.path().join("state"))
            .env_remove("AFFERENT_LOG")
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it can't be started.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().expect("the command starts");
        Ran::from(output)
    }

    /// What is in a file of it.
    ///
    /// # Panics
    /// If it can't be read, or is not text.
    pub fn read(&self, name: &str) -> String {
        let path = self.path().join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Starts it and lets it run.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments))
    }

    /// Runs it, and kills it with SIGKILL after `after` unless it has ended by then; its status if it has.
    ///
    /// # Panics
    /// If it can't be started.
    pub fn run_and_kill(&self, arguments: &[&str], after: Duration) -> Option<ExitStatus> {
        let child = self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        wait_or_kill(child.expect("the command starts"), after)
    }
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// Checks the exit code, and shows everything if it is another.
    ///
    /// # Panics
    /// If it is another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// Waits for the child's end, but at most `limit`; kills it then.
fn wait_or_kill(mut child: Child, limit: Duration) -> Option<ExitStatus> {
    let id = child.id();
    let (sender, ended) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let status = child.wait();
        // Nobody listens any more when it was killed.
        let _ = sender.send(());
        status
    });
    let killed = ended.recv_timeout(limit).is_err();
    if killed {
        let status = Command::new("kill").args(["-9", &id.to_string()]).stderr(Stdio::null()).status();
        assert!(status.is_ok(), "the `kill` command is there");
    }
    let status = waiter.join().expect("the waiter only waits").expect("the child is ours");
    // It may have ended by itself between the limit and the kill.
    status.code().map(|_| status)
}

/// How long `work` takes, to scale random moments by.
#[allow(clippy::disallowed_methods, reason = "scales the moments at which another process is killed")]
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    (work(), began.elapsed())
}
