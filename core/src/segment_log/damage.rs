//! What opening and reading report.

use std::{fmt, ops::Range, path::PathBuf};

/// What was found to be damaged and passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u64,
    /// The bytes of it that can't be read; empty where a segment, or the end of one, is missing.
    pub bytes: Range<u64>,
    /// The numbers of the entries that are lost; empty if only a mark was hit, or if it is not known yet.
    pub entries: Range<u64>,
    /// Where the damaged segment is kept.
    pub kept: Option<PathBuf>,
}

impl Damage {
    /// How many entries are lost.
    pub fn lost(&self) -> u64 {
        self.entries.end.saturating_sub(self.entries.start)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} is damaged", self.segment)?;
        if !self.bytes.is_empty() {
            write!(f, " from byte {} to {}", self.bytes.start, self.bytes.end)?;
        }
        match self.lost() {
            0 => {}
            1 => write!(f, "; entry {} is lost", self.entries.start)?,
            lost => {
                let Range { start, end } = self.entries;
                write!(f, "; {lost} entries, {start} to {}, are lost", end - 1)?;
            }
        }
        match &self.kept {
            Some(path) => write!(f, "; its bytes are kept in {}", path.display()),
            None => f.write_str("; its bytes could not be kept"),
        }
    }
}

/// What was cut off the end of a log when it was opened, as it was never known to be synced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Bytes.
    pub bytes: u64,
    /// Whole entries among them, which stood behind the tear.
    pub entries: u64,
    /// Where these are kept.
    pub kept: Option<PathBuf>,
}

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// A torn tail, which is what a crash leaves.
    pub torn: Option<Torn>,
    /// Damage, which no crash explains.
    pub damage: Vec<Damage>,
}
