//! A serde `Deserializer` over a spanned TOML tree whose errors keep their structure and their place.
//!
//! It differs from the one of the `toml` crate in two ways. An error says *what* it is ([`What`]), not only how it
//! reads, so that it gets a stable code and a suggestion. And entries can be left out (`skip`), so that what was
//! reported already does not hide what comes after it; see [`strict`](super::strict).

use std::{collections::BTreeSet, fmt, ops::Range};

use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor, value::StrDeserializer,
};
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

/// Entries to leave out, each by where its key begins in the file.
pub(super) type Skip = BTreeSet<usize>;

/// What an error is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    UnknownKey { key: String, known: &'static [&'static str] },
    UnknownWord { known: &'static [&'static str] },
    MissingKey(&'static str),
    WrongType { expected: String, found: &'static str },
    BadValue(String),
}

/// An error and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeError {
    pub(super) what: What,
    /// The innermost key or value that was being read; `None` if it is about the outermost table as a whole.
    pub(super) span: Option<Range<usize>>,
    /// Where the key of the innermost entry begins.
    pub(super) entry: Option<usize>,
}

impl DeError {
    fn new(what: What) -> DeError {
        DeError { what, span: None, entry: None }
    }

    /// Gives it a place, unless something further in did.
    fn at(mut self, span: Range<usize>) -> DeError {
        self.span.get_or_insert(span);
        self
    }

    fn in_entry(mut self, key: &Spanned<DeString<'_>>) -> DeError {
        self.entry.get_or_insert(key.span().start);
        self
    }
}

impl fmt::Display for DeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.what)
    }
}

impl std::error::Error for DeError {}

impl de::Error for DeError {
    fn custom<T: fmt::Display>(message: T) -> DeError {
        DeError::new(What::BadValue(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> DeError {
        DeError::new(What::WrongType { expected: in_words(&expected.to_string()), found: name_of(&found) })
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn de::Expected) -> DeError {
        // The value itself is not repeated: it may have come from the environment.
        DeError::new(What::BadValue(format!("expected {}", in_words(&expected.to_string()))))
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> DeError {
        DeError::new(What::UnknownKey { key: key.to_owned(), known })
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> DeError {
        DeError::new(What::UnknownWord { known })
    }

    fn missing_field(key: &'static str) -> DeError {
        DeError::new(What::MissingKey(key))
    }
}

/// A value's type in the words of TOML.
fn name_of(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a float",
        Unexpected::Seq => "an array",
        Unexpected::Map => "a table",
        _ => "a string",
    }
}

/// What serde expects, in the words of TOML.
fn in_words(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "a table".to_owned(),
        "path string" => "a path".to_owned(),
        "string or map" => "a string or a table".to_owned(),
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum") => {
            "a table".to_owned()
        }
        other if other.starts_with("a nonzero ") => "a whole number, 1 or more".to_owned(),
        other if other.starts_with("variant ") || other.starts_with("enum ") => "a string".to_owned(),
        other => other.to_owned(),
    }
}

/// A value to be read.
#[derive(Clone, Copy)]
pub(super) struct Value<'d, 't> {
    value: &'d Spanned<DeValue<'t>>,
    skip: &'d Skip,
}

/// A table to be read.
#[derive(Clone, Copy)]
pub(super) struct Table<'d, 't> {
    pub(super) table: &'d DeTable<'t>,
    pub(super) skip: &'d Skip,
}

impl<'de> de::Deserializer<'de> for Table<'_, '_> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_map(Entries { entries: self.table.iter(), skip: self.skip, current: None })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> de::Deserializer<'de> for Value<'_, '_> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.value.get_ref() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            DeValue::Integer(value) => match i64::from_str_radix(value.as_str(), value.radix()) {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => match u64::from_str_radix(value.as_str(), value.radix()) {
                    Ok(number) => visitor.visit_u64(number),
                    Err(_) => Err(de::Error::custom("the number is too large")),
                },
            },
            DeValue::Float(value) => match value.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(de::Error::custom("the number can't be read")),
            },
            DeValue::Datetime(value) => visitor.visit_string(value.to_string()),
            DeValue::Array(array) => visitor.visit_seq(Items { items: array.iter(), skip: self.skip }),
            DeValue::Table(table) => Table { table, skip: self.skip }.deserialize_any(visitor),
        }
        .map_err(|error| error.at(self.value.span()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        let read = match self.value.get_ref() {
            DeValue::String(word) => {
                visitor.visit_enum(IntoDeserializer::<DeError>::into_deserializer(&**word))
            }
            DeValue::Table(table) => {
                let mut entries = table.iter().filter(|(key, _)| !self.skip.contains(&key.span().start));
                match (entries.next(), entries.next()) {
                    (Some((key, value)), None) => visitor.visit_enum(Variant { key, value, skip: self.skip }),
                    _ => Err(de::Error::custom("expected a table with exactly one key")),
                }
            }
            _ => self.deserialize_any(visitor),
        };
        read.map_err(|error| error.at(self.value.span()))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Entries<'d, 't> {
    entries: toml::map::Iter<'d, Spanned<DeString<'t>>, Spanned<DeValue<'t>>>,
    skip: &'d Skip,
    current: Option<(&'d Spanned<DeString<'t>>, &'d Spanned<DeValue<'t>>)>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = DeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DeError> {
        self.current = self.entries.by_ref().find(|(key, _)| !self.skip.contains(&key.span().start));
        let Some((key, _)) = self.current else { return Ok(None) };
        let text: StrDeserializer<'_, DeError> = key.get_ref().as_ref().into_deserializer();
        seed.deserialize(text).map(Some).map_err(|error| error.at(key.span()).in_entry(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DeError> {
        let (key, value) = self.current.take().expect("serde asks for a value only after its key");
        seed.deserialize(Value { value, skip: self.skip })
            .map_err(|error| error.at(value.span()).in_entry(key))
    }
}

struct Items<'d, 't> {
    items: std::slice::Iter<'d, Spanned<DeValue<'t>>>,
    skip: &'d Skip,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = DeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DeError> {
        let Some(value) = self.items.next() else { return Ok(None) };
        seed.deserialize(Value { value, skip: self.skip }).map(Some).map_err(|error| error.at(value.span()))
    }
}

/// `{ variant = content }`.
struct Variant<'d, 't> {
    key: &'d Spanned<DeString<'t>>,
    value: &'d Spanned<DeValue<'t>>,
    skip: &'d Skip,
}

impl<'de, 'd, 't> EnumAccess<'de> for Variant<'d, 't> {
    type Error = DeError;
    type Variant = Value<'d, 't>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Value<'d, 't>), DeError> {
        let text: StrDeserializer<'_, DeError> = self.key.get_ref().as_ref().into_deserializer();
        let variant = seed.deserialize(text).map_err(|error| error.at(self.key.span()))?;
        Ok((variant, Value { value: self.value, skip: self.skip }))
    }
}

impl<'de> VariantAccess<'de> for Value<'_, '_> {
    type Error = DeError;

    fn unit_variant(self) -> Result<(), DeError> {
        Err(DeError::new(What::BadValue("expected the word alone, without a table".to_owned()))
            .at(self.value.span()))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DeError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DeError> {
        de::Deserializer::deserialize_any(self, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        de::Deserializer::deserialize_any(self, visitor)
    }
}

/// The entries of a table and of all tables in it, each with the key's place.
pub(super) fn entries<'d, 't>(
    table: &'d DeTable<'t>,
    f: &mut dyn FnMut(&'d Spanned<DeString<'t>>, &'d Spanned<DeValue<'t>>),
) {
    for (key, value) in table.iter() {
        f(key, value);
        inner(value, f);
    }

    fn inner<'d, 't>(
        value: &'d Spanned<DeValue<'t>>,
        f: &mut dyn FnMut(&'d Spanned<DeString<'t>>, &'d Spanned<DeValue<'t>>),
    ) {
        match value.get_ref() {
            DeValue::Table(table) => entries(table, f),
            DeValue::Array(array) => array.iter().for_each(|item| inner(item, f)),
            _ => {}
        }
    }
}
