//! Configuration: plain data that a TOML file and a library user build alike.
//!
//! Each component owns a `Config` that implements [`Configure`]. What is wrong with one is a [`Problem`], in a
//! form that a file's reader can underline. Durations and sizes are strings with units ([`Span`], [`Size`]).

use std::{fmt, path::Path, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A component's configuration: plain data, strict about its keys (`deny_unknown_fields`).
pub trait Configure: Clone + fmt::Debug + for<'de> Deserialize<'de> {
    /// Everything that is wrong with it, found without opening anything.
    fn check(&self) -> Vec<Problem> {
        Vec::new()
    }

    /// Makes relative paths absolute: they are relative to the directory of the file they stand in.
    fn resolve(&mut self, base: &Path) {
        let _ = base;
    }

    /// What a sink of this configuration promises; nothing for other stages.
    fn guarantee(&self) -> Option<Guarantee> {
        None
    }
}

/// How often a record shows where a sink delivers it, whatever happens between; and on what grounds and under what
/// condition, as a clause for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Nothing is lost and nothing shows twice.
    ExactlyOnce(String),
    /// Nothing is lost; what a crash interrupts may show twice.
    AtLeastOnce(String),
}

impl Guarantee {
    /// `exactly once` or `at least once`.
    pub fn name(&self) -> &'static str {
        match self {
            Guarantee::ExactlyOnce(_) => "exactly once",
            Guarantee::AtLeastOnce(_) => "at least once",
        }
    }

    /// On what grounds.
    pub fn why(&self) -> &str {
        let (Guarantee::ExactlyOnce(why) | Guarantee::AtLeastOnce(why)) = self;
        why
    }
}

/// One problem of a component's `Config`, found without opening anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: the keys from the component's own table down (`["store", "days"]`); empty for the whole.
    pub key_path: Vec<String>,
    /// What was expected and what was found.
    pub message: String,
    /// One thing to do, or one suggestion.
    pub help: Option<String>,
    /// Byte range inside the text of the value, where only part of it is wrong (an expression).
    pub span: Option<std::ops::Range<usize>>,
    /// Whether it only warns (a missing environment variable).
    pub warning: bool,
}

impl Problem {
    /// A problem of the value at `key_path` (dots separate keys).
    pub fn new(key_path: &str, message: impl Into<String>) -> Problem {
        Problem {
            key_path: key_path.split('.').filter(|key| !key.is_empty()).map(str::to_owned).collect(),
            message: message.into(),
            help: None,
            span: None,
            warning: false,
        }
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// Narrows it to a byte range of the value's text.
    pub fn span(mut self, span: std::ops::Range<usize>) -> Problem {
        self.span = Some(span);
        self
    }
}

/// A length of time as configuration writes it: `500ms`, `1s`, `90s`, `6h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A number of bytes as configuration writes it: `4096B`, `64KiB`, `1MiB`, `10MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Units of a [`Span`], in ms.
const SPAN_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("min", 60_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of a [`Size`], in bytes.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A whole number followed by one of `units`, times what the unit stands for.
fn number_with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Span, String> {
        number_with_unit(text, SPAN_UNITS).map(|ms| Span(Duration::from_millis(ms))).ok_or_else(|| {
            "expected a whole number with a unit, such as \"500ms\", \"1s\", \"5min\", \"6h\" or \"7d\""
                .to_owned()
        })
    }
}

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Size, String> {
        number_with_unit(text, SIZE_UNITS).map(Size).ok_or_else(|| {
            "expected a whole number with a unit, such as \"4096B\", \"64KiB\" or \"1MiB\"".to_owned()
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        match [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)]
            .iter()
            .find(|(_, factor)| ms > 0 && ms.is_multiple_of(*factor))
        {
            Some((unit, factor)) => write!(f, "{}{unit}", ms / factor),
            None => write!(f, "{ms}ms"),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
            .iter()
            .find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor))
        {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// Text forms of `$type`, which implements `FromStr` and `Display`.
macro_rules! as_text {
    ($type:ty, $expecting:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(de::Error::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

as_text!(Span, "a duration with a unit, such as \"1s\"");
as_text!(Size, "a size with a unit, such as \"1MiB\"");

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: durations and sizes as people write them. Guarantees: none is misread in silence.
    #[test]
    fn spans_and_sizes_need_units() {
        assert_eq!("90s".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!("6 h".parse::<Span>().unwrap().to_string(), "6h");
        assert_eq!("1MiB".parse(), Ok(Size(1 << 20)));
        assert_eq!("10MB".parse::<Size>().unwrap().to_string(), "10000000B");
        for bad in ["", "5", "s", "-1s", "1.5s", "1 fortnight", "99999999999999999999s"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }
}
