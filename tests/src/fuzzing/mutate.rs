//! [`Pool`]: inputs, and others made from them.
//!
//! There is no look into the program: an input is kept when it *behaves* as none before (an error with other words, another number
//! of records), which is where parsers branch, too.

use std::collections::HashSet;

/// Most inputs that are kept: the oldest of those that were learnt make room.
const KEPT: usize = 2000;
/// The longest input that is made: parsers have nothing new to say of longer ones.
const LONGEST: usize = 1 << 16;
/// Most changes of one input.
const CHANGES: usize = 6;
/// What parsers of numbers, texts and structures branch on.
const TOKENS: &[&[u8]] = &[
    b"0",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"NaN",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b"\"",
    b"'",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b",",
    b":",
    b"\n",
    b"\r\n",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\0",
    b"\"\"\"",
    b"[[",
    b"]]",
    b"<",
    b"/>",
    b"<![CDATA[",
    b"&#0;",
    b"&lt;",
    b"<!--",
    b"2025-01-01T00:00:00Z",
    b"9999-12-31T23:59:60Z",
    b"-262144-01-01",
    b"\"deleted\":true",
    b"\"value\":",
    b"\"metadata\":{\"a\":{\"value\":1,\"unit\":\"kg\"}}",
    b"HeartRate",
    b"HKQuantityTypeIdentifierStepCount",
    b"count/min",
    b"kg.m/s^2",
    b"&&",
    b"||",
    b"!",
    b"==",
    b" in ",
    b"has(",
    b"size(",
    b"duration('1h')",
    b"timestamp('",
    b"source.name",
    b"metadata.",
    b"type = ",
    b"when = ",
    b"every = \"1s\"",
    b"${",
    b"# ",
];

/// Inputs, and others made from them.
#[derive(Debug)]
pub(super) struct Pool {
    inputs: Vec<Vec<u8>>,
    /// How many of them are the corpus, which stays.
    corpus: usize,
    learnt: HashSet<u64>,
    random: fastrand::Rng,
}

#[allow(clippy::disallowed_methods, reason = "the fuzzer's own seed")]
fn seeded(seed: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed)
}

impl Pool {
    pub(super) fn new(mut inputs: Vec<Vec<u8>>, seed: u64) -> Pool {
        inputs.push(Vec::new());
        Pool { corpus: inputs.len(), inputs, learnt: HashSet::new(), random: seeded(seed) }
    }

    /// An input that was made from others.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let mut input = self.any().to_vec();
        for _ in 0..1 + self.random.usize(..CHANGES) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    /// Keeps `input` if nothing has behaved so before; whether it did.
    pub(super) fn learn(&mut self, behaviour: u64, input: Vec<u8>) -> bool {
        let is_new = self.learnt.insert(behaviour);
        if is_new {
            if self.inputs.len() >= KEPT {
                self.inputs.remove(self.corpus);
            }
            self.inputs.push(input);
        }
        is_new
    }

    fn any(&mut self) -> &[u8] {
        &self.inputs[self.random.usize(..self.inputs.len())]
    }

    /// A place in something of this length, its end included.
    fn place(&mut self, length: usize) -> usize {
        self.random.usize(..=length)
    }

    /// A range, mostly a short one.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.place(length);
        let longest = if self.random.u8(..4) == 0 { length } else { 16 };
        let end = (start + self.random.usize(..=longest)).min(length);
        start..end
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        match self.random.u8(..9) {
            0 if !input.is_empty() => {
                let bit = self.random.usize(..input.len() * 8);
                input[bit / 8] ^= 1 << (bit % 8);
            }
            1 if !input.is_empty() => {
                let place = self.random.usize(..input.len());
                input[place] = self.random.u8(..);
            }
            2 => {
                let range = self.range(input.len());
                input.drain(range);
            }
            3 => {
                let range = self.range(input.len());
                let copied = input[range].to_vec();
                let times = if self.random.u8(..8) == 0 { self.random.usize(1..200) } else { 1 };
                let place = self.place(input.len());
                input.splice(place..place, copied.repeat(times));
            }
            4 | 5 => {
                let token = TOKENS[self.random.usize(..TOKENS.len())];
                let place = self.place(input.len());
                let over = if self.random.bool() { token.len() } else { 0 };
                let end = (place + over).min(input.len());
                input.splice(place..end, token.iter().copied());
            }
            6 => {
                let other = self.any().to_vec();
                let (range, place) = (self.range(other.len()), self.place(input.len()));
                input.splice(place..place, other[range].iter().copied());
            }
            7 => {
                let other = self.any().to_vec();
                let (cut, from) = (self.place(input.len()), self.place(other.len()));
                input.truncate(cut);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let (number, place) = (self.random.u64(..) >> self.random.u32(..64), self.place(input.len()));
                let bytes = if self.random.bool() {
                    number.to_string().into_bytes()
                } else {
                    number.to_le_bytes().to_vec()
                };
                let end = (place + bytes.len()).min(input.len());
                input.splice(place..end, bytes);
            }
        }
        input.truncate(LONGEST);
    }
}
