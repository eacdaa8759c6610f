//! [`Quick`]: goes through the JSON that feeds really send, and gives up on all other.
//!
//! A feed is written by one program in one way, record after record. This reads such records in one pass, without a step for
//! each value through a library; and where it gives up (at an escape in a key, a slip, depth), the caller reads the same text
//! from its beginning with serde_json, which alone says what is wrong and in which words. So this may give up wherever it
//! likes. What it *accepts* has to be JSON, and has to be what serde_json reads: a property test compares them.

/// How deep arrays and objects may lie in one another in what is passed over; deeper ones are for serde_json, which needs no
/// stack for them.
const MAX_DEPTH: usize = 16;

/// A byte in each of eight.
const ONES: u64 = u64::MAX / 255;

/// A place in a text of JSON. `None` from any method: it gave up, and the place means nothing any more.
#[derive(Clone, Debug)]
pub(crate) struct Quick<'t> {
    text: &'t str,
    at: usize,
}

/// A text as it stands between its quotes.
#[derive(Clone, Copy, Debug)]
struct Quoted<'t> {
    text: &'t str,
    is_escaped: bool,
}

impl<'t> Quick<'t> {
    pub(crate) fn new(text: &'t str) -> Quick<'t> {
        Quick { text, at: 0 }
    }

    /// Goes into the array or object that begins with `bracket`.
    pub(crate) fn enter(&mut self, bracket: u8) -> Option<()> {
        (self.next_byte()? == bracket).then_some(())
    }

    /// Goes to the value behind the next key of an object: the key, or none at its end.
    #[inline]
    pub(crate) fn key(&mut self, is_first: bool) -> Option<Option<&'t str>> {
        match self.next_byte()? {
            b'"' if is_first => {}
            b',' if !is_first => {
                if self.next_byte()? != b'"' {
                    return None;
                }
            }
            b'}' => return Some(None),
            _ => return None,
        }
        let key = self.quoted()?;
        if key.is_escaped || self.next_byte()? != b':' {
            return None;
        }
        self.pass_space();
        Some(Some(key.text))
    }

    /// The next entry of an object, or none at its end.
    #[inline]
    pub(crate) fn entry(&mut self, is_first: bool) -> Option<Option<(&'t str, &'t str)>> {
        match self.key(is_first)? {
            Some(key) => Some(Some((key, self.value()?))),
            None => Some(None),
        }
    }

    /// The next element of an array, or none at its end.
    #[inline]
    pub(crate) fn item(&mut self, is_first: bool) -> Option<Option<&'t str>> {
        if self.element(is_first)? { self.value().map(Some) } else { Some(None) }
    }

    /// Goes to the next element of an array; whether there is one.
    fn element(&mut self, is_first: bool) -> Option<bool> {
        self.pass_space();
        match self.byte()? {
            b']' => {
                self.at += 1;
                return Some(false);
            }
            b',' if !is_first => {
                self.at += 1;
                self.pass_space();
            }
            _ if is_first => {}
            _ => return None,
        }
        Some(true)
    }

    /// Passes over the value that begins here; its text.
    #[inline]
    pub(crate) fn value(&mut self) -> Option<&'t str> {
        let begin = self.at;
        self.pass(MAX_DEPTH)?;
        Some(&self.text[begin..self.at])
    }

    /// Passes over an object; its text.
    #[inline]
    pub(crate) fn object(&mut self) -> Option<&'t str> {
        if self.is_at(b'{') { self.value() } else { None }
    }

    fn is_at(&self, byte: u8) -> bool {
        self.byte() == Some(byte)
    }

    /// Passes over a text without escapes.
    #[inline]
    pub(crate) fn plain_text(&mut self) -> Option<&'t str> {
        if !self.is_at(b'"') {
            return None;
        }
        self.at += 1;
        let quoted = self.quoted()?;
        (!quoted.is_escaped).then_some(quoted.text)
    }

    /// Passes over a number; its text, and whether it is written as a whole one.
    #[inline]
    pub(crate) fn number(&mut self) -> Option<(&'t str, bool)> {
        let begin = self.at;
        let is_whole = self.pass_number()?;
        Some((&self.text[begin..self.at], is_whole))
    }

    /// Passes over `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Option<bool> {
        let is_true = self.is_at(b't');
        self.pass_word(if is_true { "true" } else { "false" })?;
        Some(is_true)
    }

    /// Nothing but white space follows.
    pub(crate) fn end(&mut self) -> Option<()> {
        self.pass_space();
        (self.at == self.text.len()).then_some(())
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space, which is passed over too.
    #[inline]
    fn next_byte(&mut self) -> Option<u8> {
        self.pass_space();
        let byte = self.byte()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn pass_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    fn pass(&mut self, depth: usize) -> Option<()> {
        match self.byte()? {
            b'"' => {
                self.at += 1;
                self.quoted()?;
            }
            b'{' => {
                self.at += 1;
                let (depth, mut is_first) = (depth.checked_sub(1)?, true);
                while self.key(is_first)?.is_some() {
                    self.pass(depth)?;
                    is_first = false;
                }
            }
            b'[' => {
                self.at += 1;
                let (depth, mut is_first) = (depth.checked_sub(1)?, true);
                while self.element(is_first)? {
                    self.pass(depth)?;
                    is_first = false;
                }
            }
            b't' => self.pass_word("true")?,
            b'f' => self.pass_word("false")?,
            b'n' => self.pass_word("null")?,
            _ => {
                self.pass_number()?;
            }
        }
        Some(())
    }

    fn pass_word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes()[self.at..].starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// Whether the number is written as a whole one.
    #[inline]
    fn pass_number(&mut self) -> Option<bool> {
        if self.is_at(b'-') {
            self.at += 1;
        }
        if self.is_at(b'0') {
            self.at += 1;
            if self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
                return None;
            }
        } else {
            self.pass_digits()?;
        }
        let mut is_whole = true;
        if self.is_at(b'.') {
            self.at += 1;
            self.pass_digits()?;
            is_whole = false;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.pass_digits()?;
            is_whole = false;
        }
        Some(is_whole)
    }

    /// At least one.
    #[inline]
    fn pass_digits(&mut self) -> Option<()> {
        let begin = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > begin).then_some(())
    }

    /// Passes over the rest of a text, behind its first quote.
    #[inline]
    fn quoted(&mut self) -> Option<Quoted<'t>> {
        let (begin, mut is_escaped) = (self.at, false);
        loop {
            self.at += plain_bytes(self.text.as_bytes().get(self.at..)?);
            match self.byte()? {
                b'"' => break,
                b'\\' => {
                    is_escaped = true;
                    self.pass_escape()?;
                }
                // A control character.
                _ => return None,
            }
        }
        let text = &self.text[begin..self.at];
        self.at += 1;
        Some(Quoted { text, is_escaped })
    }

    fn pass_escape(&mut self) -> Option<()> {
        let escape = &self.text.as_bytes()[self.at..];
        self.at += match escape.get(1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' if escape.get(2..6)?.iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return None,
        };
        Some(())
    }
}

/// How many bytes there are before the first quote, backslash or control character, or in all.
#[inline]
fn plain_bytes(bytes: &[u8]) -> usize {
    let mut count = 0;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = first_of(control | matches_of(word, b'"') | matches_of(word, b'\\'));
        count += found;
        if found < 8 {
            return count;
        }
    }
    count + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count()
}

/// In the highest bit of each of eight bytes, whether it is `byte`: exact up to the first one that is (Mycroft's test).
#[inline]
pub(crate) fn matches_of(word: u64, byte: u8) -> u64 {
    let zero = word ^ (ONES * u64::from(byte));
    zero.wrapping_sub(ONES) & !zero
}

/// Which of eight bytes is the first whose highest bit is set; 8 if none is.
#[inline]
pub(crate) fn first_of(matches: u64) -> usize {
    (matches & (ONES << 7)).trailing_zeros() as usize / 8
}
