//! [`Object`]: writes a JSON object key by key.

use crate::wire::{write_number, write_text};

/// A JSON object while it is written.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    separator: u8,
}

impl<'o> Object<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Object<'o> {
        Object { out, separator: b'{' }
    }

    /// Writes a key; its value has to come next.
    pub(crate) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        self.out.push(self.separator);
        self.separator = b',';
        write_text(key, self.out);
        self.out.push(b':');
        self.out
    }

    /// Writes a text, if there is one.
    pub(crate) fn text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            write_text(text, self.key(key));
        }
    }

    /// Writes a number, if there is one.
    ///
    /// # Errors
    /// If it is not finite.
    pub(crate) fn number(&mut self, key: &str, number: Option<f64>) -> Result<(), String> {
        number.map_or(Ok(()), |number| write_number(number, self.key(key)))
    }

    /// Writes a whole number.
    pub(crate) fn whole(&mut self, key: &str, number: i64) {
        let out = self.key(key);
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Writes JSON as it is.
    pub(crate) fn raw(&mut self, key: &str, json: &str) {
        self.key(key).extend_from_slice(json.as_bytes());
    }

    pub(crate) fn end(self) {
        if self.separator == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }
}

/// Writes an array.
pub(crate) fn array<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out)?;
    }
    out.push(b']');
    Ok(())
}
