//! [`unescape`]: the text of a JSON string that holds JSON, without a new allocation for each.

/// Replaces `out` by the text of the JSON string `string`, quotes included.
///
/// # Errors
/// If it is none; it is not said why, because its text may hold values. Control characters are let through: what is in the
/// string is JSON, and is looked at next.
pub(crate) fn unescape(string: &str, out: &mut String) -> Result<(), ()> {
    out.clear();
    let mut rest = string.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(())?;
    // Texts that hold JSON have an escape every few bytes: a search that is made for long distances would cost more.
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'\\' | b'"')) {
        out.push_str(&rest[..at]);
        let bytes = rest.as_bytes();
        if bytes[at] != b'\\' {
            return Err(());
        }
        let (character, length) = match bytes.get(at + 1).ok_or(())? {
            b'n' => ('\n', 2),
            b'"' => ('"', 2),
            b'\\' => ('\\', 2),
            b'/' => ('/', 2),
            b't' => ('\t', 2),
            b'r' => ('\r', 2),
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'u' => code_point(&bytes[at..])?,
            _ => return Err(()),
        };
        out.push(character);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    Ok(())
}

/// The character of `\uXXXX`, or of two of them, and how many bytes they are.
fn code_point(bytes: &[u8]) -> Result<(char, usize), ()> {
    let unit = |at: usize| -> Result<u32, ()> {
        let digits = bytes.get(at..at + 6).filter(|text| text.starts_with(b"\\u")).ok_or(())?;
        digits[2..]
            .iter()
            .try_fold(0, |value, digit| Ok(value * 16 + (*digit as char).to_digit(16).ok_or(())?))
    };
    let first = unit(0)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Ok((char::from_u32(first).ok_or(())?, 6));
    }
    let second = unit(6)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(());
    }
    let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    Ok((char::from_u32(code).ok_or(())?, 12))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Scenario: any text, written by serde_json, and any bytes that look like a string. Guarantees: G4, it reads what
    /// serde_json reads.
    #[test]
    fn it_reads_what_serde_json_reads() {
        proptest!(|(text in ".{0,20}", raw in "\"[a\"\\\\nu0d8cDC😀]{0,16}\"")| {
            let mut out = String::new();
            for string in [serde_json::to_string(&text).unwrap(), raw] {
                let expected = serde_json::from_str::<String>(&string).ok();
                prop_assert_eq!(unescape(&string, &mut out).ok().map(|()| out.clone()), expected);
            }
        });
        let mut out = String::new();
        unescape("\"\\ud83d\\ude00\\/\\b\"", &mut out).unwrap();
        assert_eq!(out, "😀/\u{8}");
    }
}
