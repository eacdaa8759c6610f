//! Dialects whose files and bodies are JSON documents, read part by part.
//!
//! A dialect says by its `Shape` which values of a document hold records: the elements of some array, the values of some
//! keys. `Documents` goes through documents in pieces of any length, hands each such *part* to the dialect once it is
//! whole, and keeps nothing else. So a document of 100 MB takes the memory of its longest part, and a part that is no record
//! is a reject of its own.
//!
//! **Documents** stand one after the other, with white space between them or nothing: a file may be one document, or one in
//! each line.
//!
//! **Pieces.** What is read does not depend on where pieces end. What was read so far belongs to the decoder (the name of the
//! metric that an array is about); whoever goes on in the middle of a document gives it everything before that once more,
//! and drops what comes of it. That takes a fraction of a second for 100 MB, and needs nothing in the position but an offset.
//!
//! **Nothing is passed over in silence.** Where a dialect knows no part, a filled array or object is a reject; texts, numbers
//! and empty ones hold no record and are passed over, or are rejects in strict mode. A document that breaks off or is no JSON
//! is a reject from where it does so up to the next line that begins with `{` or `[`, or to the end. A part of more than
//! [`MAX_PART_BYTES`] is a reject of which the head is kept.
//!
//! **A reject can be read again**: its payload is a document of the dialect with that part alone, wherever the part was.

mod decoder;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use self::{
    decoder::{Dialect, Documents, Out},
    walk::{ROOT, Shape, Step, Visit},
};

/// Longest part: as the longest line of a file. A workout with its route of a day, a place each second, is some 20 MB in the
/// wordiest dialect; more is no record.
pub const MAX_PART_BYTES: usize = 32 << 20;
