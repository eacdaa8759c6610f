//! The one error type of the engine.
//!
//! A kind exists only where the caller acts differently; everything else is in the message, which says
//! what was expected, what was found and what to do, and never contains a health value or a secret.

use std::{fmt, time::Duration};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration is wrong: fix the file. Never retried.
    Config,
    /// It may work later: back off, at least for `retry_after` where the other side asked for it.
    Transient {
        /// What the other side asked us to wait, if it did.
        retry_after: Option<Duration>,
    },
    /// The data is bad: dead-letter it and go on. For a whole batch this is a bug of the stage.
    Data,
    /// Credentials were refused: pause, alarm and keep everything.
    Auth,
    /// A checkpoint, position or state file can't be used: stop and tell the operator.
    State,
    /// Not a failure: the stage waits for something outside (a locked store, no network).
    Waiting,
    /// A newer generation owns the pipeline: stop quietly.
    Fenced,
    /// Something could not be created or opened for writing.
    CantCreate,
    /// A defect in Afferent or in a stage.
    Bug,
}

impl ErrorKind {
    /// Whether trying again without changing anything may succeed.
    pub fn is_retryable(self) -> bool {
        matches!(self, ErrorKind::Transient { .. } | ErrorKind::Waiting)
    }
}

/// An error of a stage, a store or the engine.
///
/// `Display` prints the stage and the message; the cause is in [`source`](std::error::Error::source) only,
/// so that a chain never says the same thing twice.
#[derive(Debug)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    stage: Option<String>,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { inner: Box::new(Inner { kind, stage: None, message: message.into(), source: None }) }
    }

    /// The configuration is wrong.
    pub fn config(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Config, message)
    }

    /// It may work later.
    pub fn transient(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Transient { retry_after: None }, message)
    }

    /// The data is bad.
    pub fn data(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Data, message)
    }

    /// A checkpoint, position or state file can't be used.
    pub fn state(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::State, message)
    }

    /// The stage waits for `what` ("the device to be unlocked").
    pub fn waiting(what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Waiting, what)
    }

    /// A newer generation owns the pipeline.
    pub fn fenced(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Fenced, message)
    }

    /// Something could not be created or opened for writing.
    pub fn cant_create(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::CantCreate, message)
    }

    /// A defect in Afferent or in a stage.
    pub fn bug(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Bug, message)
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.inner.source = Some(source.into());
        self
    }

    /// Names the stage, unless a stage nearer to the failure already did.
    pub fn at(mut self, stage: &str) -> Error {
        self.inner.stage.get_or_insert_with(|| stage.to_owned());
        self
    }

    /// The kind, which says what to do.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The stage that failed, if known.
    pub fn stage(&self) -> Option<&str> {
        self.inner.stage.as_deref()
    }

    /// The message alone, without the stage.
    pub fn message(&self) -> &str {
        &self.inner.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner.stage {
            Some(stage) => write!(f, "{stage}: {}", self.inner.message),
            None => f.write_str(&self.inner.message),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

/// Turns an I/O error on `path` into an [`Error`]: a full disk, a busy or interrupted call may heal by
/// itself (`Transient`), a missing permission or directory does not (`CantCreate`).
pub fn io_error(what: &str, path: &std::path::Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind as Io;
    let kind = match error.kind() {
        Io::PermissionDenied
        | Io::NotFound
        | Io::NotADirectory
        | Io::IsADirectory
        | Io::AlreadyExists
        | Io::ReadOnlyFilesystem
        | Io::InvalidInput => ErrorKind::CantCreate,
        Io::InvalidData => ErrorKind::State,
        _ => ErrorKind::Transient { retry_after: None },
    };
    let hint = match error.kind() {
        Io::StorageFull | Io::QuotaExceeded => {
            " (the disk is full; free some space and it goes on by itself)"
        }
        Io::PermissionDenied | Io::ReadOnlyFilesystem => " (check that this user may write there)",
        Io::NotFound => " (check the path)",
        Io::NotADirectory | Io::IsADirectory | Io::AlreadyExists => {
            " (something else is at this path or above it; give another path)"
        }
        _ => "",
    };
    Error::new(kind, format!("can't {what} {}: {error}{hint}", path.display()))
}
