//! Writing the database: what one transaction does.
//!
//! Every method first checks and then changes. A refusal therefore leaves nothing half done in a transaction that
//! others share.

use std::ops::RangeInclusive;

use afferent_core::{
    Epoch, Error, Fence, Generation, Name, Result, Snapshot, Timestamp,
    checkpoint::{Acknowledgement, Fallback, KEPT_CHECKPOINTS, Loaded, Save, Saved},
    reject::Fate,
};
use redb::{ReadableTable, StorageError, Table, TableError, TableHandle, WriteTransaction};

use super::{
    Desired,
    definition::{self, DefinitionRow},
    digest::{Digest, Digests},
    rows::{
        self, ACKNOWLEDGED, CHECKPOINTS, DEAD_LETTERS, DEFINITIONS, Failure, GONE, Head, LETTERS_BY_RECORD,
        LetterKey, NAMES, NameKey, PIPELINES, RETRIED, RecordLetterKey, RetriedKey, STATES, SUPERSEDED,
        StateKey, THERE, Version,
    },
    seal::{seal, unseal},
};

/// The tables of one write transaction.
pub(super) struct Tables<'t> {
    pub(super) pipelines: Table<'t, &'static str, &'static [u8]>,
    checkpoints: Table<'t, (&'static str, u64), &'static [u8]>,
    states: Table<'t, StateKey, &'static [u8]>,
    superseded: Table<'t, (&'static str, u64), &'static [u8]>,
    pub(super) dead_letters: Table<'t, LetterKey, &'static [u8]>,
    pub(super) letters_by_record: Table<'t, RecordLetterKey, ()>,
    pub(super) retried: Table<'t, RetriedKey, ()>,
    acknowledged: Table<'t, (&'static str, &'static str), &'static [u8]>,
    definitions: Table<'t, &'static str, &'static [u8]>,
    names: Table<'t, NameKey, &'static [u8]>,
}

/// Versions that a save makes superfluous.
type Superseded = Vec<(Name, Vec<u8>, u64)>;

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Tables<'t>, TableError> {
        Ok(Tables {
            pipelines: transaction.open_table(PIPELINES)?,
            checkpoints: transaction.open_table(CHECKPOINTS)?,
            states: transaction.open_table(STATES)?,
            superseded: transaction.open_table(SUPERSEDED)?,
            dead_letters: transaction.open_table(DEAD_LETTERS)?,
            letters_by_record: transaction.open_table(LETTERS_BY_RECORD)?,
            retried: transaction.open_table(RETRIED)?,
            acknowledged: transaction.open_table(ACKNOWLEDGED)?,
            definitions: transaction.open_table(DEFINITIONS)?,
            names: transaction.open_table(NAMES)?,
        })
    }

    /// See [`CheckpointStore::claim`](afferent_core::CheckpointStore::claim); and
    /// [`reclaim`](afferent_core::CheckpointStore::reclaim), whose generation is in `among`. With a damaged row nobody can
    /// tell who claimed last, and nobody else can have: no other process has the database.
    pub(super) fn claim(
        &mut self,
        pipeline: &Name,
        among: Option<RangeInclusive<u64>>,
        now: Timestamp,
    ) -> Result<Generation, Failure> {
        let mut head = match rows::head(&self.pipelines, pipeline) {
            Ok(Some(head)) => {
                if let Some(among) = among
                    && !among.contains(&head.generation.0)
                {
                    rows::fence(&head, Generation(*among.end()))?;
                }
                head
            }
            Ok(None) if among.is_some() && rows::epochs(&self.checkpoints, pipeline)?.is_empty() => {
                return Err(Error::fenced("the pipeline was never claimed").into());
            }
            Ok(None) if rows::epochs(&self.checkpoints, pipeline)?.is_empty() => {
                if rows::is_noted(&self.names, PIPELINES, pipeline)? {
                    return Err(Error::state(rows::lost_head(pipeline)).into());
                }
                Head::default()
            }
            Ok(None) => {
                tracing::error!("{}; going on under a far higher generation", rows::damaged_head(pipeline));
                self.lost_head(pipeline, now)?
            }
            // Whether it ever had any can't be told any more.
            Err(Failure::Refused(error)) if rows::epochs(&self.checkpoints, pipeline)?.is_empty() => {
                return Err(error.into());
            }
            Err(Failure::Refused(error)) => {
                tracing::error!("{error}; going on under a far higher generation");
                self.lost_head(pipeline, now)?
            }
            Err(broken) => return Err(broken),
        };
        head.generation.0 += 1;
        if !head.indexed {
            head.letter_bytes = self.index_letters(pipeline)?;
            head.indexed = true;
        }
        self.put_head(pipeline, &head)?;
        // Also of one that is known: a name that was lost is back.
        rows::put_name(&mut self.names, PIPELINES, pipeline)?;
        Ok(head.generation)
    }

    /// See [`CheckpointStore::save`](afferent_core::CheckpointStore::save).
    pub(super) fn save(&mut self, save: &Save) -> Result<Saved, Failure> {
        let Save { generation, checkpoint, states, dead_letters, withdrawn, retried } = save;
        let (pipeline, epoch) = (&checkpoint.pipeline, checkpoint.epoch.0);
        let Some(mut head) = rows::head(&self.pipelines, pipeline)? else {
            return Err(Error::fenced("the pipeline was never claimed").into());
        };
        rows::fence(&head, *generation)?;
        let mut epochs = rows::epochs(&self.checkpoints, pipeline)?;
        if let Some(last) = epochs.last()
            && last + 1 != epoch
        {
            return Err(Error::state(format!("epoch {epoch} does not follow epoch {last}")).into());
        }
        let mut digests = match epochs.last() {
            // Whoever tries again loads first, and so falls back.
            Some(last) => rows::digests(&self.checkpoints, pipeline, *last)?.ok_or_else(|| {
                Error::transient(
                    "the last checkpoint is damaged; the pipeline starts again from the one before",
                )
            })?,
            None => Digests::new(),
        };
        let bytes = checkpoint.to_bytes()?;
        let letters = dead_letters.iter().map(rows::pack).collect::<Result<Vec<_>>>()?;
        let withdrawn = withdrawn.iter().map(|id| (*id, Fate::Withdrawn(checkpoint.epoch)));
        let retried = retried.iter().map(|id| (*id, Fate::Retried(checkpoint.epoch)));
        let settled = self.settled(pipeline, withdrawn.chain(retried))?;

        self.put_states(pipeline, epoch, states, &mut digests)?;
        self.put_dead_letters(pipeline, dead_letters, &letters, &mut head)?;
        self.settle(pipeline, settled, &mut head)?;
        let row = rows::seal_checkpoint(pipeline, epoch, &rows::pack(&digests)?, &bytes);
        self.checkpoints.insert((pipeline.as_str(), epoch), row.as_slice())?;
        epochs.push(epoch);
        for old in epochs.drain(..epochs.len().saturating_sub(KEPT_CHECKPOINTS)) {
            self.checkpoints.remove((pipeline.as_str(), old))?;
        }
        if let Some(oldest) = epochs.first() {
            self.drop_superseded(pipeline, *oldest)?;
            self.drop_retried(pipeline, *oldest)?;
        }
        head.epoch = Some(checkpoint.epoch);
        head.fallback = None;
        self.put_head(pipeline, &head)?;
        // The checkpoint just written is readable, so this finds one.
        Ok(Saved { oldest: rows::oldest_positions(&self.checkpoints, pipeline, &epochs)? })
    }

    /// Goes back to the newest readable checkpoint: removes those after it, their state and their dead letters, and undoes
    /// what they settled.
    pub(super) fn fall_back(&mut self, pipeline: &Name, generation: Generation) -> Result<Loaded, Failure> {
        let Some(mut head) = rows::head(&self.pipelines, pipeline)? else {
            return Err(Error::fenced("the pipeline was never claimed").into());
        };
        rows::fence(&head, generation)?;
        let epochs = rows::epochs(&self.checkpoints, pipeline)?;
        let mut found = None;
        for epoch in epochs.iter().rev() {
            found = rows::checkpoint(&self.checkpoints, pipeline, *epoch)?;
            if found.is_some() {
                break;
            }
        }
        let Some(checkpoint) = found else {
            return Err(
                Error::state(rows::damaged(&format!("every checkpoint of pipeline `{pipeline}`"))).into()
            );
        };
        let oldest = rows::oldest_positions(&self.checkpoints, pipeline, &epochs)?;
        let newest = head.epoch.max(epochs.last().copied().map(Epoch));
        if newest > Some(checkpoint.epoch) {
            self.remove_after(pipeline, checkpoint.epoch.0, &mut head)?;
            let lost = newest.max(head.fallback.take().map(|(lost, _)| lost));
            head.epoch = Some(checkpoint.epoch);
            head.fallback = lost.map(|lost| (lost, "their rows are damaged or gone".to_owned()));
            self.put_head(pipeline, &head)?;
        }
        let fallback = head.fallback.map(|(lost, reason)| Fallback { lost, reason });
        Ok(Loaded { checkpoint, oldest, fallback })
    }

    /// See [`CheckpointStore::forget`](afferent_core::CheckpointStore::forget).
    pub(super) fn forget(&mut self, pipeline: &Name, now: Timestamp) -> Result<(), Failure> {
        let head = match rows::head(&self.pipelines, pipeline) {
            Ok(Some(head)) => head,
            Ok(None)
                if !rows::is_noted(&self.names, PIPELINES, pipeline)?
                    && rows::epochs(&self.checkpoints, pipeline)?.is_empty() =>
            {
                return Ok(());
            }
            Ok(None) | Err(Failure::Refused(_)) => self.lost_head(pipeline, now)?,
            Err(broken) => return Err(broken),
        };
        let all = (pipeline.as_str(), 0)..=(pipeline.as_str(), u64::MAX);
        self.checkpoints.retain_in(all.clone(), |_, _| false)?;
        self.superseded.retain_in(all, |_, _| false)?;
        self.remove_states(pipeline, |_| true)?;
        self.remove_dead_letters(pipeline, 0)?;
        let all = (pipeline.as_str(), 0, 0, 0)..=(pipeline.as_str(), u64::MAX, u64::MAX, u64::MAX);
        self.retried.retain_in(all, |_, _| false)?;
        // The text that comes right after the pipeline's name.
        let end = format!("{pipeline}\0");
        self.acknowledged.retain_in((pipeline.as_str(), "")..(end.as_str(), ""), |_, _| false)?;
        self.put_head(pipeline, &Head { generation: head.generation, ..Head::default() })?;
        rows::put_name(&mut self.names, PIPELINES, pipeline)?;
        Ok(())
    }

    /// See [`CheckpointStore::acknowledge`](afferent_core::CheckpointStore::acknowledge).
    pub(super) fn acknowledge(
        &mut self,
        fence: &Fence,
        acknowledgement: &Acknowledgement,
    ) -> Result<(), Failure> {
        let Fence { pipeline, sink, generation, .. } = fence;
        let Some(mut head) = rows::head(&self.pipelines, pipeline)? else {
            return Err(Error::fenced("the pipeline was never claimed").into());
        };
        rows::fence(&head, *generation)?;
        let Acknowledgement { state, dead_letters, withdrawn } = acknowledgement;
        let letters = dead_letters.iter().map(rows::pack).collect::<Result<Vec<_>>>()?;
        let withdrawn = withdrawn.iter().map(|(id, epoch)| (*id, Fate::Withdrawn(*epoch)));
        let settled = self.settled(pipeline, withdrawn)?;
        let key = [pipeline.as_bytes(), sink.as_bytes()];
        self.acknowledged.insert((pipeline.as_str(), sink.as_str()), seal(&key, state).as_slice())?;
        if !letters.is_empty() || !settled.is_empty() {
            self.put_dead_letters(pipeline, dead_letters, &letters, &mut head)?;
            self.settle(pipeline, settled, &mut head)?;
            self.put_head(pipeline, &head)?;
        }
        Ok(())
    }

    /// Stores a definition.
    pub(super) fn define(&mut self, pipeline: &Name, row: &DefinitionRow) -> Result<(), Failure> {
        let bytes = rows::pack(row)?;
        let row = seal(&[pipeline.as_bytes()], &bytes);
        self.definitions.insert(pipeline.as_str(), row.as_slice())?;
        rows::put_name(&mut self.names, DEFINITIONS, pipeline)?;
        Ok(())
    }

    /// Stores the desired state of a pipeline that has a definition; whether it has one.
    pub(super) fn set_desired(&mut self, pipeline: &Name, desired: Desired) -> Result<bool, Failure> {
        let Some(row) = definition::find(&self.definitions, pipeline)? else { return Ok(false) };
        self.define(pipeline, &row.with(desired))?;
        Ok(true)
    }

    /// Removes a definition.
    pub(super) fn undefine(&mut self, pipeline: &Name) -> Result<(), Failure> {
        self.definitions.remove(pipeline.as_str())?;
        self.names.remove((DEFINITIONS.name(), pipeline.as_str()))?;
        Ok(())
    }

    pub(super) fn put_head(&mut self, pipeline: &Name, head: &Head) -> Result<(), Failure> {
        // Plain data; a refusal after changes would break the rule above, and this one can't happen.
        let bytes = rows::pack(head)?;
        let row = seal(&[pipeline.as_bytes()], &bytes);
        self.pipelines.insert(pipeline.as_str(), row.as_slice())?;
        Ok(())
    }

    /// A head in place of a damaged one. Its generation must be above every one that was given out: no pipeline is
    /// claimed once a second for years, so the seconds since 1970 are.
    fn lost_head(&self, pipeline: &Name, now: Timestamp) -> Result<Head, StorageError> {
        let dead_letters = self.count_dead(pipeline)?;
        let generation = Generation(u64::try_from(now.as_micros() / 1_000_000).unwrap_or(0));
        let epoch = rows::epochs(&self.checkpoints, pipeline)?.last().copied().map(Epoch);
        Ok(Head { generation, epoch, dead_letters, fallback: None, indexed: false, letter_bytes: 0 })
    }

    fn put_states(
        &mut self,
        pipeline: &Name,
        epoch: u64,
        states: &[(Name, Snapshot)],
        digests: &mut Digests,
    ) -> Result<(), StorageError> {
        let mut superseded = Superseded::new();
        for (stage, snapshot) in states {
            let mut put = |tables: &mut Tables<'_>, key: &[u8], value: Option<&[u8]>| {
                let digest = digests.entry(stage.clone()).or_default();
                tables.put_state((pipeline, stage, key, epoch), value, digest, &mut superseded)
            };
            match snapshot {
                Snapshot::Unchanged => {}
                Snapshot::Full(bytes) => {
                    for key in self.keys(pipeline, stage)?.into_iter().filter(|key| !key.is_empty()) {
                        put(self, &key, None)?;
                    }
                    put(self, &[], Some(bytes))?;
                }
                Snapshot::Delta(rows) => {
                    for (key, value) in rows.iter() {
                        put(self, key, value)?;
                    }
                }
            }
        }
        if !superseded.is_empty() {
            let versions =
                superseded.iter().map(|(stage, key, epoch)| (stage.as_str(), key.as_slice(), *epoch));
            let versions = rows::encode_versions(&versions.collect());
            let key: &[&[u8]] = &[pipeline.as_bytes(), &epoch.to_be_bytes()];
            self.superseded.insert((pipeline.as_str(), epoch), seal(key, &versions).as_slice())?;
        }
        Ok(())
    }

    /// Writes a version of a key, and notes which versions nobody needs once this epoch is the oldest kept.
    fn put_state(
        &mut self,
        row: (&str, &Name, &[u8], u64),
        value: Option<&[u8]>,
        digest: &mut Digest,
        superseded: &mut Superseded,
    ) -> Result<(), StorageError> {
        let (pipeline, stage, key, epoch) = row;
        let row = (pipeline, stage.as_str(), key, epoch);
        let before = newest_before(&self.states, row)?;
        // What the digest counts is the version before, or that of an earlier row of the same save.
        match self.states.remove(row)? {
            Some(earlier) => forget_row(digest, earlier.value()),
            None => before.iter().for_each(|(_, sealed)| forget_row(digest, sealed)),
        }
        let was_there = before.as_ref().is_some_and(|(_, sealed)| !is_gone(sealed));
        if value.is_none() && !was_there {
            return Ok(());
        }
        let tagged = match value {
            Some(bytes) => [&[THERE], bytes].concat(),
            None => vec![GONE],
        };
        let sealed = seal(&rows::state_key(pipeline, stage, key, &epoch.to_be_bytes()), &tagged);
        self.states.insert(row, sealed.as_slice())?;
        superseded.extend(before.map(|(before, _)| (stage.clone(), key.to_vec(), before)));
        match value {
            Some(_) => digest.add(&sealed),
            None => superseded.push((stage.clone(), key.to_vec(), epoch)),
        }
        Ok(())
    }

    /// The keys of a stage, each once.
    fn keys(&self, pipeline: &Name, stage: &Name) -> Result<Vec<Vec<u8>>, StorageError> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for row in self.states.range((pipeline.as_str(), stage.as_str(), &[][..], 0)..)? {
            let row = row?.0;
            let (row_pipeline, row_stage, key, _) = row.value();
            if (row_pipeline, row_stage) != (pipeline.as_str(), stage.as_str()) {
                break;
            }
            if keys.last().is_none_or(|last| last != key) {
                keys.push(key.to_vec());
            }
        }
        Ok(keys)
    }

    /// Drops the versions that became superfluous up to `oldest`, the oldest epoch that is kept.
    fn drop_superseded(&mut self, pipeline: &Name, oldest: u64) -> Result<(), StorageError> {
        let pipeline = pipeline.as_str();
        let due: Vec<(u64, Vec<u8>)> = self
            .superseded
            .range((pipeline, 0)..=(pipeline, oldest))?
            .map(|row| row.map(|(key, value)| (key.value().1, value.value().to_vec())))
            .collect::<Result<_, _>>()?;
        for (epoch, sealed) in due {
            match unseal(&[pipeline.as_bytes(), &epoch.to_be_bytes()], &sealed) {
                Some(bytes) => {
                    for version in rows::decode_versions(bytes) {
                        self.drop_version(pipeline, epoch, version)?;
                    }
                }
                // Harmless: `state` passes over old versions, and `forget` removes them.
                None => tracing::error!(
                    pipeline,
                    epoch,
                    "a list of superseded state is damaged: these versions take space until the pipeline is forgotten"
                ),
            }
            self.superseded.remove((pipeline, epoch))?;
        }
        Ok(())
    }

    fn drop_version(&mut self, pipeline: &str, by: u64, version: Version<'_>) -> Result<(), StorageError> {
        let (stage, key, epoch) = version;
        let key = (pipeline, stage, key, epoch);
        // A version listed by its own epoch marks a key that is gone, unless the same save put it back.
        if epoch == by && !self.states.get(key)?.is_some_and(|value| is_gone(value.value())) {
            return Ok(());
        }
        self.states.remove(key)?;
        Ok(())
    }

    fn remove_after(&mut self, pipeline: &Name, good: u64, head: &mut Head) -> Result<(), Failure> {
        let later = (pipeline.as_str(), good + 1)..=(pipeline.as_str(), u64::MAX);
        self.checkpoints.retain_in(later.clone(), |_, _| false)?;
        self.superseded.retain_in(later, |_, _| false)?;
        self.remove_states(pipeline, |epoch| epoch > good)?;
        self.remove_dead_letters(pipeline, good + 1)?;
        self.revive_letters(pipeline, good)?;
        head.dead_letters = self.count_dead(pipeline)?;
        head.letter_bytes = self.index_letters(pipeline)?;
        Ok(())
    }

    fn remove_states(&mut self, pipeline: &Name, remove: impl Fn(u64) -> bool) -> Result<(), StorageError> {
        // The text that comes right after the pipeline's name.
        let end = format!("{pipeline}\0");
        let all = (pipeline.as_str(), "", &[][..], 0)..(end.as_str(), "", &[][..], 0);
        self.states.retain_in(all, |key, _| !remove(key.3))
    }
}

/// The newest version of a key before that of `row`: its epoch and its sealed value.
fn newest_before(
    states: &Table<'_, StateKey, &'static [u8]>,
    row: (&str, &str, &[u8], u64),
) -> Result<Option<(u64, Vec<u8>)>, StorageError> {
    let (pipeline, stage, key, epoch) = row;
    let mut before = states.range((pipeline, stage, key, 0)..(pipeline, stage, key, epoch))?;
    let newest = before.next_back().transpose()?;
    Ok(newest.map(|(key, sealed)| (key.value().3, sealed.value().to_vec())))
}

/// Takes a version out of the digest of what is there, if it was in it.
fn forget_row(digest: &mut Digest, sealed: &[u8]) {
    if !is_gone(sealed) {
        digest.remove(sealed);
    }
}

/// Whether a sealed state row says that its key is gone. Where damage made it say so, the row is of no use anyway.
fn is_gone(sealed: &[u8]) -> bool {
    sealed.get(4) == Some(&GONE)
}
