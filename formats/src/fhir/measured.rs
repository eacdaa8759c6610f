//! What was measured: `value[x]` and components.

use afferent_core::{
    Kind, Name, Record, Timestamp, Unit, Value,
    kind::{category, workout},
    record::{ActivitySummary, Aggregate, Electrocardiogram, Statistic, Workout},
};

use super::{
    APPLE_SYSTEM,
    code::{MDC_SYSTEM, write_coding},
    effective::write_period,
    observation::Context,
    text::write_string,
};
use crate::decimal::write_decimal;

/// FHIR's strings have at most this many bytes (R4, datatype `string`).
const MAX_STRING_BYTES: usize = 1 << 20;

/// FHIR's codes of statistics (its code system observation-statistics), by the names that results have.
const STATISTICS: &[(&str, &str)] = &[
    ("count", "count"),
    ("sum", "sum"),
    ("min", "minimum"),
    ("max", "maximum"),
    ("mean", "average"),
    ("average", "average"),
    ("avg", "average"),
    ("median", "median"),
    ("stddev", "std-dev"),
    ("variance", "variance"),
];

/// Appends the value of a record of `kind`, or its components.
pub(super) fn write_value(
    record: &Record,
    kind: Kind,
    cx: &mut Context,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let refused = |reason: &str| Err(reason.to_owned());
    match &record.value {
        Value::Quantity(number, unit) => {
            let begin = b",\"valueQuantity\":{\"value\":";
            cx.codes.of(Some(kind), Some(*unit)).write_quantity(begin, *number, out)
        }
        Value::Category(_) if kind.is_quantity() => refused("a quantity has no unit"),
        Value::Category(raw) => {
            out.push(b',');
            write_category(kind, *raw, out)
        }
        Value::Json(text) => {
            out.extend_from_slice(b",\"valueString\":");
            if text.len() > MAX_STRING_BYTES {
                return refused("its JSON is longer than a string of FHIR may be, 1 MiB");
            }
            write_string(text, out);
            Ok(())
        }
        value => {
            if let Value::Workout(workout) = value {
                out.extend_from_slice(b",\"valueCodeableConcept\":");
                write_activity(workout.activity, out);
            }
            let mut components = Components { cx, out, separator: b",\"component\":[" };
            match value {
                Value::Workout(workout) => components.workout(workout, record.zone.as_ref())?,
                Value::Correlation(correlation) => components.correlation(&correlation.samples)?,
                Value::Electrocardiogram(ecg) => components.electrocardiogram(ecg)?,
                Value::ActivitySummary(summary) => components.activity_summary(summary)?,
                Value::Aggregate(aggregate) => components.aggregate(kind, aggregate)?,
                Value::None => return refused("an addition has no value"),
                Value::HeartbeatSeries(_) => {
                    return refused(
                        "FHIR R4 has no form for a series of heartbeats, which are not evenly spaced",
                    );
                }
                Value::Route(_) => return refused("an Observation has no form for a route"),
                Value::Clinical(_) => {
                    return refused("a clinical document is a resource of its own, not an Observation");
                }
                Value::Notification(_) => return refused("a vendor's notification is no Observation"),
                _ => return refused("FHIR has no form for such a value"),
            }
            components.end();
            Ok(())
        }
    }
}

/// Appends `"valueCodeableConcept":…` of a constant, or `"valueInteger":…`.
fn write_category(kind: Kind, raw: i64, out: &mut Vec<u8>) -> Result<(), String> {
    let values = kind.info().and_then(|info| info.value_enum);
    let constant =
        values.and_then(|values| Some((category::constant_of(values, raw)?, category::name_of(values, raw))));
    if let Some((constant, name)) = constant {
        out.extend_from_slice(b"\"valueCodeableConcept\":{\"coding\":[");
        write_coding(APPLE_SYSTEM, constant, name, out);
        out.extend_from_slice(b"]}");
        return Ok(());
    }
    if i32::try_from(raw).is_err() {
        return Err("a category's number is beyond FHIR's integers, which have 32 bits".to_owned());
    }
    out.extend_from_slice(b"\"valueInteger\":");
    out.extend_from_slice(itoa::Buffer::new().format(raw).as_bytes());
    Ok(())
}

/// Appends a CodeableConcept of an activity; one that is not in the catalogue is a text.
fn write_activity(activity: u32, out: &mut Vec<u8>) {
    match workout::constant_of_activity(activity) {
        Some(constant) => {
            out.extend_from_slice(b"{\"coding\":[");
            write_coding(APPLE_SYSTEM, constant, workout::short_of_activity(activity), out);
            out.extend_from_slice(b"]}");
        }
        None => {
            out.extend_from_slice(b"{\"text\":\"HKWorkoutActivityType ");
            out.extend_from_slice(itoa::Buffer::new().format(activity).as_bytes());
            out.extend_from_slice(b"\"}");
        }
    }
}

/// The components of one Observation.
struct Components<'a> {
    cx: &'a mut Context,
    out: &'a mut Vec<u8>,
    separator: &'static [u8],
}

impl Components<'_> {
    fn begin(&mut self) {
        self.out.extend_from_slice(self.separator);
        self.out.push(b'{');
        self.separator = b",";
    }

    fn end(self) {
        if self.separator == b"," {
            self.out.push(b']');
        }
    }

    /// Begins a component with a code of Apple's, up to its value.
    fn apple(&mut self, code: &str) {
        self.begin();
        self.out.extend_from_slice(b"\"code\":{\"coding\":[");
        write_coding(APPLE_SYSTEM, code, None, self.out);
        self.out.extend_from_slice(b"]},");
    }

    /// A number with a unit of its own, of nothing that has a type.
    fn number(&mut self, code: &str, number: Option<f64>, unit: Unit) -> Result<(), String> {
        let Some(number) = number else { return Ok(()) };
        self.apple(code);
        self.quantity(None, number, Some(unit))
    }

    /// Ends a component with a Quantity.
    fn quantity(&mut self, kind: Option<Kind>, number: f64, unit: Option<Unit>) -> Result<(), String> {
        let begin = b"\"valueQuantity\":{\"value\":";
        self.cx.codes.of(kind, unit).write_quantity(begin, number, self.out)?;
        self.out.push(b'}');
        Ok(())
    }

    fn text(&mut self, code: &str, text: Option<&Name>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        self.apple(code);
        self.out.extend_from_slice(b"\"valueString\":");
        write_string(text, self.out);
        self.out.push(b'}');
    }

    fn period(&mut self, zone: Option<&Name>, start: Timestamp, end: Timestamp) -> Result<(), String> {
        self.out.extend_from_slice(b"\"valuePeriod\":");
        write_period(&mut self.cx.zones, zone, start, end, self.out)?;
        self.out.push(b'}');
        Ok(())
    }

    fn correlation(&mut self, samples: &[Record]) -> Result<(), String> {
        if samples.is_empty() {
            return Err("a correlation without samples says nothing".to_owned());
        }
        for sample in samples {
            let kind = sample.kind.ok_or("a sample of a correlation has no type")?;
            self.begin();
            match &sample.value {
                Value::Quantity(number, unit) => {
                    self.cx.codes.of(Some(kind), Some(*unit)).write_code(self.out);
                    self.out.push(b',');
                    self.quantity(Some(kind), *number, Some(*unit))?;
                }
                Value::Category(raw) if !kind.is_quantity() => {
                    self.cx.codes.of(Some(kind), None).write_code(self.out);
                    self.out.push(b',');
                    write_category(kind, *raw, self.out)?;
                    self.out.push(b'}');
                }
                _ => {
                    return Err(
                        "a component can hold a quantity or a category, found another value".to_owned()
                    );
                }
            }
        }
        Ok(())
    }

    fn workout(&mut self, workout: &Workout, zone: Option<&Name>) -> Result<(), String> {
        self.number("duration", workout.duration, seconds())?;
        for statistic in &workout.statistics {
            self.statistic(statistic)?;
        }
        for event in &workout.events {
            // HealthKit's constant of `pause` is HKWorkoutEventTypePause.
            let mut constant = String::from("HKWorkoutEventType");
            let mut letters = event.event.chars();
            constant.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            // Codes have no white space.
            constant.extend(letters.filter(|c| !c.is_whitespace() && !c.is_control()));
            self.apple(&constant);
            self.period(zone, event.start, event.end)?;
        }
        for part in &workout.activities {
            self.begin();
            self.out.extend_from_slice(b"\"code\":");
            write_activity(part.activity, self.out);
            self.out.push(b',');
            self.period(zone, part.start, part.end)?;
        }
        Ok(())
    }

    fn statistic(&mut self, statistic: &Statistic) -> Result<(), String> {
        let Statistic { kind, unit, sum, average, minimum, maximum } = *statistic;
        for (code, number) in [("sum", sum), ("average", average), ("minimum", minimum), ("maximum", maximum)]
        {
            let Some(number) = number else { continue };
            self.begin();
            self.out.extend_from_slice(b"\"code\":{\"coding\":[");
            write_coding(APPLE_SYSTEM, kind.name(), None, self.out);
            self.out.push(b',');
            write_coding(STATISTICS_SYSTEM, code, None, self.out);
            self.out.extend_from_slice(b"]},");
            self.quantity(Some(kind), number, Some(unit))?;
        }
        Ok(())
    }

    fn electrocardiogram(&mut self, ecg: &Electrocardiogram) -> Result<(), String> {
        self.text("HKElectrocardiogram.Classification", ecg.classification.as_ref());
        if let Some(rate) = ecg.average_heart_rate {
            let kind = Kind::parse("HeartRate").ok();
            self.begin();
            self.cx.codes.of(kind, Some(per_minute())).write_code(self.out);
            self.out.push(b',');
            self.quantity(kind, rate, Some(per_minute()))?;
        }
        self.number("HKElectrocardiogram.SamplingFrequency", ecg.sampling_frequency, unit("Hz"))?;
        if ecg.voltages.is_empty() {
            return Ok(());
        }
        let frequency = ecg.sampling_frequency.filter(|frequency| *frequency > 0.0);
        let period = 1000.0 / frequency.ok_or("voltages need a sampling frequency, and it has none")?;
        self.begin();
        self.out.extend_from_slice(b"\"code\":{\"coding\":[");
        write_coding(MDC_SYSTEM, "131329", Some("MDC_ECG_ELEC_POTL_I"), self.out);
        self.out.extend_from_slice(
            b"]},\"valueSampledData\":{\"origin\":{\"value\":0,\"unit\":\"mcV\",\"system\":\"http://unitsofmeasure.org\",\"code\":\"uV\"},\"period\":",
        );
        write_decimal(period, self.out)?;
        self.out.extend_from_slice(b",\"dimensions\":1,\"data\":");
        let mut separator = b'"';
        for voltage in &ecg.voltages {
            self.out.push(separator);
            separator = b' ';
            write_decimal(*voltage, self.out)?;
        }
        self.out.extend_from_slice(b"\"}}");
        Ok(())
    }

    fn activity_summary(&mut self, summary: &ActivitySummary) -> Result<(), String> {
        let ActivitySummary { day, energy, energy_goal, energy_unit, .. } = summary;
        // The names are those of the attributes in an Apple Health export.
        self.text("dateComponents", day.as_ref());
        let energies = energy_unit.unwrap_or(unit("kcal"));
        self.number("activeEnergyBurned", *energy, energies)?;
        self.number("activeEnergyBurnedGoal", *energy_goal, energies)?;
        self.number("appleMoveTime", summary.move_time, unit("min"))?;
        self.number("appleMoveTimeGoal", summary.move_time_goal, unit("min"))?;
        self.number("appleExerciseTime", summary.exercise_time, unit("min"))?;
        self.number("appleExerciseTimeGoal", summary.exercise_time_goal, unit("min"))?;
        self.number("appleStandHours", summary.stand_hours, unit("count"))?;
        self.number("appleStandHoursGoal", summary.stand_hours_goal, unit("count"))
    }

    fn aggregate(&mut self, kind: Kind, aggregate: &Aggregate) -> Result<(), String> {
        if aggregate.results.is_empty() {
            return Err("an aggregate without results says nothing".to_owned());
        }
        for (name, number) in &aggregate.results {
            self.begin();
            match STATISTICS.iter().find(|(known, _)| *known == name.as_str()) {
                Some((_, code)) => {
                    self.out.extend_from_slice(b"\"code\":{\"coding\":[");
                    write_coding(STATISTICS_SYSTEM, code, None, self.out);
                    self.out.extend_from_slice(b"]},");
                }
                None if name.is_empty() => return Err("a result of an aggregate has no name".to_owned()),
                None => {
                    self.out.extend_from_slice(b"\"code\":{\"text\":");
                    write_string(name, self.out);
                    self.out.extend_from_slice(b"},");
                }
            }
            match name.as_str() {
                "count" => self.quantity(None, *number, Some(unit("count")))?,
                // Its unit would be the square of the values'.
                "variance" => self.quantity(None, *number, None)?,
                _ => self.quantity(Some(kind), *number, aggregate.unit)?,
            }
        }
        Ok(())
    }
}

/// FHIR's statistics.
const STATISTICS_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/observation-statistics";

fn unit(text: &str) -> Unit {
    Unit::parse(text).expect("invariant: the units of the built-in table are always there")
}

fn seconds() -> Unit {
    unit("s")
}

fn per_minute() -> Unit {
    unit("count/min")
}
