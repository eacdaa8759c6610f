//! [`Insert`]: the statement that nearly every record is.

use afferent_core::RecordId;
use rusqlite::{
    CachedStatement, Connection,
    types::{ToSqlOutput, ValueRef},
};

const INSERT: &str = "INSERT INTO sample \
    (type, month, revision, start, \"end\", unit, subject, origin, zone, id, value, metadata) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING";

/// How many whole numbers a row has; they are the first parameters.
const NUMBERS: usize = 9;
const ID: usize = 10;
const VALUE: usize = 11;
const METADATA: usize = 12;

/// The statement with what is bound to it. Records that follow one another are much alike, and binding a parameter
/// costs a twentieth of what inserting a row does: only what is another than before is bound.
pub(super) struct Insert<'a> {
    statement: CachedStatement<'a>,
    /// `None` before the first row.
    numbers: Option<[Option<i64>; NUMBERS]>,
    has_metadata: bool,
}

impl<'a> Insert<'a> {
    pub(super) fn new(connection: &'a Connection) -> rusqlite::Result<Insert<'a>> {
        let statement = connection.prepare_cached(INSERT)?;
        // Nothing is bound, which is NULL.
        Ok(Insert { statement, numbers: None, has_metadata: false })
    }

    /// Inserts a row, unless one of its key stands there. `numbers` are in the order of [`INSERT`]'s columns.
    pub(super) fn row(
        &mut self,
        numbers: [Option<i64>; NUMBERS],
        id: RecordId,
        value: ValueRef<'_>,
        metadata: Option<&[u8]>,
    ) -> rusqlite::Result<()> {
        for (index, number) in numbers.iter().enumerate() {
            if self.numbers.is_none_or(|bound| bound[index] != *number) {
                self.statement.raw_bind_parameter(index + 1, number)?;
            }
        }
        self.numbers = Some(numbers);
        self.statement.raw_bind_parameter(ID, id.to_bytes())?;
        self.statement.raw_bind_parameter(VALUE, ToSqlOutput::Borrowed(value))?;
        if metadata.is_some() || self.has_metadata {
            let metadata = metadata.map_or(ValueRef::Null, ValueRef::Text);
            self.statement.raw_bind_parameter(METADATA, ToSqlOutput::Borrowed(metadata))?;
        }
        self.has_metadata = metadata.is_some();
        self.statement.raw_execute()?;
        Ok(())
    }
}
