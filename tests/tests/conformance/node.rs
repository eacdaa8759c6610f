//! The packages that FHIR is compared with, as `scripts/conformance-tools` installed them, and Node.js to run them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::tools::{SKIP, said};

/// What is installed, and in which versions.
const PACKAGES: &str = include_str!("package.json");

/// Node.js, with the packages.
#[derive(Debug)]
pub(crate) struct Node {
    packages: PathBuf,
}

impl Node {
    /// The packages; `None`, and a word about it, if they are to be left out.
    ///
    /// # Panics
    /// If they are not installed.
    #[allow(clippy::print_stderr, reason = "a test that checks nothing says so")]
    pub(crate) fn find() -> Option<Node> {
        if std::env::var_os(SKIP).is_some_and(|value| value == "1") {
            eprintln!("skipped, because {SKIP} is 1: FHIR is not compared with what others wrote");
            return None;
        }
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/conformance/node/package.json");
        let installed = std::fs::read_to_string(&packages);
        assert!(
            installed.is_ok_and(|installed| installed == PACKAGES),
            "the packages that FHIR is compared with are not installed, or in other versions than \
             tests/tests/conformance/package.json says: run scripts/conformance-tools (scripts/test does), or set {SKIP}=1 \
             to leave the comparison out"
        );
        Some(Node { packages })
    }

    fn command(&self, script: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(script);
        let mut node = Command::new("node");
        node.arg(script).env("PACKAGES", &self.packages).env_remove("NODE_OPTIONS");
        node
    }

    /// What `script` prints about `file`.
    pub(crate) fn run(&self, script: &str, file: &Path) -> String {
        said(self.command(script).arg(file)).unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// A FHIR server in memory.
    pub(crate) fn server(&self) -> Server {
        let mut command = self.command("fhir_server.mjs");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node starts");
        let mut port = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut port).expect("the server says its port");
        Server { child, port: port.trim().parse().expect("a port") }
    }
}

/// A FHIR server in memory, which ends with this.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Where Bundles are posted.
    pub(crate) fn url(&self) -> String {
        format!("http://localhost:{}/fhir", self.port)
    }

    /// What it answers to a `GET`.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("localhost", self.port)).expect("it listens");
        let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        body.to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its input ends with it; what is left of it is its own.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
