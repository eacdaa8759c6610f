//! A table as a checkpoint holds it.

use afferent_core::{MetaValue, NameCache};

use super::{MAX_TABLE_ROWS, rows::Row};
use crate::transforms::keyed::{self, Get, Put};

/// What is saved: what the rows depend on, the digest of the file that they are from, and the rows.
#[derive(Debug, PartialEq)]
pub(super) struct Saved {
    pub(super) basis: String,
    pub(super) digest: u128,
    pub(super) rows: Vec<Row>,
}

impl keyed::Row for Saved {
    fn put(&self, to: &mut Put<'_>) {
        to.text(Some(&self.basis));
        to.bytes(&self.digest.to_be_bytes());
        // Both are far below 2^32.
        to.u32(self.rows.len() as u32);
        to.u32(self.rows.first().map_or(0, |row| row.cells.len()) as u32);
        for cell in self.rows.iter().flat_map(|row| &row.cells) {
            put_cell(cell.as_ref(), to);
        }
    }

    fn get(from: &mut Get<'_>) -> Option<Saved> {
        let basis = from.text()??.to_owned();
        let digest = u128::from_be_bytes(from.bytes()?.try_into().ok()?);
        let (count, width) = (from.u32()?, from.u32()?);
        if count as usize > MAX_TABLE_ROWS {
            return None;
        }
        let mut names = NameCache::default();
        let mut cells = || (0..width).map(|_| get_cell(from, &mut names)).collect::<Option<Vec<_>>>();
        let rows = (0..count).map(|_| Some(Row { line: 0, cells: cells()? })).collect::<Option<Vec<_>>>()?;
        Some(Saved { basis, digest, rows })
    }
}

fn put_cell(cell: Option<&MetaValue>, to: &mut Put<'_>) {
    match cell {
        Some(MetaValue::String(text)) => {
            to.u8(1);
            to.bytes(text.as_bytes());
        }
        Some(MetaValue::Number(number)) => {
            to.u8(2);
            to.f64(*number);
        }
        Some(MetaValue::Bool(value)) => to.u8(3 + u8::from(*value)),
        // No cell is a time or a quantity.
        Some(MetaValue::Date(_) | MetaValue::Quantity(..)) | None => to.u8(0),
    }
}

fn get_cell(from: &mut Get<'_>, names: &mut NameCache) -> Option<Option<MetaValue>> {
    Some(match from.u8()? {
        0 => None,
        1 => Some(MetaValue::String(names.get(std::str::from_utf8(from.bytes()?).ok()?))),
        2 => Some(MetaValue::Number(from.f64()?)),
        value @ (3 | 4) => Some(MetaValue::Bool(value == 4)),
        _ => return None,
    })
}
