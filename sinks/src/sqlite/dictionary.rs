//! [`Dictionary`]: texts that repeat, as the numbers that stand for them in rows.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use afferent_core::{Kind, Name, Origin, Unit};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

/// Numbers a dictionary remembers before it starts afresh: more than a feed has types, units, subjects, zones or
/// origins in use at a time, and a few hundred KiB at most.
const MAX_CACHED: usize = 4096;

/// One table of texts, and the numbers of those that were used lately.
#[derive(Debug)]
pub(super) struct Dictionary<K> {
    select: &'static str,
    insert: &'static str,
    numbers: HashMap<K, i64, foldhash::fast::RandomState>,
}

impl<K: Hash + Eq + Clone> Dictionary<K> {
    fn new(select: &'static str, insert: &'static str) -> Dictionary<K> {
        Dictionary { select, insert, numbers: HashMap::default() }
    }

    /// The number of `key`. A new one is inserted in the open transaction with the texts of its columns, of which
    /// the first one names it.
    fn number<const N: usize>(
        &mut self,
        connection: &Connection,
        key: &K,
        columns: impl FnOnce() -> [String; N],
    ) -> rusqlite::Result<i64> {
        if let Some(number) = self.numbers.get(key) {
            return Ok(*number);
        }
        let columns = columns();
        let found =
            connection.prepare_cached(self.select)?.query_row([&columns[0]], |row| row.get(0)).optional()?;
        let number = match found {
            Some(number) => number,
            None => connection.prepare_cached(self.insert)?.insert(params_from_iter(columns.iter()))?,
        };
        if self.numbers.len() >= MAX_CACHED {
            self.numbers.clear();
        }
        self.numbers.insert(key.clone(), number);
        Ok(number)
    }
}

/// An origin by its address: comparing eleven texts a record would cost more than the row does.
#[derive(Clone, Debug)]
struct Shared(Arc<Origin>);

impl Hash for Shared {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Shared) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Shared {}

/// All dictionaries of a database.
#[derive(Debug)]
pub(super) struct Dictionaries {
    kinds: Dictionary<Kind>,
    units: Dictionary<Unit>,
    subjects: Dictionary<Name>,
    zones: Dictionary<Name>,
    origins: Dictionary<Shared>,
}

impl Dictionaries {
    pub(super) fn new() -> Dictionaries {
        Dictionaries {
            kinds: Dictionary::new(
                "SELECT type FROM type WHERE name = ?1",
                "INSERT INTO type (name, short) VALUES (?1, ?2)",
            ),
            units: Dictionary::new(
                "SELECT unit FROM unit WHERE name = ?1",
                "INSERT INTO unit (name) VALUES (?1)",
            ),
            subjects: Dictionary::new(
                "SELECT subject FROM subject WHERE name = ?1",
                "INSERT INTO subject (name) VALUES (?1)",
            ),
            zones: Dictionary::new(
                "SELECT zone FROM zone WHERE name = ?1",
                "INSERT INTO zone (name) VALUES (?1)",
            ),
            origins: Dictionary::new(
                "SELECT origin FROM origin WHERE name = ?1",
                "INSERT INTO origin (name) VALUES (?1)",
            ),
        }
    }

    pub(super) fn kind(&mut self, connection: &Connection, kind: Kind) -> rusqlite::Result<i64> {
        self.kinds.number(connection, &kind, || [kind.name().to_owned(), kind.short().to_owned()])
    }

    pub(super) fn unit(
        &mut self,
        connection: &Connection,
        unit: Option<Unit>,
    ) -> rusqlite::Result<Option<i64>> {
        unit.map(|unit| self.units.number(connection, &unit, || [unit.as_str().to_owned()])).transpose()
    }

    pub(super) fn subject(
        &mut self,
        connection: &Connection,
        subject: Option<&Name>,
    ) -> rusqlite::Result<Option<i64>> {
        subject.map(|name| self.subjects.number(connection, name, || [name.to_string()])).transpose()
    }

    pub(super) fn zone(
        &mut self,
        connection: &Connection,
        zone: Option<&Name>,
    ) -> rusqlite::Result<Option<i64>> {
        zone.map(|name| self.zones.number(connection, name, || [name.to_string()])).transpose()
    }

    pub(super) fn origin(
        &mut self,
        connection: &Connection,
        origin: Option<&Arc<Origin>>,
    ) -> rusqlite::Result<Option<i64>> {
        let json = |origin: &Origin| {
            serde_json::to_string(origin).expect("invariant: an origin is texts, which JSON can carry")
        };
        origin
            .map(|origin| self.origins.number(connection, &Shared(origin.clone()), || [json(origin)]))
            .transpose()
    }
}
