//! [`Line`]: the wire form as a loop written by hand for one input needs it.

use serde::{Deserialize, Serialize};

/// A line of [`write_ndjson`](crate::write_ndjson).
#[derive(Debug, Serialize, Deserialize)]
pub struct Line<'a> {
    /// A uuid.
    pub id: &'a str,
    /// The full identifier.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// RFC 3339.
    pub start: &'a str,
    /// RFC 3339.
    pub end: &'a str,
    /// A quantity.
    pub value: f64,
    /// Its unit.
    pub unit: &'a str,
    /// One of four.
    pub subject: &'a str,
    /// Not in the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<&'a str>,
    /// Who measured it.
    pub source: Source<'a>,
}

/// Who measured it.
#[derive(Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in the wire form")]
pub struct Source<'a> {
    pub name: &'a str,
    pub bundle: &'a str,
    pub version: &'a str,
    pub product: &'a str,
}
