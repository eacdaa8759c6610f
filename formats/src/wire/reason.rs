//! Reasons of rejects: what serde_json says, without the values it repeats.

use serde_json::error::Category;

/// Longest name of an unknown field that a reason repeats.
const MAX_NAME_BYTES: usize = 64;

/// Why a text was refused, without any value of it.
///
/// | message | reason |
/// |---|---|
/// | `expected value at line 1 column 9` | `not valid JSON: expected value, at column 9` |
/// | ``invalid type: floating point `72.5`, expected a string at line 1 column 9`` | `expected a string, found floating point, at column 9` |
/// | ``unknown field `72.5 kg`, expected `a` or `b` …`` | ``unknown field, expected `a` or `b`, …`` |
/// | our own words, and serde's about fields that miss or come twice | as they are |
pub(crate) fn reason(error: &serde_json::Error) -> String {
    match error.column() {
        0 => cause(error),
        column => format!("{}, at column {column}", cause(error)),
    }
}

/// As [`reason`], without the column: of a text that is part of another.
pub(crate) fn cause(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = text.strip_suffix(&place).unwrap_or(&text);
    match error.classify() {
        Category::Data => without_value(message),
        _ => format!("not valid JSON: {message}"),
    }
}

fn without_value(message: &str) -> String {
    // A value may hold the words themselves, so what was expected stands behind the last of them.
    let expected = message.rsplit_once(", expected ").map(|(_, expected)| expected);
    for prefix in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some(found) = message.strip_prefix(prefix) {
            // "floating point `72.5`", "string \"secret\"", "map".
            let found =
                if prefix == "invalid length " { "another number of elements" } else { kind_of(found) };
            return format!("expected {}, found {found}", expected.unwrap_or("another value"));
        }
    }
    for prefix in ["unknown field ", "unknown variant "] {
        if message.starts_with(prefix) {
            return format!("{}, expected {}", prefix.trim_end(), expected.unwrap_or("none"));
        }
    }
    message.to_owned()
}

/// The word before the value.
fn kind_of(found: &str) -> &str {
    let end = found.find([',', '`', '"']).unwrap_or(found.len());
    found[..end].trim_end()
}

/// `name` for a reason, if it looks like one; text from anywhere may be a value.
pub(crate) fn printable(name: &str) -> &str {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let is_name = name.len() <= MAX_NAME_BYTES
        && name.bytes().all(word)
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if is_name { name } else { "…" }
}
