//! A command that runs beside the test.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use crate::Ran;

/// How long a test waits for a line: far longer than any takes, so that a hang ends with what was said.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command that runs beside the test, which waits for what it says. It is killed when the test fails.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Said,
    stderr: Said,
}

/// The lines of one output: those that come, and those that came.
#[derive(Debug)]
struct Said {
    lines: Receiver<String>,
    so_far: String,
}

impl Running {
    /// Starts `command`.
    ///
    /// # Panics
    /// If it can't be started.
    pub fn start(mut command: Command) -> Running {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let stdout = Said::by(child.stdout.take().expect("it is piped"));
        let stderr = Said::by(child.stderr.take().expect("it is piped"));
        Running { child, stdout, stderr }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of data with `text` in it.
    ///
    /// # Panics
    /// If it ends without one.
    #[track_caller]
    pub fn prints(&mut self, text: &str) {
        let printed = self.stdout.wait_for(text);
        assert!(printed, "no {text:?} in stdout after {:?}", self.stdout.so_far.lines().last());
    }

    /// Waits for a line of talk with `text` in it.
    ///
    /// # Panics
    /// If it ends without one.
    #[track_caller]
    pub fn says(&mut self, text: &str) {
        assert!(self.stderr.wait_for(text), "no {text:?} in stderr: {}", self.stderr.so_far);
    }

    /// Waits for a line of talk with `text` in it, and returns it.
    ///
    /// # Panics
    /// If it ends without one.
    #[track_caller]
    pub fn line_of_talk(&mut self, text: &str) -> String {
        self.says(text);
        self.stderr.so_far.lines().rfind(|line| line.contains(text)).expect("it was said").to_owned()
    }

    /// Sends it the signal `name`, such as `INT`.
    ///
    /// # Panics
    /// If it has ended and was waited for.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(status.expect("the `kill` command").success(), "it runs");
    }

    /// The most memory that it ever had resident, in bytes.
    ///
    /// # Panics
    /// If it has ended.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
        let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes << 10
    }

    /// The most memory that it had resident so far, in bytes; `None` once it has ended. 0 where the system does not say.
    pub fn memory(&mut self) -> Option<u64> {
        if self.child.try_wait().ok().flatten().is_some() {
            return None;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<u64>().ok());
        Some(kibibytes.unwrap_or(0) << 10)
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it can't be waited for.
    pub fn end(mut self) -> Ran {
        let status = self.child.wait().expect("it is ours");
        Ran { code: status.code(), stdout: self.stdout.rest(), stderr: self.stderr.rest() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Said {
    fn by(output: impl Read + Send + 'static) -> Said {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Reading goes on when nobody listens, so that the command never blocks.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Said { lines, so_far: String::new() }
    }

    #[allow(clippy::disallowed_methods, reason = "a hang of another process ends")]
    fn wait_for(&mut self, text: &str) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.so_far += &line;
            self.so_far.push('\n');
            if line.contains(text) {
                return true;
            }
        }
        false
    }

    /// All it said until its end.
    fn rest(&mut self) -> String {
        // No line is without its end.
        self.wait_for("\n");
        std::mem::take(&mut self.so_far)
    }
}
