//! [`Samples`]: rows by identity.

use std::mem;

use afferent_core::{Batch, Census, Record, RecordId, Reject, Rejects, Value};
use afferent_formats::wire;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params, types::ValueRef};

use super::{dictionary::Dictionaries, insert::Insert, month::Months, runs::Runs};

const DELETE: &str = "DELETE FROM sample WHERE type = ?1 AND month = ?2 AND id = ?3";
const SEEK: &str = "SELECT month, id FROM sample WHERE type = ?1 AND (month, id) >= (?2, ?3) \
    ORDER BY month, id LIMIT 1";
const CHANGED: &str = "SELECT revision, type, month FROM changed WHERE id = ?1";
const CHANGE: &str = "INSERT OR REPLACE INTO changed (id, revision, type, month) VALUES (?1, ?2, ?3, ?4)";
const TOMBSTONE: &str = "INSERT INTO changed (id) VALUES (?1) \
    ON CONFLICT DO UPDATE SET revision = NULL, type = NULL, month = NULL";

/// Writes records into the rows of their ids, and counts what does not become one.
#[derive(Debug)]
pub(super) struct Samples {
    dictionaries: Dictionaries,
    months: Months,
    runs: Runs,
    /// Whether `changed` has a row; while it has none, no record has to be looked up in it.
    any_changed: bool,
    superseded: Census,
    rejects: Rejects,
    value: Vec<u8>,
    metadata: Vec<u8>,
}

/// Where the row of an id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    kind: i64,
    month: i64,
}

/// What `changed` says of an id.
#[derive(Clone, Copy, Debug)]
enum Changed {
    Deleted,
    Revised(u32, Place),
}

/// The statements that nearly every record needs.
struct Statements<'a> {
    insert: Insert<'a>,
    changed: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    fn new(connection: &'a Connection) -> rusqlite::Result<Statements<'a>> {
        Ok(Statements { insert: Insert::new(connection)?, changed: connection.prepare_cached(CHANGED)? })
    }
}

impl Samples {
    pub(super) fn new() -> Samples {
        Samples {
            dictionaries: Dictionaries::new(),
            months: Months::new(),
            runs: Runs::new(),
            any_changed: true,
            superseded: Census::new(),
            rejects: Vec::new(),
            value: Vec::new(),
            metadata: Vec::new(),
        }
    }

    /// A transaction has begun: others may have written since the last one.
    pub(super) fn begin(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.any_changed = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM changed)")?
            .query_row([], |row| row.get(0))?;
        Ok(())
    }

    /// What was counted since the last time: superseded records and rejects.
    pub(super) fn take_counts(&mut self) -> (Census, Rejects) {
        (mem::take(&mut self.superseded), mem::take(&mut self.rejects))
    }

    /// Writes records in the order they came. Where nothing but first additions came, it takes them in, and writes as many of
    /// those that it has, in the order of their keys; the others are written by [`finish`](Samples::finish) at the latest.
    pub(super) fn write(
        &mut self,
        connection: &Connection,
        records: &mut Batch<Record>,
    ) -> rusqlite::Result<()> {
        if !records.iter().all(|record| !record.is_deletion() && record.revision == 0) {
            self.finish(connection)?;
            let mut statements = Statements::new(connection)?;
            for record in records.drain(..) {
                if record.is_deletion() {
                    self.delete(connection, &mut statements, &record)?;
                } else {
                    self.add(connection, &mut statements, &record)?;
                }
            }
            return Ok(());
        }
        let count = records.len();
        self.runs.gather(records);
        self.write_run(connection, count)?;
        if self.runs.is_full() {
            self.write_run(connection, usize::MAX)?;
            self.runs.begin();
        }
        Ok(())
    }

    /// Writes all that was taken in.
    pub(super) fn finish(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.write_run(connection, usize::MAX)?;
        self.runs.begin();
        self.write_run(connection, usize::MAX)
    }

    /// Writes so many records of the run, or as many as there are.
    fn write_run(&mut self, connection: &Connection, count: usize) -> rusqlite::Result<()> {
        let mut statements = Statements::new(connection)?;
        for _ in 0..count {
            let Some(record) = self.runs.next() else { break };
            self.add(connection, &mut statements, &record)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        connection: &Connection,
        statements: &mut Statements<'_>,
        record: &Record,
    ) -> rusqlite::Result<()> {
        let Some(kind) = record.kind else {
            self.rejects.push(Reject::record(record, "an addition has no type"));
            return Ok(());
        };
        let changed = self.changed(statements, record.id)?;
        match changed {
            Some(Changed::Deleted) => {
                self.superseded.count(Some(kind), 1);
                return Ok(());
            }
            Some(Changed::Revised(revision, _)) if revision > record.revision => {
                self.superseded.count(Some(kind), 1);
                return Ok(());
            }
            Some(Changed::Revised(revision, _)) if revision == record.revision => return Ok(()),
            _ => {}
        }
        self.value.clear();
        self.metadata.clear();
        let written = match &record.value {
            Value::Quantity(number, _) if number.is_finite() => Ok(()),
            Value::Category(_) => Ok(()),
            other => wire::write_value(other, &mut self.value),
        }
        .and_then(|()| match &record.metadata {
            Some(metadata) => wire::write_metadata(metadata, &mut self.metadata),
            None => Ok(()),
        });
        if let Err(reason) = written {
            self.rejects.push(Reject::record(record, reason));
            return Ok(());
        }
        let place =
            Place { kind: self.dictionaries.kind(connection, kind)?, month: self.months.of(record.start) };
        if record.revision > 0 {
            let before = match changed {
                Some(Changed::Revised(_, place)) => Some(place),
                _ => find(connection, place.kind, record.id)?,
            };
            self.revise(connection, record, before, place)?;
        }
        self.insert(connection, statements, record, place)
    }

    /// Takes away the row that a higher revision replaces, and notes where the new one is.
    fn revise(
        &mut self,
        connection: &Connection,
        record: &Record,
        before: Option<Place>,
        place: Place,
    ) -> rusqlite::Result<()> {
        let id = record.id.to_bytes();
        if let Some(before) = before {
            connection.prepare_cached(DELETE)?.execute(params![before.kind, before.month, id])?;
        }
        connection.prepare_cached(CHANGE)?.execute(params![id, record.revision, place.kind, place.month])?;
        self.any_changed = true;
        Ok(())
    }

    /// Inserts a row. Where one of the same id and revision stands, it is the same record.
    fn insert(
        &mut self,
        connection: &Connection,
        statements: &mut Statements<'_>,
        record: &Record,
        place: Place,
    ) -> rusqlite::Result<()> {
        let value = match &record.value {
            Value::Quantity(number, _) => ValueRef::Real(*number),
            Value::Category(number) => ValueRef::Integer(*number),
            _ => ValueRef::Text(&self.value),
        };
        let unit = match &record.value {
            Value::Aggregate(aggregate) => aggregate.unit,
            other => other.unit(),
        };
        let numbers = [
            Some(place.kind),
            Some(place.month),
            Some(i64::from(record.revision)),
            Some(record.start.as_micros()),
            Some(record.end.as_micros()),
            self.dictionaries.unit(connection, unit)?,
            self.dictionaries.subject(connection, record.subject.as_ref())?,
            self.dictionaries.origin(connection, record.origin.as_ref())?,
            self.dictionaries.zone(connection, record.zone.as_ref())?,
        ];
        let metadata = (!self.metadata.is_empty()).then_some(self.metadata.as_slice());
        statements.insert.row(numbers, record.id, value, metadata)
    }

    fn delete(
        &mut self,
        connection: &Connection,
        statements: &mut Statements<'_>,
        record: &Record,
    ) -> rusqlite::Result<()> {
        let place = match self.changed(statements, record.id)? {
            Some(Changed::Deleted) => return Ok(()),
            Some(Changed::Revised(_, place)) => Some(place),
            None => match record.kind {
                Some(kind) => {
                    let kind = self.dictionaries.kind(connection, kind)?;
                    find(connection, kind, record.id)?
                }
                None => find_in_all(connection, record.id)?,
            },
        };
        let id = record.id.to_bytes();
        if let Some(place) = place {
            connection.prepare_cached(DELETE)?.execute(params![place.kind, place.month, id])?;
        }
        connection.prepare_cached(TOMBSTONE)?.execute(params![id])?;
        self.any_changed = true;
        Ok(())
    }

    fn changed(&self, statements: &mut Statements<'_>, id: RecordId) -> rusqlite::Result<Option<Changed>> {
        if !self.any_changed {
            return Ok(None);
        }
        statements
            .changed
            .query_row(params![id.to_bytes()], |row| {
                Ok(match row.get(0)? {
                    None => Changed::Deleted,
                    Some(revision) => {
                        Changed::Revised(revision, Place { kind: row.get(1)?, month: row.get(2)? })
                    }
                })
            })
            .optional()
    }
}

/// Where the row of `id` is, of which only the type is known: one step through the key per month that there is.
fn find(connection: &Connection, kind: i64, id: RecordId) -> rusqlite::Result<Option<Place>> {
    let id = id.to_bytes();
    let mut seek = connection.prepare_cached(SEEK)?;
    let mut month = 0;
    loop {
        let next: Option<(i64, [u8; 16])> =
            seek.query_row(params![kind, month, id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match next {
            None => return Ok(None),
            Some((found, found_id)) if found_id == id => return Ok(Some(Place { kind, month: found })),
            // The month has rows, and the id would have come before this one.
            Some((found, _)) if found == month => month += 1,
            Some((found, _)) => month = found,
        }
    }
}

/// Where the row of `id` is, of which nothing is known.
fn find_in_all(connection: &Connection, id: RecordId) -> rusqlite::Result<Option<Place>> {
    let kinds: Vec<i64> = connection
        .prepare_cached("SELECT type FROM type")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for kind in kinds {
        if let Some(place) = find(connection, kind, id)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}
