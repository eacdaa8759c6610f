//! Writing anchored events.

use afferent_core::{
    Change, MetaValue, Metadata, Origin, Record, Timestamp, Value,
    kind::{category, workout::short_of_activity},
    record::{
        Activity, ActivitySummary, Aggregate, Clinical, Correlation, Device, Electrocardiogram, Heartbeat,
        Location, Statistic, Workout, WorkoutEvent,
    },
};

use super::{
    TOPIC, VENDOR,
    parts::instant,
    value::RESULTS,
    words::{NOT_SET, word_of},
};
use crate::{
    Encoder,
    wire::{one_line, write_number, write_text},
    workouts::distance_of,
    writer::{Object, array},
};

/// Writes each record as an anchored event of its own, one a line.
#[derive(Clone, Debug, Default)]
pub struct ReporterEncoder {
    /// The sample, which goes into the event as a text.
    sample: Vec<u8>,
}

impl Encoder for ReporterEncoder {
    fn encode(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
        self.sample.clear();
        if let Value::Notification(_) = record.value {
            observed(record, &mut self.sample)?;
            out.extend_from_slice(&self.sample);
            out.push(b'\n');
            return Ok(());
        }
        sample(record, &mut self.sample)?;
        let text = std::str::from_utf8(&self.sample).map_err(|_| "a text is not UTF-8".to_owned())?;
        let is_deletion = record.change == Change::Deleted;
        out.extend_from_slice(if is_deletion {
            b"{\"samples\":[],\"deletedObjects\":["
        } else {
            b"{\"samples\":["
        });
        write_text(text, out);
        out.extend_from_slice(if is_deletion { b"]}\n" } else { b"],\"deletedObjects\":[]}\n" });
        Ok(())
    }
}

/// Writes what an observer says.
fn observed(record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
    let is_observed = matches!(&record.value, Value::Notification(said) if *said.vendor == *VENDOR && *said.topic == *TOPIC);
    if !is_observed || record.start != Timestamp::default() || record.end != record.start {
        return Err(
            "health_kit_reporter has no notification but that of its observer, which has no time".to_owned()
        );
    }
    let mut object = Object::new(out);
    object.text("identifier", record.kind.map(afferent_core::Kind::name));
    object.end();
    Ok(())
}

fn sample(record: &Record, out: &mut Vec<u8>) -> Result<(), String> {
    let is_deletion = record.change == Change::Deleted;
    let mut object = Object::new(out);
    object.text("uuid", Some(record.id.encode(&mut [0; 36])));
    match record.kind {
        Some(kind) => object.text("identifier", Some(kind.name())),
        None if is_deletion => {}
        None => return Err("an addition has no type".to_owned()),
    }
    if !is_deletion || record.start != Timestamp::default() || record.end != Timestamp::default() {
        seconds("startTimestamp", record.start, &mut object)?;
        seconds("endTimestamp", record.end, &mut object)?;
    }
    object.text("subject", record.subject.as_deref());
    if record.revision != 0 {
        object.whole("revision", i64::from(record.revision));
    }
    let has_zone_key = record.metadata.as_ref().is_some_and(|metadata| metadata.get("HKTimeZone").is_some());
    match &record.zone {
        Some(zone) => object.text("zone", Some(zone)),
        // Else it would be read from the metadata.
        None if has_zone_key => object.raw("zone", "null"),
        None => {}
    }
    origin(record.origin.as_deref(), &mut object);
    if is_deletion {
        if record.value != Value::None {
            return Err("a deletion has a value".to_owned());
        }
        if let Some(metadata) = record.metadata.as_deref().filter(|metadata| !metadata.is_empty()) {
            write_metadata(metadata, object.key("metadata"))?;
        }
    } else {
        value(record, &mut object)?;
    }
    object.end();
    Ok(())
}

/// Writes an instant in seconds, as a number that is read as the same µs.
fn seconds(key: &str, time: Timestamp, object: &mut Object<'_>) -> Result<(), String> {
    let micros = time.as_micros();
    // The nearest double, whose shortest text is no longer than that of the µs.
    let seconds = micros as f64 / 1e6;
    if instant(seconds) != Some(time) {
        return Err("a time is too far away for seconds as a double to carry its µs".to_owned());
    }
    object.number(key, Some(seconds))
}

fn origin(origin: Option<&Origin>, object: &mut Object<'_>) {
    let device = origin.and_then(|origin| origin.device.as_ref());
    let mut part = Object::new(object.key("device"));
    if let Some(Device { name, manufacturer, model, hardware, firmware, software }) = device {
        part.text("name", name.as_deref());
        part.text("manufacturer", manufacturer.as_deref());
        part.text("model", model.as_deref());
        part.text("hardwareVersion", hardware.as_deref());
        part.text("firmwareVersion", firmware.as_deref());
        part.text("softwareVersion", software.as_deref());
    }
    part.end();
    let Some(Origin { name, bundle, version, product, os, .. }) = origin else { return };
    let mut part = Object::new(object.key("sourceRevision"));
    let mut source = Object::new(part.key("source"));
    source.text("name", name.as_deref());
    source.text("bundleIdentifier", bundle.as_deref());
    source.end();
    part.text("version", version.as_deref());
    part.text("productType", product.as_deref());
    part.text("systemVersion", os.as_deref());
    if let Some(os) = os {
        // Its readers ask for it; ours takes the text.
        let mut numbers = os.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        let mut system = Object::new(part.key("operatingSystem"));
        for key in ["majorVersion", "minorVersion", "patchVersion"] {
            system.whole(key, i64::from(numbers.next().unwrap_or(0)));
        }
        system.end();
    }
    part.end();
}

fn value(record: &Record, object: &mut Object<'_>) -> Result<(), String> {
    let is_workout = record.kind.is_some_and(afferent_core::Kind::is_workout);
    let is_quantity = record.kind.is_some_and(afferent_core::Kind::is_quantity);
    match &record.value {
        Value::Workout(workout) if is_workout => beside_workout(workout, record, object)?,
        Value::Workout(_) => return Err("a workout has the type of something else".to_owned()),
        Value::Quantity(..) | Value::Category(_) | Value::Aggregate(_) if is_workout => {
            return Err("a number has the type of a workout".to_owned());
        }
        Value::Category(_) if is_quantity => return Err("a quantity has no unit".to_owned()),
        Value::ActivitySummary(summary) => match &summary.day {
            Some(day) => object.text("date", Some(day)),
            None => object.raw("date", "null"),
        },
        Value::Electrocardiogram(ecg) => object.whole("numberOfMeasurements", ecg.voltages.len() as i64),
        _ => {}
    }
    let mut harmonized = Object::new(object.key("harmonized"));
    match &record.value {
        Value::Quantity(number, unit) => {
            harmonized.number("value", Some(*number))?;
            harmonized.text("unit", Some(unit.as_str()));
        }
        Value::Category(number) => {
            harmonized.whole("value", *number);
            let of = record.kind.and_then(|kind| kind.info()?.value_enum);
            harmonized.text("description", of);
            harmonized.text("detail", of.and_then(|of| category::name_of(of, *number)));
        }
        Value::Workout(workout) => totals(workout, &mut harmonized)?,
        Value::Correlation(correlation) => samples(correlation, &mut harmonized)?,
        Value::Electrocardiogram(ecg) => electrocardiogram(ecg, &mut harmonized)?,
        Value::HeartbeatSeries(series) => {
            harmonized.whole("count", series.beats.len() as i64);
            let last = series.beats.len();
            array(series.beats.iter().enumerate(), harmonized.key("measurements"), |(index, beat), out| {
                heartbeat(beat, index + 1 == last, out)
            })?;
        }
        Value::Route(route) => {
            harmonized.whole("count", route.locations.len() as i64);
            let out = harmonized.key("routes");
            out.extend_from_slice(b"[{\"locations\":");
            array(&route.locations, out, location)?;
            out.extend_from_slice(b",\"done\":true}]");
        }
        Value::ActivitySummary(summary) => activity_summary(summary, &mut harmonized)?,
        Value::Clinical(record) => clinical(record, &mut harmonized)?,
        Value::Aggregate(results) => aggregate(results, &mut harmonized)?,
        Value::Json(text) => harmonized.raw("json", one_line(text)?.get()),
        Value::None => return Err("an addition has no value".to_owned()),
        _ => return Err("health_kit_reporter has no such value".to_owned()),
    }
    if let Some(metadata) = record.metadata.as_deref().filter(|metadata| !metadata.is_empty()) {
        write_metadata(metadata, harmonized.key("metadata"))?;
    }
    harmonized.end();
    Ok(())
}

/// The flat object of 4.x.
fn write_metadata(metadata: &Metadata, out: &mut Vec<u8>) -> Result<(), String> {
    let mut object = Object::new(out);
    for (key, value) in metadata.iter() {
        match value {
            MetaValue::String(text) => object.text(key, Some(text)),
            MetaValue::Number(number) => object.number(key, Some(*number))?,
            MetaValue::Bool(value) => object.raw(key, if *value { "true" } else { "false" }),
            MetaValue::Date(time) => {
                let mut date = Object::new(object.key(key));
                seconds("timestamp", *time, &mut date)?;
                date.end();
            }
            MetaValue::Quantity(number, unit) => {
                let mut quantity = Object::new(object.key(key));
                quantity.number("value", Some(*number))?;
                quantity.text("unit", Some(unit.as_str()));
                quantity.end();
            }
        }
    }
    object.end();
    Ok(())
}

fn samples(correlation: &Correlation, harmonized: &mut Object<'_>) -> Result<(), String> {
    let is_plain = |value: &Value| matches!(value, Value::Quantity(..) | Value::Category(_));
    if correlation.samples.iter().any(|sample| sample.change == Change::Deleted || !is_plain(&sample.value)) {
        return Err("a correlation holds something else than quantities and categories".to_owned());
    }
    let is_quantity = |record: &&Record| matches!(record.value, Value::Quantity(..));
    let write = |record: &Record, out: &mut Vec<u8>| sample(record, out);
    // HealthKit's is a set, and has no order to keep.
    array(correlation.samples.iter().filter(is_quantity), harmonized.key("quantitySamples"), write)?;
    let categories = correlation.samples.iter().filter(|record| !is_quantity(record));
    array(categories, harmonized.key("categorySamples"), write)
}

fn beside_workout(workout: &Workout, record: &Record, object: &mut Object<'_>) -> Result<(), String> {
    object.number("duration", workout.duration)?;
    array(&workout.events, object.key("workoutEvents"), event)?;
    array(&workout.statistics, object.key("statistics"), |of, out| {
        statistic(of, (record.start, record.end), out)
    })?;
    if !workout.activities.is_empty() {
        array(&workout.activities, object.key("activities"), activity)?;
    }
    object.text("route", workout.route.as_deref());
    Ok(())
}

fn event(event: &WorkoutEvent, out: &mut Vec<u8>) -> Result<(), String> {
    let mut object = Object::new(out);
    seconds("startTimestamp", event.start, &mut object)?;
    seconds("endTimestamp", event.end, &mut object)?;
    object.number("duration", Some((event.end.as_micros() - event.start.as_micros()) as f64 / 1e6))?;
    let mut harmonized = Object::new(object.key("harmonized"));
    harmonized.whole("value", category::value_of_name("HKWorkoutEventType", &event.event).unwrap_or(0));
    harmonized.text("description", Some(&event.event));
    harmonized.end();
    object.end();
    Ok(())
}

fn statistic(of: &Statistic, (start, end): (Timestamp, Timestamp), out: &mut Vec<u8>) -> Result<(), String> {
    let mut object = Object::new(out);
    object.text("identifier", Some(of.kind.name()));
    seconds("startTimestamp", start, &mut object)?;
    seconds("endTimestamp", end, &mut object)?;
    let mut harmonized = Object::new(object.key("harmonized"));
    harmonized.number("summary", of.sum)?;
    harmonized.number("average", of.average)?;
    harmonized.number("min", of.minimum)?;
    harmonized.number("max", of.maximum)?;
    harmonized.text("unit", Some(of.unit.as_str()));
    harmonized.end();
    object.raw("sources", "[]");
    object.end();
    Ok(())
}

fn activity(part: &Activity, out: &mut Vec<u8>) -> Result<(), String> {
    let mut object = Object::new(out);
    object.whole("activityValue", i64::from(part.activity));
    object.text("activityDescription", Some(short_of_activity(part.activity).unwrap_or("other")));
    seconds("startTimestamp", part.start, &mut object)?;
    seconds("endTimestamp", part.end, &mut object)?;
    object.number("duration", part.duration)?;
    array(&part.statistics, object.key("statistics"), |of, out| statistic(of, (part.start, part.end), out))?;
    object.end();
    Ok(())
}

/// The totals, which readers of before 4.x know instead of statistics.
fn totals(workout: &Workout, harmonized: &mut Object<'_>) -> Result<(), String> {
    harmonized.whole("value", i64::from(workout.activity));
    harmonized.text("description", Some(short_of_activity(workout.activity).unwrap_or("other")));
    for (key, unit_key, kind) in [
        ("totalEnergyBurned", "totalEnergyBurnedUnit", "ActiveEnergyBurned"),
        ("totalDistance", "totalDistanceUnit", distance_of(workout.activity)),
        ("totalSwimmingStrokeCount", "totalSwimmingStrokeCountUnit", "SwimmingStrokeCount"),
        ("totalFlightsClimbed", "totalFlightsClimbedUnit", "FlightsClimbed"),
    ] {
        if let Some(total) = workout.statistics.iter().find(|of| of.kind.short() == kind) {
            harmonized.number(key, total.sum)?;
            harmonized.text(unit_key, Some(total.unit.as_str()));
        }
    }
    Ok(())
}

fn electrocardiogram(ecg: &Electrocardiogram, harmonized: &mut Object<'_>) -> Result<(), String> {
    harmonized.number("averageHeartRate", ecg.average_heart_rate)?;
    harmonized.text("averageHeartRateUnit", Some("count/min"));
    harmonized.number("samplingFrequency", ecg.sampling_frequency)?;
    harmonized.text("samplingFrequencyUnit", Some("Hz"));
    harmonized.text("classification", Some(ecg.classification.as_deref().map_or(NOT_SET, word_of)));
    harmonized.whole("count", ecg.voltages.len() as i64);
    let spacing =
        ecg.sampling_frequency.filter(|frequency| *frequency > 0.0).map_or(0.0, |frequency| 1.0 / frequency);
    array(ecg.voltages.iter().enumerate(), harmonized.key("voltageMeasurements"), |(index, micro), out| {
        let mut object = Object::new(out);
        let mut harmonized = Object::new(object.key("harmonized"));
        // The library's unit, where a double carries the same voltage in it.
        let volt = *micro / 1e6;
        let is_same = volt * 1e6 == *micro;
        harmonized.number("value", Some(if is_same { volt } else { *micro }))?;
        harmonized.text("unit", Some(if is_same { "V" } else { "mcV" }));
        harmonized.end();
        let time = index as f64 * spacing;
        object.number("timeSinceSampleStart", Some(if time.is_finite() { time } else { 0.0 }))?;
        object.end();
        Ok(())
    })
}

fn heartbeat(beat: &Heartbeat, is_last: bool, out: &mut Vec<u8>) -> Result<(), String> {
    let mut object = Object::new(out);
    object.number("timeSinceSeriesStart", Some(beat.time))?;
    object.raw("precededByGap", if beat.gap { "true" } else { "false" });
    object.raw("done", if is_last { "true" } else { "false" });
    object.end();
    Ok(())
}

fn location(place: &Location, out: &mut Vec<u8>) -> Result<(), String> {
    let mut object = Object::new(out);
    object.number("latitude", Some(place.latitude))?;
    object.number("longitude", Some(place.longitude))?;
    object.number("altitude", place.altitude)?;
    object.number("course", place.course)?;
    object.number("speed", place.speed)?;
    object.number("horizontalAccuracy", place.horizontal_accuracy)?;
    object.number("verticalAccuracy", place.vertical_accuracy)?;
    seconds("timestamp", place.time, &mut object)?;
    object.end();
    Ok(())
}

fn activity_summary(summary: &ActivitySummary, harmonized: &mut Object<'_>) -> Result<(), String> {
    harmonized.number("activeEnergyBurned", summary.energy)?;
    harmonized.number("activeEnergyBurnedGoal", summary.energy_goal)?;
    harmonized.text("activeEnergyBurnedUnit", summary.energy_unit.map(|unit| unit.as_str()));
    harmonized.number("appleMoveTime", summary.move_time)?;
    harmonized.number("appleMoveTimeGoal", summary.move_time_goal)?;
    harmonized.text("appleMoveTimeUnit", summary.move_time.or(summary.move_time_goal).map(|_| "min"));
    harmonized.number("appleExerciseTime", summary.exercise_time)?;
    harmonized.number("appleExerciseTimeGoal", summary.exercise_time_goal)?;
    harmonized.text("appleExerciseTimeUnit", Some("min"));
    harmonized.number("appleStandHours", summary.stand_hours)?;
    harmonized.number("appleStandHoursGoal", summary.stand_hours_goal)?;
    harmonized.text("appleStandHoursUnit", Some("count"));
    Ok(())
}

fn clinical(record: &Clinical, harmonized: &mut Object<'_>) -> Result<(), String> {
    match &record.display_name {
        Some(name) => harmonized.text("displayName", Some(name)),
        // It says what the object is.
        None => harmonized.raw("displayName", "null"),
    }
    harmonized.text("fhirSourceUrl", record.source_url.as_deref());
    harmonized.text("fhirVersion", record.fhir_version.as_deref());
    harmonized.text("path", record.path.as_deref());
    if let Some(document) = &record.document {
        // A text that holds it; what is no JSON could not be read again.
        one_line(document)?;
        harmonized.text("fhirData", Some(document));
    }
    Ok(())
}

fn aggregate(aggregate: &Aggregate, harmonized: &mut Object<'_>) -> Result<(), String> {
    let mut written = 0;
    for (key, name) in RESULTS {
        let mut all = aggregate.results.iter().filter(|(result, _)| **result == *name);
        if let Some((_, number)) = all.next() {
            write_number(*number, harmonized.key(key))?;
            written += 1;
        }
    }
    if written != aggregate.results.len() || (written == 0 && aggregate.unit.is_none()) {
        return Err("an aggregate has other results than sum, average, recent, min and max".to_owned());
    }
    harmonized.text("unit", aggregate.unit.map(|unit| unit.as_str()));
    Ok(())
}
