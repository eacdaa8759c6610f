//! The keys of a `Config`, asked from serde: a derived `Deserialize` names its fields before it reads any.

use serde::{
    Deserialize,
    de::{self, Visitor, value::Error},
    forward_to_deserialize_any,
};

/// The field names of `C`; none if it is no struct.
pub(super) fn of<C: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // It fails, always: there is nothing to read.
    let _ = C::deserialize(Recorder(&mut keys));
    keys
}

struct Recorder<'k>(&'k mut &'static [&'static str]);

impl<'de> de::Deserializer<'de> for Recorder<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("nothing to read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = keys;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a derived configuration. Guarantees: documentation lists the keys it really has, as files write them.
    #[test]
    fn names_the_fields() {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[allow(dead_code, reason = "only its fields' names are read")]
        struct Config {
            path: String,
            max_age: u32,
        }
        assert_eq!(of::<Config>(), ["path", "max-age"]);
        assert!(of::<u32>().is_empty());
    }
}
