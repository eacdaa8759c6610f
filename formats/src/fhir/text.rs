//! Texts as FHIR takes them.

use std::borrow::Cow;

use crate::wire::write_text;

/// Whether FHIR's strings take it: HL7's schema is in JavaScript's words, to which more is white space than to ASCII.
fn is_taken(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n') || !(c.is_control() || c.is_whitespace() || c == '\u{feff}')
}

/// Appends `text` as a string; white space and control characters that FHIR does not take become spaces.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    let taken: Cow<'_, str> = match text.chars().all(is_taken) {
        true => text.into(),
        false => text.chars().map(|c| if is_taken(c) { c } else { ' ' }).collect::<String>().into(),
    };
    write_text(&taken, out);
}
