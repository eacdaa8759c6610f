//! Raw text as what it says.

use std::borrow::Cow;

use memchr::memchr;
use quick_xml::escape::unescape;

/// Longest reference, from `&` to `;`, that is resolved: XML's own have at most ten bytes, numbers may begin with zeros.
const MAX_REFERENCE_BYTES: usize = 16;

/// The text of a raw attribute value: white space as XML normalises it, references resolved, control characters
/// (which XML forbids, and which exports have) dropped. What looks like a reference and is none stays as it is.
pub(super) fn text(raw: &str) -> Cow<'_, str> {
    if !raw.bytes().any(|byte| byte == b'&' || byte < b' ') {
        return Cow::Borrowed(raw);
    }
    // An end of a line is one character to XML, whatever it is in the file.
    let normalised = raw.replace("\r\n", " ").replace(['\t', '\n', '\r'], " ");
    let mut text = resolve(&normalised);
    text.retain(|c| !is_forbidden(c as u32));
    Cow::Owned(text)
}

/// `raw` with its references resolved, each by itself, so that a bare `&` costs no other one.
fn resolve(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let near = &rest.as_bytes()[..rest.len().min(MAX_REFERENCE_BYTES)];
        let reference = memchr(b';', near).map_or("&", |end| &rest[..=end]);
        match unescape(reference) {
            Ok(resolved) => {
                text.push_str(&resolved);
                rest = &rest[reference.len()..];
            }
            Err(_) => {
                text.push('&');
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    text
}

/// Whether XML forbids the character: a control character other than white space.
fn is_forbidden(c: u32) -> bool {
    c < 0x20 && !matches!(c, 0x09 | 0x0a | 0x0d)
}

/// `bytes` without the control characters that XML forbids, in `scratch` if there are any.
pub(super) fn without_controls<'a>(bytes: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    // Without an early exit the loop is vectorised, and nearly all elements are clean.
    if !bytes.iter().fold(false, |found, byte| found | is_forbidden(u32::from(*byte))) {
        return bytes;
    }
    scratch.clear();
    scratch.extend(bytes.iter().copied().filter(|byte| !is_forbidden(u32::from(*byte))));
    scratch
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: attribute values with references, white space and what is neither. Guarantees: G4, the text is what XML
    /// says it is; what XML refuses changes nothing but itself.
    #[test]
    fn texts() {
        for (raw, expected) in [
            (
                "Kim&#8217;s &lt;Watch&gt; &quot;a&quot; &apos;b&apos; &amp;amp;",
                "Kim’s <Watch> \"a\" 'b' &amp;",
            ),
            ("&#x1f9e0; 心拍", "🧠 心拍"),
            ("a\tb\nc\r\nd\re", "a b c d e"),
            ("a&#10;b&#9;c", "a\nb\tc"),
            ("Tom & Ada &lt;both&gt;", "Tom & Ada <both>"),
            ("&amp &unknown; &#xffffff; &; &#8217;", "&amp &unknown; &#xffffff; &; ’"),
            ("&& 心心心心心心心心;", "&& 心心心心心心心心;"),
            ("a\x0bb&#11;c", "abc"),
            ("&", "&"),
        ] {
            assert_eq!(text(raw), expected, "{raw:?}");
        }
    }
}
