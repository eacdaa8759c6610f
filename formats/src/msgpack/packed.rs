//! Records with what repeats among them written once.
//!
//! Names, types, units and origins are few in a batch and would be read again for every record: that took longer than
//! everything else. They stand in tables before the records, which refer to them by index.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use afferent_core::{Change, Kind, Metadata, Name, Origin, Record, RecordId, Timestamp, Unit, Value};
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

/// The tables, then the records.
#[derive(Serialize, Deserialize)]
pub(super) struct Packed<V, M> {
    names: Vec<Name>,
    kinds: Vec<Kind>,
    units: Vec<Unit>,
    origins: Vec<Arc<Origin>>,
    rows: Vec<Row<V, M>>,
}

/// A record that refers to the tables.
#[derive(Serialize, Deserialize)]
struct Row<V, M> {
    id: RecordId,
    start: Timestamp,
    end: Timestamp,
    value: PackedValue<V>,
    kind: Option<u32>,
    revision: u32,
    change: Change,
    subject: Option<u32>,
    zone: Option<u32>,
    origin: Option<u32>,
    metadata: Option<M>,
}

#[derive(Serialize, Deserialize)]
enum PackedValue<V> {
    #[serde(rename = "q")]
    Quantity(f64, u32),
    #[serde(rename = "v")]
    Other(V),
}

/// What repeats, by something that tells it from others.
struct Table<K, T> {
    places: HashMap<K, u32, RandomState>,
    items: Vec<T>,
    /// What was asked for last is mostly asked for next.
    last: Option<(K, u32)>,
}

impl<K: Copy + Eq + Hash, T> Table<K, T> {
    fn new() -> Table<K, T> {
        Table { places: HashMap::default(), items: Vec::new(), last: None }
    }

    fn place(&mut self, key: K, item: impl FnOnce() -> T) -> u32 {
        if let Some((last, place)) = self.last
            && last == key
        {
            return place;
        }
        let place = *self.places.entry(key).or_insert_with(|| {
            self.items.push(item());
            // A batch has far fewer records than that.
            (self.items.len() - 1) as u32
        });
        self.last = Some((key, place));
        place
    }
}

impl<'a> Packed<&'a Value, &'a Metadata> {
    pub(super) fn new(records: &'a [Record]) -> Packed<&'a Value, &'a Metadata> {
        // By their addresses: equal ones are mostly the same, and if not they only take room twice.
        let mut names = Table::new();
        let mut name = |name: &Name| names.place((name.as_ptr() as usize, name.len()), || name.clone());
        let (mut kinds, mut units, mut origins) = (Table::new(), Table::new(), Table::new());
        let rows = records.iter().map(|record| Row {
            id: record.id,
            start: record.start,
            end: record.end,
            value: match &record.value {
                Value::Quantity(value, unit) => PackedValue::Quantity(*value, units.place(*unit, || *unit)),
                other => PackedValue::Other(other),
            },
            kind: record.kind.map(|kind| kinds.place(kind, || kind)),
            revision: record.revision,
            change: record.change,
            subject: record.subject.as_ref().map(&mut name),
            zone: record.zone.as_ref().map(&mut name),
            origin: record
                .origin
                .as_ref()
                .map(|origin| origins.place(Arc::as_ptr(origin) as usize, || origin.clone())),
            metadata: record.metadata.as_deref(),
        });
        let rows = rows.collect();
        Packed { names: names.items, kinds: kinds.items, units: units.items, origins: origins.items, rows }
    }
}

impl Packed<Value, Arc<Metadata>> {
    /// The records; `None` when one refers to what is not there.
    pub(super) fn unpack(self) -> Option<Vec<Record>> {
        let Packed { names, kinds, units, origins, rows } = self;
        rows.into_iter().map(|row| row.unpack(&names, &kinds, &units, &origins)).collect()
    }
}

impl Row<Value, Arc<Metadata>> {
    fn unpack(
        self,
        names: &[Name],
        kinds: &[Kind],
        units: &[Unit],
        origins: &[Arc<Origin>],
    ) -> Option<Record> {
        Some(Record {
            id: self.id,
            start: self.start,
            end: self.end,
            value: match self.value {
                PackedValue::Quantity(value, unit) => Value::Quantity(value, *units.get(unit as usize)?),
                PackedValue::Other(value) => value,
            },
            kind: of(kinds, self.kind)?,
            revision: self.revision,
            change: self.change,
            subject: of(names, self.subject)?,
            zone: of(names, self.zone)?,
            origin: of(origins, self.origin)?,
            metadata: self.metadata,
        })
    }
}

/// What stands at `place`, if there is one; `None` when it is not there.
fn of<T: Clone>(table: &[T], place: Option<u32>) -> Option<Option<T>> {
    match place {
        None => Some(None),
        Some(place) => table.get(place as usize).cloned().map(Some),
    }
}
