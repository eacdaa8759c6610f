//! [`FileToken`]: where a file sink stands.

use afferent_core::{Timestamp, disk::FileId};
use afferent_formats::Format;
use serde::{Deserialize, Serialize};

/// Version of [`FileToken`]'s form.
pub(super) const TOKEN_VERSION: u16 = 1;

/// Where a file sink stands: everything after `length` in file `sequence` of `path`, and every later file, lies
/// after the checkpoint.
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
