//! Tokens: where a file sink stands.

use afferent_core::{Generation, Result, Timestamp, Token, disk::FileId};
use afferent_formats::Format;
use serde::{Deserialize, Serialize};

/// Version of [`FileToken`]'s form.
const FILE_VERSION: u16 = 1;

/// Version of [`TypesToken`]'s form.
const TYPES_VERSION: u16 = 2;

/// Where a sink of one file or of rolled ones stands: everything after `length` in file `sequence` of `path`, and
/// every later file, lies after the checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FileToken {
    /// As configured; another path is another place.
    pub(super) path: String,
    /// What the files are written in.
    pub(super) format: Format,
    /// Tells the file from another that later stands at its path.
    pub(super) file: FileId,
    /// Which of the files; 0 where they are not rolled.
    pub(super) sequence: u64,
    /// Its length in bytes.
    pub(super) length: u64,
    /// When it was begun, for rolling by time.
    pub(super) begun: Timestamp,
}

/// Where a sink of one file per type stands: everything after its mark in each file, and what the journal of `begun`
/// says of the others, lies after the checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TypesToken {
    /// As configured; another path is another place.
    pub(super) path: String,
    /// What the files are written in.
    pub(super) format: Format,
    /// The generation that began these files: tells their journal from one of an earlier history.
    pub(super) begun: Generation,
    /// Every file that has been written to.
    pub(super) files: Vec<Mark>,
}

/// The end of one file of several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Its name in the directory.
    pub(super) name: String,
    /// Tells the file from another that later stands at its path.
    pub(super) file: FileId,
    /// Its length in bytes.
    pub(super) length: u64,
}

impl FileToken {
    /// The token as saved.
    pub(super) fn save(&self) -> Result<Token> {
        Token::new(FILE_VERSION, self)
    }

    /// Reads a token of a place at `path`; `None` if it is one of another place.
    pub(super) fn read(token: Option<&Token>, path: &str) -> Result<Option<FileToken>> {
        match token {
            Some(token) if token.version != TYPES_VERSION => {
                Ok(Some(token.read::<FileToken>(FILE_VERSION)?).filter(|token| token.path == path))
            }
            _ => Ok(None),
        }
    }
}

impl TypesToken {
    /// The token as saved.
    pub(super) fn save(&self) -> Result<Token> {
        Token::new(TYPES_VERSION, self)
    }

    /// Reads a token of a place at `path`; `None` if it is one of another place.
    pub(super) fn read(token: Option<&Token>, path: &str) -> Result<Option<TypesToken>> {
        match token {
            Some(token) if token.version != FILE_VERSION => {
                Ok(Some(token.read::<TypesToken>(TYPES_VERSION)?).filter(|token| token.path == path))
            }
            _ => Ok(None),
        }
    }
}
