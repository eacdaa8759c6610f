//! What a record that lasts says of the samples inside it.

use afferent_core::{
    Kind, MetaValue, Name, Record, Unit, Value,
    record::{Statistic, Workout},
};

use super::{Join, config::Plan, lane::Lasting};
use crate::transforms::statistics::value::compute;

/// What stands before the type in keys of the metadata.
const PREFIX: &str = "afferent.joined";

/// What the samples of a type and unit come to.
struct Numbers {
    kind: Kind,
    unit: Unit,
    count: u64,
    results: Vec<(Name, f64)>,
}

impl Numbers {
    fn named(&self, name: &str) -> Option<f64> {
        self.results.iter().find(|(result, _)| result.as_str() == name).map(|(_, number)| *number)
    }

    fn statistic(&self) -> Statistic {
        Statistic {
            kind: self.kind,
            unit: self.unit,
            sum: self.named("sum"),
            average: self.named("avg"),
            minimum: self.named("min"),
            maximum: self.named("max"),
        }
    }
}

impl Plan {
    /// Whether samples of `kind` change what `record` says: not if it says something of them itself.
    pub(super) fn joins(&self, record: &Record, kind: Kind) -> bool {
        let Value::Workout(workout) = &record.value else { return true };
        self.replace || workout.statistics.iter().all(|statistic| statistic.kind != kind)
    }
}

impl Join {
    /// A record that lasts, with what is inside it.
    pub(super) fn joined(&self, lasting: Lasting) -> Record {
        let numbers = self.numbers(&lasting);
        let Lasting { mut record, revision, .. } = lasting;
        record.revision = revision;
        if numbers.is_empty() {
            return record;
        }
        if let Value::Workout(workout) = &record.value {
            let mut workout = Workout::clone(workout);
            workout.statistics.retain(|own| numbers.iter().all(|numbers| numbers.kind != own.kind));
            workout.statistics.extend(numbers.iter().map(Numbers::statistic));
            record.value = Value::Workout(workout.into());
        }
        let is_workout = matches!(record.value, Value::Workout(_));
        let metadata = record.metadata_mut();
        for numbers in &numbers {
            let key = |name: &str| format!("{PREFIX}.{}.{name}", numbers.kind.short());
            metadata.push(key("count"), MetaValue::Number(numbers.count as f64));
            let results = numbers.results.iter().filter(|_| !is_workout);
            results.for_each(|(name, number)| {
                metadata.push(key(name), MetaValue::Quantity(*number, numbers.unit))
            });
        }
        record
    }

    /// What the samples inside it come to, in the order of the types in the file, then of units.
    fn numbers(&self, lasting: &Lasting) -> Vec<Numbers> {
        let (start, end) = lasting.bounds();
        let mut all = Vec::new();
        for &series in &self.groups.get(lasting.lane).state.series {
            let group = self.groups.get(series);
            let (Some(kind), Some(unit)) = (group.key.kind, group.key.unit) else { continue };
            let count = group.state.inside(start, end).count() as u64;
            if count == 0 || !self.plan.joins(&lasting.record, kind) {
                continue;
            }
            let (_, results) = compute(kind, Some(unit), (start, end), group.state.inside(start, end));
            all.push(Numbers { kind, unit, count, results });
        }
        let place = |kind| self.plan.order.iter().position(|other| *other == kind);
        all.sort_by_key(|numbers| (place(numbers.kind), numbers.unit.as_str()));
        all
    }
}
