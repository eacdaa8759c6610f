//! The wire form: one JSON object a record, in NDJSON files and in bodies of `format = "json"`.
//!
//! Keys are written in this order, absent ones left out; they are read in any order:
//!
//! | key | value |
//! |---|---|
//! | `id` | uuid; an addition without one gets the id of [`identity`](crate::identity) |
//! | `type` | full type identifier (read by any of its names); optional on a deletion |
//! | `deleted` | `true` on a deletion, else absent |
//! | `start`, `end` | RFC 3339, written in `Z` with µs when not zero; without `end` it is an instant; optional on a deletion |
//! | `value` | a number, or one of the one-key objects below; optional on a deletion |
//! | `unit` | of a number (which makes it a quantity; without, it is a whole number and a category) or of an aggregate |
//! | `subject`, `zone` | texts; `zone` is an IANA name or an offset, and taken from the offset of `start` where it is absent |
//! | `revision` | whole number, absent when 0 |
//! | `source` | `{"name","bundle","version","product","os"}` |
//! | `device` | `{"name","manufacturer","model","hardware","firmware","software"}` |
//! | `metadata` | texts, numbers, truth values, `{"date":…}`, `{"value":…,"unit":…}` |
//!
//! | object | holds |
//! |---|---|
//! | `{"correlation":[…]}` | records in this form |
//! | `{"aggregate":{"count":…,"min":…}}` | numbers by name |
//! | `{"json":…}` | any JSON value |
//! | `{"workout":{…}}`, `{"electrocardiogram":{…}}`, `{"heartbeat_series":{…}}`, `{"route":{…}}`, `{"activity_summary":{…}}`, `{"clinical":{…}}`, `{"notification":{…}}` | the fields of the struct of that name in `afferent_core::record`, `kind` as `type`, absent and empty ones left out |
//!
//! `null` is the same as absent. A key that comes twice is refused, except within `metadata`, where keys may
//! repeat. **Unknown keys** are refused in strict mode; otherwise those of a record go into its metadata, those
//! of `source` and `device` too, under `source.…` and `device.…`; what metadata has no form for is kept there
//! as JSON text. Within `value` they are refused in either mode.
//!
//! **Integrity.** Numbers are written with the fewest digits that read back as the same double. A number that
//! is not finite can't be written.
//!
//! **Rejects.** A line that is no record becomes a reject with its line and column; the lines around it are
//! read. Reasons never hold a value.

mod decode;
mod encode;
mod metadata;
mod origin;
mod quick;
mod reason;
mod record;
mod scalar;
#[cfg(test)]
mod tests;
mod value;
mod with;

pub use self::decode::{Refused, WireDecoder};
pub use self::encode::{WireEncoder, write_metadata, write_record, write_value};
pub use self::metadata::is_shallow;
pub(crate) use self::{
    encode::{write_number, write_text},
    metadata::{read_meta_value, read_metadata},
    reason::{cause, printable},
    record::{Field, ReadValue, set},
    scalar::Scalar,
    with::{NOT_FINITE, one_line},
};

/// How deep correlations may lie in one another. HealthKit's hold samples only; a few levels more cost nothing,
/// and with the levels of JSON that each takes it stays far below serde_json's limit of 128.
pub const MAX_CORRELATION_DEPTH: usize = 8;
