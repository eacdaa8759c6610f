//! Bounds an expression before it is parsed.
//!
//! The parser recurses once per bracket and once per link of a chain such as `a + b + c` or `a.b.c`, and so do
//! the checker and the evaluator. [`check`] refuses what would overflow a small stack (a phone's threads have
//! 512 KiB), and texts whose end the parser would have to guess.

use std::ops::Range;

use afferent_core::Problem;

/// Longest expression, in bytes: a list of all of HealthKit's types by their full names fits twice.
pub const MAX_EXPRESSION_BYTES: usize = 16 << 10;

/// Brackets that may be open at once. The parser uses about 9 KiB of stack for each in an unoptimised build.
pub const MAX_BRACKETS: usize = 24;

/// How deep the syntax tree may get: open brackets, the links of a chain in each, and the branches of `? :`.
/// `&&`, `||` and commas do not deepen it.
pub const MAX_DEPTH: usize = 64;

/// What tells how deep an expression is, in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Open,
    Close,
    /// `&&`, `||`, `,`, `:`: the chain before it is over.
    Separator,
    /// `?`: all that follows in this bracket is one level deeper.
    Branch,
    /// An operator or a dot: the chain gets one link longer.
    Link,
}

/// The levels of one bracket.
#[derive(Clone, Copy, Default)]
struct Level {
    branches: usize,
    chain: usize,
}

/// Checks that `source` is within the limits and that its texts end.
pub(super) fn check(source: &str) -> Result<(), Problem> {
    if source.len() > MAX_EXPRESSION_BYTES {
        let message =
            format!("an expression has at most {MAX_EXPRESSION_BYTES} bytes, this one has {}", source.len());
        return Err(Problem::new("", message).help("split it into several transforms"));
    }
    let mut levels = vec![Level::default()];
    for piece in Pieces::new(source) {
        let (at, piece) = piece?;
        match piece {
            Piece::Open => levels.push(Level::default()),
            // More are closed than were opened: the parser says where.
            Piece::Close if levels.len() == 1 => return Ok(()),
            Piece::Close => {
                levels.pop();
            }
            Piece::Separator | Piece::Branch | Piece::Link => {}
        }
        if let Some(level) = levels.last_mut() {
            match piece {
                Piece::Open => {}
                Piece::Close | Piece::Link => level.chain += 1,
                Piece::Separator => level.chain = 0,
                Piece::Branch => *level = Level { branches: level.branches + 1, chain: 0 },
            }
        }
        let brackets = levels.len() - 1;
        let depth = brackets + levels.iter().map(|level| level.branches + level.chain).sum::<usize>();
        if brackets > MAX_BRACKETS || depth > MAX_DEPTH {
            let message = "the expression is nested too deeply here";
            return Err(Problem::new("", message)
                .help(format!("at most {MAX_BRACKETS} open brackets and {MAX_DEPTH} levels; split it into several transforms"))
                .span(at..at + 1));
        }
    }
    Ok(())
}

/// Widens `range` of `source` to the brackets that it opens or closes but does not hold.
pub(super) fn balance(source: &str, range: Range<usize>) -> Range<usize> {
    let (mut open, mut unopened) = (0_usize, 0_usize);
    for (_, piece) in Pieces::new(&source[range.clone()]).flatten() {
        match piece {
            Piece::Open => open += 1,
            Piece::Close if open == 0 => unopened += 1,
            Piece::Close => open -= 1,
            Piece::Separator | Piece::Branch | Piece::Link => {}
        }
    }
    let Range { mut start, mut end } = range;
    for _ in 0..unopened {
        let before = source[..start].trim_end();
        if !before.ends_with(['(', '[', '{']) {
            break;
        }
        start = before.len() - 1;
    }
    for _ in 0..open {
        let after = source[end..].trim_start().trim_start_matches(',').trim_start();
        if !after.starts_with([')', ']', '}']) {
            break;
        }
        end = source.len() - after.len() + 1;
    }
    start..end
}

/// The pieces of an expression with their offsets; texts and comments are passed over.
struct Pieces<'s> {
    bytes: &'s [u8],
    position: usize,
}

impl<'s> Pieces<'s> {
    fn new(source: &'s str) -> Pieces<'s> {
        Pieces { bytes: source.as_bytes(), position: 0 }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.position + ahead).copied()
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&keep) {
            self.position += 1;
        }
    }

    /// Passes over the text whose opening quote is next.
    fn text(&mut self, raw: bool) -> Result<(), Problem> {
        let start = self.position;
        let quote = self.bytes[start];
        let long = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        self.position += if long { 3 } else { 1 };
        loop {
            match self.peek(0) {
                Some(byte) if byte == quote => {
                    if !long {
                        self.position += 1;
                        return Ok(());
                    }
                    if self.peek(1) == Some(quote) && self.peek(2) == Some(quote) {
                        self.position += 3;
                        return Ok(());
                    }
                    self.position += 1;
                }
                Some(b'\\') if !raw => self.escape()?,
                Some(b'\n' | b'\r') | None if !long => break,
                Some(_) => self.position += 1,
                None => break,
            }
        }
        let quotes = char::from(quote).to_string().repeat(if long { 3 } else { 1 });
        Err(Problem::new("", "the text that begins here has no end")
            .help(format!("close it with {quotes}"))
            .span(start..self.position))
    }

    fn escape(&mut self) -> Result<(), Problem> {
        let start = self.position;
        let (digits, radix) = match self.peek(1) {
            Some(b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'\\' | b'\'' | b'"' | b'`' | b'?') => {
                (0, 10)
            }
            Some(b'x' | b'X') => (2, 16),
            Some(b'u') => (4, 16),
            Some(b'U') => (8, 16),
            Some(b'0'..=b'3') => (2, 8),
            _ => return Err(bad_escape(start..self.bytes.len().min(start + 1))),
        };
        let end = start + 2 + digits;
        let complete = self
            .bytes
            .get(start + 2..end)
            .is_some_and(|found| found.iter().all(|byte| char::from(*byte).is_digit(radix)));
        if !complete {
            return Err(bad_escape(start..start + 2));
        }
        self.position = end;
        Ok(())
    }
}

fn bad_escape(span: Range<usize>) -> Problem {
    Problem::new("", "this is no escape sequence")
        .help("write a backslash as `\\\\`, or the text as r'…', where backslashes mean themselves")
        .span(span)
}

impl Iterator for Pieces<'_> {
    type Item = Result<(usize, Piece), Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.position;
            let byte = self.peek(0)?;
            let piece = match byte {
                b'\'' | b'"' => {
                    if let Err(problem) = self.text(false) {
                        self.position = self.bytes.len();
                        return Some(Err(problem));
                    }
                    continue;
                }
                b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                    self.skip_while(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
                    let word = &self.bytes[at..self.position];
                    let raw = word.len() <= 2 && word.iter().any(|byte| matches!(byte, b'r' | b'R'));
                    if raw && matches!(self.peek(0), Some(b'\'' | b'"')) {
                        if let Err(problem) = self.text(true) {
                            self.position = self.bytes.len();
                            return Some(Err(problem));
                        }
                        continue;
                    }
                    if word != b"in" {
                        continue;
                    }
                    return Some(Ok((at, Piece::Link)));
                }
                b'/' if self.peek(1) == Some(b'/') => {
                    self.skip_while(|byte| byte != b'\n');
                    continue;
                }
                b'(' | b'[' | b'{' => Piece::Open,
                b')' | b']' | b'}' => Piece::Close,
                b',' | b':' | b'&' | b'|' => Piece::Separator,
                b'?' => Piece::Branch,
                b'<' | b'>' | b'=' | b'!' | b'+' | b'-' | b'*' | b'/' | b'%' | b'.' => Piece::Link,
                _ => {
                    self.position += 1;
                    continue;
                }
            };
            self.position +=
                if self.peek(1) == Some(b'=') && matches!(byte, b'<' | b'>' | b'=' | b'!') { 2 } else { 1 };
            return Some(Ok((at, piece)));
        }
    }
}
