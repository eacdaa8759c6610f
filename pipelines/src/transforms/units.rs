//! `units`: converts quantities into the units that the file names.
//!
//! Conversion is exact and rounded once (G4); a value that is in its unit already stays bit for bit. Quantities
//! inside a correlation (the two of a blood pressure) are converted too. Aggregates, workouts and all else stay
//! as they are: convert before a window, not after it.
//!
//! A record whose own unit does not convert, or whose value would be beyond the range of a double, is rejected.

use std::{collections::HashMap, sync::Arc};

use afferent_core::{
    Batch, Emit, Kind, Problem, Record, Result, Transform, Unit, Value, config::Configure,
    record::Correlation, unit::Conversion,
};
use serde::Deserialize;

use super::at;
use crate::cel::unknown_type;

/// Configuration of [`Units`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// By type, short or full, the unit to convert into: `{ HeartRate = "count/s" }`.
    pub to: std::collections::BTreeMap<String, String>,
}

impl Configure for Config {
    fn check(&self) -> Vec<Problem> {
        Units::new(self.clone()).err().unwrap_or_default()
    }
}

/// Converts quantities.
#[derive(Clone, Debug)]
pub struct Units {
    targets: HashMap<Kind, Target, foldhash::fast::RandomState>,
}

#[derive(Clone, Debug)]
struct Target {
    unit: Unit,
    /// How the unit of the last record converts: runs of one unit are the rule.
    last: Option<(Unit, Option<Conversion>)>,
}

impl Units {
    /// Makes it from its configuration.
    ///
    /// # Errors
    /// Unknown types, types that have no unit, units that do not fit their type.
    pub fn new(config: Config) -> Result<Units, Vec<Problem>> {
        let (mut targets, mut problems) = (HashMap::default(), Vec::new());
        for (name, unit) in &config.to {
            match target(name, unit) {
                Ok((kind, unit)) => {
                    if targets.insert(kind, Target { unit, last: None }).is_some() {
                        let message = format!("`{kind}` is there twice, under two of its names");
                        problems.push(at(["to", name], Problem::new("", message)));
                    }
                }
                Err(problem) => problems.push(at(["to", name], problem)),
            }
        }
        if config.to.is_empty() {
            let problem = Problem::new("to", "no unit is named");
            problems.push(problem.help("name at least one, such as { HeartRate = \"count/s\" }"));
        }
        if problems.is_empty() { Ok(Units { targets }) } else { Err(problems) }
    }

    /// Converts the value of `record`, or says why it can't. A record that it can't stays as it came.
    fn convert(&mut self, record: &mut Record) -> Result<(), String> {
        match &mut record.value {
            Value::Correlation(correlation) => self.convert_samples(correlation),
            _ => self.convert_quantity(record),
        }
    }

    #[inline]
    fn convert_quantity(&mut self, record: &mut Record) -> Result<(), String> {
        let (Value::Quantity(value, unit), Some(kind)) = (&mut record.value, record.kind) else {
            return Ok(());
        };
        self.targets.get_mut(&kind).map_or(Ok(()), |target| target.convert(kind, value, unit))
    }

    fn convert_samples(&mut self, correlation: &mut Arc<Correlation>) -> Result<(), String> {
        let concerned = |sample: &Record| sample.kind.is_some_and(|kind| self.targets.contains_key(&kind));
        if correlation.samples.iter().any(concerned) {
            let mut samples = correlation.samples.clone();
            samples.iter_mut().try_for_each(|sample| self.convert_quantity(sample))?;
            *correlation = Arc::new(Correlation { samples });
        }
        Ok(())
    }
}

impl Target {
    #[inline]
    fn convert(&mut self, kind: Kind, value: &mut f64, unit: &mut Unit) -> Result<(), String> {
        if *unit == self.unit {
            return Ok(());
        }
        let conversion = match self.last {
            Some((last, conversion)) if last == *unit => conversion,
            _ => {
                let conversion = unit.conversion(self.unit);
                self.last = Some((*unit, conversion));
                conversion
            }
        };
        let Some(conversion) = conversion else {
            // A text that is no unit may be anything, a health value too.
            let found = match unit.dimension() {
                Some(_) => unit.as_str(),
                None => "a unit nobody knows",
            };
            return Err(format!("{kind}: expected a unit that converts into {}, found {found}", self.unit));
        };
        let converted = conversion.apply(*value);
        if !converted.is_finite() {
            return Err(format!("{kind}: the value is beyond the range of a double in {}", self.unit));
        }
        (*value, *unit) = (converted, self.unit);
        Ok(())
    }
}

/// The kind and unit that an entry of `to` names.
pub(super) fn target(name: &str, unit: &str) -> Result<(Kind, Unit), Problem> {
    let kind = Kind::parse(name).map_err(|unknown| unknown_type(&unknown))?;
    let expected = kind.info().and_then(|info| info.unit);
    if kind.info().is_some() && expected.is_none() {
        return Err(Problem::new("", format!("`{}` is not a quantity: it has no unit", kind.short())));
    }
    let help = match expected {
        Some(expected) => format!("a unit that {} converts into", expected),
        None => "units are written as HealthKit does: `count/min`, `kcal`, `mg/dL`, `degC`".to_owned(),
    };
    let unit = Unit::parse(unit).map_err(|error| Problem::new("", error.to_string()))?;
    if unit.dimension().is_none() {
        return Err(Problem::new("", format!("unknown unit `{unit}`")).help(format!("expected {help}")));
    }
    if unit.fits(kind) == Some(false) {
        let message = format!("`{unit}` is not a unit of `{}`", kind.short());
        return Err(Problem::new("", message).help(format!("expected {help}")));
    }
    Ok((kind, unit))
}

impl Transform for Units {
    type In = Record;
    type Out = Record;

    fn apply(&mut self, input: &mut Batch<Record>, out: &mut Emit<Record>) -> Result<()> {
        input.retain_mut(|record| {
            if record.is_deletion() {
                return true;
            }
            match self.convert(record) {
                Ok(()) => true,
                Err(reason) => {
                    out.reject_record(record, reason);
                    false
                }
            }
        });
        out.take(input);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use afferent_core::{RecordId, reject::Payload, testing::transform_contract};

    use super::*;
    use crate::transforms::testing::{deletion, key_paths, quantity, records};

    fn config(to: &[(&str, &str)]) -> Config {
        Config { to: to.iter().map(|&(kind, unit)| (kind.to_owned(), unit.to_owned())).collect() }
    }

    fn in_unit(record: Record, unit: &str) -> Record {
        let value = record.value.as_f64().unwrap();
        Record { value: Value::Quantity(value, Unit::parse(unit).unwrap()), ..record }
    }

    /// Scenario: units that convert, the unit itself, other types, deletions and a correlation. Guarantees: G4,
    /// each value is the nearest double; what is not asked for is untouched.
    #[test]
    fn converts_exactly_what_is_asked_for() {
        let pressure = |value, unit| {
            let samples = vec![
                in_unit(quantity(7, "BloodPressureSystolic", value, 0), unit),
                quantity(8, "HeartRate", 1.5, 0),
            ];
            let kind = Kind::parse("BloodPressure").unwrap();
            let value = Value::Correlation(Arc::new(Correlation { samples }));
            Record::added(RecordId::from_u128(6), kind, Default::default(), Default::default(), value)
        };
        let input = [
            in_unit(quantity(1, "HeartRate", 90.0, 0), "count/min"),
            in_unit(quantity(2, "HeartRate", 0.1, 0), "count/s"),
            in_unit(quantity(3, "BodyTemperature", 98.6, 0), "degF"),
            in_unit(quantity(4, "BodyMass", 70.0, 0), "lb"),
            deletion(5, Some("HeartRate")),
            pressure(120.0, "mmHg"),
        ];
        let to = [
            ("HeartRate", "count/s"),
            ("HKQuantityTypeIdentifierBodyTemperature", "degC"),
            ("BloodPressureSystolic", "Pa"),
        ];
        let output = transform_contract(|| Units::new(config(&to)).unwrap(), &input, 0..5);
        let expected = [
            in_unit(quantity(1, "HeartRate", 1.5, 0), "count/s"),
            input[1].clone(),
            in_unit(quantity(3, "BodyTemperature", 37.0, 0), "degC"),
            input[3].clone(),
            input[4].clone(),
            pressure(15_998.684_21, "Pa"),
        ];
        assert_eq!(output[..5], expected[..5]);
        let Value::Correlation(correlation) = &output[5].value else { panic!("a correlation") };
        let (pascals, unit) =
            (correlation.samples[0].value.as_f64().unwrap(), correlation.samples[0].value.unit());
        assert!((pascals - 15_998.684_21).abs() < 0.01 && unit == Unit::parse("Pa").ok(), "{pascals}");
        transform_contract(
            || Units::new(config(&[("HeartRate", "count/min")])).unwrap(),
            &records(500, 6),
            0..10,
        );
    }

    /// Scenario: records in a unit of something else, in a text that is no unit, and beyond the range of a
    /// double. Guarantees: G1 and G8, they are rejected as they came, with a reason that names no value, and the
    /// others go on.
    #[test]
    fn what_does_not_convert_is_rejected() {
        let good = in_unit(quantity(4, "HeartRate", 60.0, 0), "count/min");
        let bad = [
            in_unit(quantity(1, "HeartRate", 70.0, 0), "kg"),
            in_unit(quantity(2, "HeartRate", 70.0, 0), "seventy"),
            in_unit(quantity(3, "HeartRate", f64::MAX, 0), "count/ms"),
        ];
        let mut out = Emit::new();
        let input = bad.iter().chain([&good]).cloned().collect::<Vec<_>>();
        Units::new(config(&[("HeartRate", "count/s")])).unwrap().apply(&mut input.into(), &mut out).unwrap();
        assert_eq!((out.batch.len(), out.counts().dead), (1, 3));
        let rejects = out.take_rejects();
        let reasons: Vec<&str> = rejects.iter().map(|(_, reject)| reject.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "HKQuantityTypeIdentifierHeartRate: expected a unit that converts into count/s, found kg",
                "HKQuantityTypeIdentifierHeartRate: expected a unit that converts into count/s, found a unit nobody knows",
                "HKQuantityTypeIdentifierHeartRate: the value is beyond the range of a double in count/s",
            ]
        );
        for ((_, reject), record) in rejects.iter().zip(&bad) {
            assert_eq!(reject.payload, Payload::Record(rmp_serde::to_vec(record).unwrap()));
        }
    }

    /// Scenario: a misspelt type, a unit of something else, one that nobody knows, a type without a unit, one
    /// type under two names. Guarantees: each is a problem at its place, found without a record.
    #[test]
    fn units_that_do_not_fit_are_problems() {
        let to = [
            ("BodyMass", "count/s"),
            ("HartRate", "count/s"),
            ("HeartRate", "bpm"),
            ("SleepAnalysis", "s"),
            ("StepCount", "count"),
            ("HKQuantityTypeIdentifierStepCount", "count"),
            ("com.example.mood", "count"),
        ];
        let problems = config(&to).check();
        let paths = ["to.BodyMass", "to.HartRate", "to.HeartRate", "to.SleepAnalysis", "to.StepCount"];
        assert_eq!(key_paths(&problems), paths);
        assert_eq!(problems[0].message, "`count/s` is not a unit of `BodyMass`");
        assert_eq!(problems[0].help.as_deref(), Some("expected a unit that kg converts into"));
        assert_eq!(key_paths(&config(&[]).check()), ["to"]);
    }
}
