use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

use super::info::{Aggregation, KindClass, KindInfo};
use super::{plausible, tsv};
use crate::unit::Unit;

/// HealthKit's types by index and by name. Built once, read without a lock.
pub(super) static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::load);

pub(super) struct Catalogue {
    kinds: Vec<KindInfo>,
    /// Full identifiers, short names, and aliases of both.
    names: HashMap<&'static str, usize, RandomState>,
    /// Aliases of identifiers that are not in the catalogue.
    aliases: HashMap<&'static str, &'static str, RandomState>,
}

impl Catalogue {
    fn load() -> Self {
        let mut kinds: Vec<KindInfo> =
            tsv::rows(include_str!("../../data/types.tsv")).map(kind_info).collect();
        plausible::fill(&mut kinds);
        let mut names = HashMap::default();
        for (index, kind) in kinds.iter().enumerate() {
            names.insert(kind.identifier, index);
            names.insert(kind.short, index);
        }
        let mut aliases = HashMap::default();
        for [alias, identifier, _where] in tsv::rows(include_str!("../../data/aliases.tsv")) {
            match names.get(identifier).copied() {
                Some(index) => {
                    names.insert(alias, index);
                    names.insert(short_of(alias), index);
                }
                None => {
                    aliases.insert(alias, identifier);
                }
            }
        }
        Self { kinds, names, aliases }
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    pub(super) fn info(&self, index: usize) -> Option<&KindInfo> {
        self.kinds.get(index)
    }

    pub(super) fn get(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    pub(super) fn identifier_of_alias(&self, name: &str) -> Option<&'static str> {
        self.aliases.get(name).copied()
    }

    pub(super) fn short_of(&self, name: &str) -> Option<&'static str> {
        self.get(name).and_then(|index| self.info(index)).map(|info| info.short)
    }
}

fn kind_info(
    [identifier, kind, unit, aggregation, value_enum, min_ios, writeable]: [&'static str; 7],
) -> KindInfo {
    KindInfo {
        identifier,
        short: short_of(identifier),
        class: KindClass::of_row(identifier, kind)
            .expect("invariant: the catalogue's kinds are the listed ones"),
        unit: present(unit)
            .map(|unit| Unit::parse(unit).expect("invariant: the catalogue's units are short")),
        aggregation: present(aggregation).map(|text| {
            Aggregation::of_row(text).expect("invariant: the catalogue's aggregations are HealthKit's")
        }),
        value_enum: present(value_enum),
        min_ios,
        writeable: writeable == "true",
        plausible: None,
    }
}

fn present(field: &'static str) -> Option<&'static str> {
    (!field.is_empty()).then_some(field)
}

/// What follows `…TypeIdentifier`; where nothing does, what stands before it: `HKWorkoutTypeIdentifier` is
/// `Workout`.
fn short_of(identifier: &'static str) -> &'static str {
    match identifier.split_once("TypeIdentifier") {
        Some((before, "")) => before.strip_prefix("HK").unwrap_or(before),
        Some((_, after)) => after,
        None => identifier,
    }
}
