//! Exit codes: those of sysexits.h where one fits.

use std::process::ExitCode;

use afferent::afferent_core::{Error, ErrorKind};

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Ok,
    /// A check failed.
    Check,
    /// The command line is wrong.
    Usage,
    /// The data is bad, or records were dead-lettered.
    Data,
    /// A defect.
    Bug,
    /// Something can't be created.
    CantCreate,
    /// It may work later.
    TryAgain,
    /// Credentials were refused.
    Auth,
    /// The configuration is wrong.
    Config,
    /// A signal ended it.
    Signal(u8),
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Check => 1,
            Exit::Usage => 2,
            Exit::Data => 65,
            Exit::Bug => 70,
            Exit::CantCreate => 73,
            Exit::TryAgain => 75,
            Exit::Auth => 77,
            Exit::Config => 78,
            Exit::Signal(number) => 128 + number,
        }
    }

    /// Of two, the one to tell: the first that is not `Ok`.
    pub(crate) fn or(self, other: Exit) -> Exit {
        if self == Exit::Ok { other } else { self }
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Exit {
        match error.kind() {
            ErrorKind::Config => Exit::Config,
            ErrorKind::Data | ErrorKind::State => Exit::Data,
            ErrorKind::Auth => Exit::Auth,
            ErrorKind::CantCreate => Exit::CantCreate,
            ErrorKind::Transient { .. } | ErrorKind::Waiting | ErrorKind::Fenced => Exit::TryAgain,
            _ => Exit::Bug,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: every kind of error. Guarantees: scripts can tell what to do from the code alone.
    #[test]
    fn codes_follow_kinds() {
        for (error, code) in [
            (Error::config(""), 78),
            (Error::data(""), 65),
            (Error::state(""), 65),
            (Error::new(ErrorKind::Auth, ""), 77),
            (Error::fenced(""), 75),
            (Error::transient(""), 75),
            (Error::cant_create(""), 73),
            (Error::bug(""), 70),
        ] {
            assert_eq!(Exit::from(&error).code(), code, "{:?}", error.kind());
        }
        assert_eq!(Exit::Signal(2).code(), 130);
        assert_eq!(Exit::Ok.or(Exit::Data), Exit::Data);
        assert_eq!(Exit::Config.or(Exit::Data), Exit::Config);
    }
}
