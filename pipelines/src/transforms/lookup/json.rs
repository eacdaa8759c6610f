//! Tables in JSON: an array of objects, or an object a line. Cells are texts, numbers and truth values; what is null or not
//! there is empty.

use std::{borrow::Cow, fmt};

use afferent_core::{MetaValue, NameCache};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::rows::{Column, Fault, Row, push};

/// Whole numbers up to this are exact as doubles.
const EXACT: u64 = 1 << 53;

/// The rows of both forms: an array begins with its bracket.
pub(super) fn read(text: &str, columns: &[Column]) -> Result<Vec<Row>, Fault> {
    let mut table =
        Table { columns, names: NameCache::default(), rows: Vec::new(), seen: vec![false; columns.len()] };
    if text.trim_start().starts_with('[') {
        let objects: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| {
            let message =
                format!("expected an array of objects in JSON; it breaks at column {}", error.column());
            Fault::new(error.line() as u64, message)
        })?;
        let (mut line, mut at) = (1, 0);
        for object in objects.iter().map(|object| object.get()) {
            let begin = object.as_ptr() as usize - text.as_ptr() as usize;
            line += text[at..begin].bytes().filter(|byte| *byte == b'\n').count() as u64;
            at = begin;
            table.add(object, line)?;
        }
    } else {
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let object: &RawValue = serde_json::from_str(line).map_err(|error| {
                let message = format!("expected an object in JSON; it breaks at column {}", error.column());
                Fault::new(number, message)
            })?;
            table.add(object.get(), number)?;
        }
    }
    let nowhere =
        |(column, seen): (&Column, &bool)| (column.is_required && !seen).then(|| column.name.clone());
    match columns.iter().zip(&table.seen).find_map(nowhere).filter(|_| !table.rows.is_empty()) {
        Some(column) => Err(Fault::new(0, format!("expected `{column}` in the objects, found it in none"))),
        None => Ok(table.rows),
    }
}

struct Table<'c> {
    columns: &'c [Column],
    names: NameCache,
    rows: Vec<Row>,
    /// Which columns any object has.
    seen: Vec<bool>,
}

impl Table<'_> {
    /// Adds the row of `object`, which is JSON.
    fn add(&mut self, object: &str, line: u64) -> Result<(), Fault> {
        if !object.starts_with('{') {
            return Err(Fault::new(line, "expected an object, found another value"));
        }
        let read = Object(self.columns).deserialize(&mut serde_json::Deserializer::from_str(object));
        // What is JSON can't fail here, apart from texts that are no Unicode.
        let cells = read.map_err(|_| Fault::new(line, "expected texts of Unicode, found a broken escape"))?;
        let mut row = Row { line, cells: Vec::with_capacity(cells.len()) };
        for ((column, cell), seen) in self.columns.iter().zip(cells).zip(&mut self.seen) {
            *seen |= !matches!(cell, Cell::Absent);
            let wrong = |what| Err(Fault::new(line, format!("`{}`: {what}", column.name)));
            row.cells.push(match cell {
                Cell::Absent | Cell::Null => None,
                Cell::Text(text) if text.is_empty() => None,
                Cell::Text(text) => Some(MetaValue::String(self.names.get(&text))),
                Cell::Number(number) => Some(MetaValue::Number(number)),
                Cell::Bool(value) => Some(MetaValue::Bool(value)),
                Cell::Nested => {
                    return wrong("expected a text, a number or a truth value, found more than one");
                }
                Cell::Inexact => {
                    return wrong("expected a number that a double can hold; write it as a text");
                }
                Cell::Twice => return wrong("expected it once in an object, found it twice"),
            });
        }
        push(&mut self.rows, row)
    }
}

/// What is in a column; what makes no cell is told apart by why.
#[derive(Clone)]
enum Cell<'de> {
    Absent,
    Null,
    Text(Cow<'de, str>),
    Number(f64),
    Bool(bool),
    Nested,
    Inexact,
    Twice,
}

/// Reads the columns of an object.
struct Object<'c>(&'c [Column]);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Vec<Cell<'de>>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Vec<Cell<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut cells = vec![Cell::Absent; self.0.len()];
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match self.0.iter().position(|column| column.name == key) {
                Some(place) if matches!(cells[place], Cell::Absent) => cells[place] = map.next_value()?,
                Some(place) => {
                    map.next_value::<IgnoredAny>()?;
                    cells[place] = Cell::Twice;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(cells)
    }
}

impl<'de> Deserialize<'de> for Cell<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cell<'de>, D::Error> {
        deserializer.deserialize_any(ReadCell)
    }
}

struct ReadCell;

impl<'de> Visitor<'de> for ReadCell {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::Null)
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Cell<'de>, E> {
        Ok(Cell::Bool(value))
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Cell<'de>, E> {
        Ok(if value.unsigned_abs() <= EXACT { Cell::Number(value as f64) } else { Cell::Inexact })
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Cell<'de>, E> {
        Ok(if value <= EXACT { Cell::Number(value as f64) } else { Cell::Inexact })
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Cell<'de>, E> {
        Ok(Cell::Number(value))
    }
    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Borrowed(value)))
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(value.to_owned())))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Nested)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Cell<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Nested)
    }
}
