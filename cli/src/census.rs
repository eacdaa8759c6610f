//! A transform that counts what passes, by type: the summary of an import.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use afferent::afferent_core::{
    Batch, Emit, Error, Kind, Record, Result, Snapshot, State, Timestamp, Transform,
};
use serde::{Deserialize, Serialize};

/// The records of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) records: u64,
    /// When the first of them began.
    pub(crate) first: Timestamp,
    /// When the last of them began.
    pub(crate) last: Timestamp,
}

/// What was counted up to the last checkpoint. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results(Arc<Mutex<BTreeMap<String, Counted>>>);

impl Results {
    pub(crate) fn get(&self) -> BTreeMap<String, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts and lets through. Its state is in the checkpoint, so an import that was killed still ends with all of its
/// numbers.
#[derive(Debug)]
pub(crate) struct Census {
    counted: BTreeMap<Kind, Counted>,
    changed: bool,
    results: Results,
}

impl Census {
    pub(crate) fn new(results: Results) -> Census {
        Census { counted: BTreeMap::new(), changed: false, results }
    }

    fn publish(&self) {
        let named = self.counted.iter().map(|(kind, counted)| (kind.short().to_owned(), *counted)).collect();
        *self.results.0.lock().unwrap_or_else(PoisonError::into_inner) = named;
    }
}

impl Transform for Census {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        for record in input.iter() {
            let Some(kind) = record.kind else { continue };
            let new = Counted { records: 0, first: record.start, last: record.start };
            let counted = self.counted.entry(kind).or_insert(new);
            counted.records += 1;
            counted.first = counted.first.min(record.start);
            counted.last = counted.last.max(record.start);
        }
        self.changed |= !input.is_empty();
        out.take(input);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot> {
        if !std::mem::take(&mut self.changed) {
            return Ok(Snapshot::Unchanged);
        }
        self.publish();
        let rows: Vec<(Kind, Counted)> =
            self.counted.iter().map(|(kind, counted)| (*kind, *counted)).collect();
        let bytes = serde_json::to_vec(&rows)
            .map_err(|error| Error::bug("counts can't be written").with_source(error))?;
        Ok(Snapshot::Full(bytes))
    }

    fn restore(&mut self, state: State) -> Result<()> {
        for row in state {
            let rows: Vec<(Kind, Counted)> = serde_json::from_slice(&row?.1)
                .map_err(|error| Error::state("the saved counts are damaged").with_source(error))?;
            self.counted.extend(rows);
        }
        self.publish();
        Ok(())
    }
}
