//! Formats by name in configurations: what is offered for a misspelt one is what can be read there, or written.

use std::{fmt, sync::LazyLock};

use serde::{
    Deserializer,
    de::{Error, Visitor},
};

use crate::Format;

static READ: LazyLock<Vec<&str>> = LazyLock::new(|| names(|format| format.check_read().is_none()));
static WRITTEN: LazyLock<Vec<&str>> = LazyLock::new(|| names(|format| format.check_written().is_none()));

fn names(is_one: fn(Format) -> bool) -> Vec<&'static str> {
    Format::ALL.iter().filter(|format| is_one(**format)).map(|format| format.name()).collect()
}

impl Format {
    /// A format by its name, where records are read: for `#[serde(deserialize_with = "…")]`.
    ///
    /// # Errors
    /// If no format has that name. One that is only written has it: what is wrong with it says [`check_read`](Format::check_read).
    pub fn deserialize_read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
        deserializer.deserialize_str(Named { known: &READ })
    }

    /// A format by its name, where records are written.
    ///
    /// # Errors
    /// As [`deserialize_read`](Format::deserialize_read), with [`check_written`](Format::check_written).
    pub fn deserialize_written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
        deserializer.deserialize_str(Named { known: &WRITTEN })
    }
}

struct Named {
    /// What is offered.
    known: &'static [&'static str],
}

impl Visitor<'_> for Named {
    type Value = Format;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Format, E> {
        let found = Format::ALL.iter().find(|format| format.name() == name);
        found.copied().ok_or_else(|| E::unknown_variant(name, self.known))
    }
}

#[cfg(test)]
mod tests {
    use serde::de::{IntoDeserializer, value::StrDeserializer};

    use super::*;

    type Fault = serde::de::value::Error;

    fn text(name: &str) -> StrDeserializer<'_, Fault> {
        name.into_deserializer()
    }

    /// Scenario: each format by its name, in a source and in a sink, and a misspelt one. Guarantees: every name is known in both;
    /// what is offered instead of another can be read there, or written.
    #[test]
    fn what_is_offered_can_be_used() {
        for format in Format::ALL {
            assert_eq!(Format::deserialize_read(text(format.name())).ok(), Some(*format));
            assert_eq!(Format::deserialize_written(text(format.name())).ok(), Some(*format));
        }
        let read = Format::deserialize_read(text("jsno")).unwrap_err().to_string();
        let written = Format::deserialize_written(text("jsno")).unwrap_err().to_string();
        for format in Format::ALL {
            let name = format!("`{}`", format.name());
            assert_eq!(read.contains(&name), format.check_read().is_none(), "{read}");
            assert_eq!(written.contains(&name), format.check_written().is_none(), "{written}");
        }
    }
}
