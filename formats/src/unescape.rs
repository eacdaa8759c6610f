//! [`unescape`]: the text of a JSON string that holds JSON, without a new allocation for each.

use crate::quick::{first_of, matches_of};

/// The text of the JSON string `string`, quotes included, in `buffer`, which is overwritten and keeps its allocation.
///
/// # Errors
/// If it is none; it is not said why, because its text may hold values. Control characters are let through: what is in the
/// string is JSON, and is looked at next.
pub(crate) fn unescape<'b>(string: &str, buffer: &'b mut Vec<u8>) -> Result<&'b str, ()> {
    let from = string.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(())?.as_bytes();
    // No escape is shorter than what it stands for. Eight bytes are copied at once, of which the last may lie behind the end.
    if buffer.len() < from.len() + 8 {
        buffer.resize(from.len() + 8, 0);
    }
    let (mut read, mut written) = (0, 0);
    while read < from.len() {
        // Texts that hold JSON have an escape every few bytes: a search that is made for long distances would cost more.
        if let Some(chunk) = from[read..].first_chunk::<8>() {
            let word = u64::from_le_bytes(*chunk);
            buffer[written..written + 8].copy_from_slice(chunk);
            let plain = first_of(matches_of(word, b'"') | matches_of(word, b'\\'));
            (read, written) = (read + plain, written + plain);
            if plain == 8 {
                continue;
            }
        } else if !matches!(from[read], b'"' | b'\\') {
            buffer[written] = from[read];
            (read, written) = (read + 1, written + 1);
            continue;
        }
        if from[read] == b'"' {
            return Err(());
        }
        let byte = match from.get(read + 1).ok_or(())? {
            b'"' => b'"',
            b'n' => b'\n',
            b'\\' => b'\\',
            b'/' => b'/',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let (character, length) = code_point(&from[read..])?;
                read += length;
                written += character.encode_utf8(&mut buffer[written..]).len();
                continue;
            }
            _ => return Err(()),
        };
        buffer[written] = byte;
        (read, written) = (read + 2, written + 1);
    }
    std::str::from_utf8(&buffer[..written]).map_err(|_| ())
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
            let mut buffer = Vec::new();
            for string in [serde_json::to_string(&text).unwrap(), raw] {
                let expected = serde_json::from_str::<String>(&string).ok();
                prop_assert_eq!(unescape(&string, &mut buffer).ok(), expected.as_deref());
            }
        });
        let string = "\"\\ud83d\\ude00\\/\\b\"";
        assert_eq!(unescape(string, &mut Vec::new()), Ok("😀/\u{8}"));
    }
}
