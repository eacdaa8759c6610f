//! Places in a TOML text: where a value stands, and where a part of a string stands.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Where `part`, a byte range of the string `value` whose literal stands at `span`, is in `text`. Where the
/// literal has escapes, which shift what follows them, it is the whole literal.
pub(super) fn inside(text: &str, span: &Range<usize>, value: &str, part: Range<usize>) -> Range<usize> {
    let literal = &text[span.clone()];
    let quotes = if literal.starts_with("\"\"\"") || literal.starts_with("'''") { 3 } else { 1 };
    let content = literal.get(quotes..literal.len().saturating_sub(quotes)).unwrap_or_default();
    // A newline right after three quotes is not part of the string.
    let newline = match content {
        _ if quotes == 1 => 0,
        content if content.starts_with("\r\n") => 2,
        content if content.starts_with('\n') => 1,
        _ => 0,
    };
    let on_boundaries = value.is_char_boundary(part.start) && value.is_char_boundary(part.end);
    if &content[newline..] == value && on_boundaries && part.start <= part.end {
        let start = span.start + quotes + newline;
        start + part.start..start + part.end
    } else {
        span.clone()
    }
}

/// The value at `path` below `table`; numbers in it are indices of arrays. Where the path leads nowhere, the last
/// value on the way.
pub(super) fn locate<'d, 't>(table: &'d DeTable<'t>, path: &[String]) -> Option<&'d Spanned<DeValue<'t>>> {
    let (first, rest) = path.split_first()?;
    let mut value = table.get(first.as_str())?;
    for key in rest {
        let next = match value.get_ref() {
            DeValue::Table(table) => table.get(key.as_str()),
            DeValue::Array(array) => key.parse::<usize>().ok().and_then(|index| array.get(index)),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => break,
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: every form of TOML string, with and without escapes. Guarantees: an underline covers the part it is about,
    /// or the whole literal, never something else.
    #[test]
    fn parts_of_strings_are_found() {
        for (literal, value, expected) in [
            ("\"a > b\"", "a > b", ">"),
            ("'a > b'", "a > b", ">"),
            ("'''\na > b'''", "a > b", ">"),
            ("\"\"\"a > b\"\"\"", "a > b", ">"),
            (r#""a \u003E b""#, "a > b", r#""a \u003E b""#),
        ] {
            let text = format!("when = {literal}\n");
            let span = 7..7 + literal.len();
            assert_eq!(&text[inside(&text, &span, value, 2..3)], expected, "{literal}");
        }
    }
}
