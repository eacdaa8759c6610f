//! The values of HealthKit's enumerations: numbers in its samples, names of constants in its exports.
//!
//! Besides the values of category types these are those of metadata (`HKHeartRateMotionContext`) and of
//! workouts.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

use super::tsv;

static VALUES: LazyLock<Values> = LazyLock::new(Values::load);

/// The raw value of a constant, present or former: both `HKCategoryValueSleepAnalysisAsleepUnspecified` and
/// `HKCategoryValueSleepAnalysisAsleep`, its name before iOS 16, are 1.
#[must_use]
pub fn value_of(constant: &str) -> Option<i64> {
    VALUES.raw.get(constant).copied()
}

/// The present constant of a raw value: of (`HKCategoryValueSleepAnalysis`, 1) that is
/// `HKCategoryValueSleepAnalysisAsleepUnspecified`.
#[must_use]
pub fn constant_of(enum_name: &str, raw: i64) -> Option<&'static str> {
    VALUES.constants.get(&(enum_name, raw)).map(|value| value.constant)
}

/// The short name of a raw value, in camel case: `asleepUnspecified`.
#[must_use]
pub fn name_of(enum_name: &str, raw: i64) -> Option<&'static str> {
    VALUES.constants.get(&(enum_name, raw)).map(|value| value.name)
}

/// The raw value of a short name, present or former: (`HKCategoryValueSleepAnalysis`, `asleep`) is 1.
#[must_use]
pub fn value_of_name(enum_name: &str, name: &str) -> Option<i64> {
    VALUES.raw_by_name.get(&(enum_name, name)).copied()
}

struct Values {
    raw: HashMap<&'static str, i64, RandomState>,
    raw_by_name: HashMap<(&'static str, &'static str), i64, RandomState>,
    constants: HashMap<(&'static str, i64), Value, RandomState>,
}

struct Value {
    constant: &'static str,
    name: &'static str,
}

impl Values {
    fn load() -> Self {
        let mut raw = HashMap::default();
        let mut raw_by_name = HashMap::default();
        let mut constants = HashMap::default();
        for [enum_name, value, constant, name] in tsv::rows(include_str!("../../data/category_values.tsv")) {
            let value = value.parse().expect("invariant: the table's raw values are whole numbers");
            raw.insert(constant, value);
            raw_by_name.insert((enum_name, name), value);
            // Where a value has two constants, the first row has the present one.
            constants.entry((enum_name, value)).or_insert(Value { constant, name });
        }
        Self { raw, raw_by_name, constants }
    }
}
