//! Samples of more than one number: workouts, blood pressures, meals, electrocardiograms, documents.

use std::sync::Arc;

use afferent_core::{
    Kind, Record, Unit, Value,
    kind::KindClass,
    record::{
        ActivitySummary, Clinical, Correlation, Electrocardiogram, Heartbeat, HeartbeatSeries, Location,
        Route, Statistic, Workout,
    },
};

use super::{
    key::Key,
    plan::{Part, Plan, Shape},
    samples::{Scene, Studio, by, day_text, timestamp},
};

/// What is covered in a workout of an activity: the type of its distance, and m/s.
pub(super) const DISTANCES: &[(u32, &str, f64)] = &[
    (37, "DistanceWalkingRunning", 2.8),
    (52, "DistanceWalkingRunning", 1.4),
    (13, "DistanceCycling", 6.5),
    (46, "DistanceSwimming", 0.7),
    (35, "DistanceRowing", 3.0),
    (39, "DistanceSkatingSports", 5.0),
    (31, "DistancePaddleSports", 1.6),
    (60, "DistanceCrossCountrySkiing", 3.5),
    (61, "DistanceDownhillSnowSports", 8.0),
    (70, "DistanceWheelchair", 1.5),
];

/// Activities whose route is recorded.
const WITH_ROUTE: &[u32] = &[37, 52, 13];

/// An electrocardiogram of a watch: 30 s at 512 Hz.
const ECG_HERTZ: usize = 512;
const ECG_SECONDS: usize = 30;
/// One beat, in µV, at even steps. A table, so that every machine has the same.
const BEAT: [f64; 20] = [
    0.0, 0.0, 40.0, 110.0, 130.0, 60.0, 0.0, -80.0, 950.0, -220.0, 0.0, 10.0, 40.0, 120.0, 220.0, 260.0,
    180.0, 70.0, 10.0, 0.0,
];

impl Studio {
    pub(super) fn composite(&self, scene: &Scene<'_>, out: &mut Vec<Record>) {
        let hour = &scene.hour;
        match scene.plan.shape {
            Shape::Workout => {
                if let Some(bout) = self.finished(scene) {
                    let value = self.workout(
                        bout.activity,
                        (bout.end - bout.start) as f64,
                        bout.key,
                        scene.person.vigour,
                    );
                    let mut record = self.record(scene, scene.key, (bout.start, bout.end), value);
                    record.metadata = Some(self.origins.outdoor.clone());
                    out.push(record);
                }
            }
            Shape::Route => {
                if let Some(bout) = self.finished(scene).filter(|bout| WITH_ROUTE.contains(&bout.activity)) {
                    let value = route(bout.start, bout.end, scene.person.key);
                    out.push(self.record(scene, scene.key, (bout.start, bout.end), value));
                }
            }
            // The rings of a day are closed at its end.
            Shape::Summary if hour.of_day() == 23 => {
                let value = summary(hour.day, scene.key, scene.person.vigour);
                out.push(self.record(scene, scene.key, (hour.midnight, hour.end()), value));
            }
            Shape::Ecg => self.at(scene, 0, 9.6, 0.14, |time, key| {
                let value = electrocardiogram(scene.person.resting + 8.0, key);
                out.push(self.record(scene, key, (time, time + ECG_SECONDS as i64), value));
            }),
            Shape::Beats => self.at(scene, 0, 4.0, 0.9, |time, key| {
                out.push(self.record(scene, key, (time, time + 60), beats(scene.person.resting, key)));
            }),
            Shape::Pressure(part) => self.pressure(scene, part, out),
            Shape::Food => self.at(scene, 0, 12.8, 0.5, |time, key| out.push(self.food(scene, time, key))),
            Shape::Document(chance) => self.at(scene, 0, 10.5, chance, |time, key| {
                out.push(self.record(scene, key, (time, time), document(scene.plan, key)));
            }),
            _ => {}
        }
    }

    fn workout(&self, activity: u32, duration: f64, key: Key, vigour: f64) -> Value {
        let energy = (duration / 60.0 * key.with(10).range(5.0, 10.0) * vigour * 10.0).round() / 10.0;
        let average = key.with(11).range(115.0, 150.0).round();
        let none = Statistic {
            kind: self.energy,
            unit: unit("kcal"),
            sum: None,
            average: None,
            minimum: None,
            maximum: None,
        };
        let mut statistics = vec![
            Statistic { sum: Some(energy), ..none.clone() },
            Statistic {
                kind: self.heart_rate,
                unit: unit("count/min"),
                average: Some(average),
                minimum: Some(average - 35.0),
                maximum: Some(average + 28.0),
                ..none.clone()
            },
        ];
        if let Some((_, kind, speed)) = self.distances.iter().find(|(known, ..)| *known == activity) {
            let distance = (duration * speed * key.with(12).range(0.85, 1.15)).round();
            statistics.push(Statistic { kind: *kind, unit: unit("m"), sum: Some(distance), ..none });
        }
        Value::Workout(Arc::new(Workout {
            activity,
            duration: Some(duration),
            statistics,
            ..Workout::default()
        }))
    }

    /// One reading is three objects in HealthKit: two samples, and the correlation that holds the same two.
    fn pressure(&self, scene: &Scene<'_>, part: Part, out: &mut Vec<Record>) {
        let person = scene.person.key.with(20);
        // Keyed by the person alone, so that the three types agree.
        let same = Scene { own: person, ..*scene };
        self.at(&same, 0, 7.6, 0.5, |time, key| {
            let base = person.unit();
            let systolic = (105.0 + 22.0 * base + 12.0 * key.with(4).unit()).round();
            let diastolic = (systolic - 32.0 - 16.0 * key.with(5).unit()).round().max(50.0);
            let sample = |short: &str, nth: u64, value: f64| {
                let mut record =
                    self.record(scene, key.with(nth), (time, time), Value::Quantity(value, unit("mmHg")));
                record.kind = Kind::parse(short).ok();
                by(record, &self.origins.cuff, None)
            };
            let systolic = || sample("BloodPressureSystolic", 6, systolic);
            let diastolic = || sample("BloodPressureDiastolic", 7, diastolic);
            out.push(match part {
                Part::Systolic => systolic(),
                Part::Diastolic => diastolic(),
                Part::Both => {
                    let samples = vec![systolic(), diastolic()];
                    let value = Value::Correlation(Arc::new(Correlation { samples }));
                    by(self.record(scene, key.with(8), (time, time), value), &self.origins.cuff, None)
                }
            });
        });
    }

    fn food(&self, scene: &Scene<'_>, time: i64, key: Key) -> Record {
        let part = |short: &str, text: &str, nth: u64, value: f64| {
            let value = Value::Quantity(value.round(), unit(text));
            let mut record = self.record(scene, key.with(nth), (time, time), value);
            record.kind = Kind::parse(short).ok();
            record
        };
        let samples = vec![
            part("DietaryEnergyConsumed", "kcal", 4, key.with(1).range(300.0, 900.0)),
            part("DietaryProtein", "g", 5, key.with(2).range(8.0, 50.0)),
        ];
        self.record(scene, key, (time, time), Value::Correlation(Arc::new(Correlation { samples })))
    }
}

fn unit(text: &str) -> Unit {
    Unit::parse(text).expect("invariant: built-in units are always there")
}

fn route(start: i64, end: i64, home: Key) -> Value {
    let (mut latitude, mut longitude) =
        (home.with(30).range(-40.0, 55.0), home.with(31).range(-120.0, 140.0));
    let locations = (start..end)
        .step_by(10)
        .map(|time| {
            let key = home.with(time as u64);
            latitude += key.with(1).range(-0.0001, 0.0002);
            longitude += key.with(2).range(-0.0001, 0.0002);
            Location {
                time: timestamp(time),
                latitude,
                longitude,
                altitude: Some(key.with(3).range(100.0, 110.0)),
                speed: Some(key.with(4).range(1.0, 4.0)),
                course: Some(key.with(5).range(0.0, 90.0)),
                horizontal_accuracy: Some(4.0),
                vertical_accuracy: Some(3.0),
            }
        })
        .collect();
    Value::Route(Arc::new(Route { locations }))
}

fn summary(day: i64, key: Key, vigour: f64) -> Value {
    Value::ActivitySummary(Arc::new(ActivitySummary {
        day: Some(day_text(day).into()),
        energy: Some((key.with(1).range(250.0, 700.0) * vigour).round()),
        energy_goal: Some(500.0),
        energy_unit: Some(unit("kcal")),
        move_time: Some(key.with(2).range(20.0, 120.0).round()),
        move_time_goal: Some(60.0),
        exercise_time: Some(key.with(3).range(5.0, 70.0).round()),
        exercise_time_goal: Some(30.0),
        stand_hours: Some(key.with(4).range(6.0, 15.0).round()),
        stand_hours_goal: Some(12.0),
    }))
}

fn electrocardiogram(rate: f64, key: Key) -> Value {
    let beat = ECG_HERTZ as f64 * 60.0 / rate;
    let voltages = (0..ECG_HERTZ * ECG_SECONDS)
        .map(|index| {
            let place = (index as f64 / beat).fract() * (BEAT.len() - 1) as f64;
            let (left, part) = (place as usize, place.fract());
            (BEAT[left] * (1.0 - part) + BEAT[left + 1] * part + key.with(index as u64).range(-6.0, 6.0))
                .round()
        })
        .collect();
    Value::Electrocardiogram(Arc::new(Electrocardiogram {
        classification: Some("sinusRhythm".into()),
        average_heart_rate: Some(rate.round()),
        sampling_frequency: Some(ECG_HERTZ as f64),
        voltages,
    }))
}

fn beats(rate: f64, key: Key) -> Value {
    let mut time = 0.0;
    let mut beats = Vec::new();
    while time < 60.0 {
        let key = key.with(beats.len() as u64);
        beats.push(Heartbeat { time: (time * 1000.0_f64).round() / 1000.0, gap: key.with(1).chance(0.01) });
        time += 60.0 / rate * key.with(2).range(0.92, 1.08);
    }
    Value::HeartbeatSeries(Arc::new(HeartbeatSeries { beats }))
}

/// A document or questionnaire as JSON.
fn document(plan: &Plan, key: Key) -> Value {
    let below = |nth: u64, bound: u64| key.with(nth).below(bound);
    let json = match plan.class {
        KindClass::Clinical => return clinical(plan, key),
        KindClass::Audiogram => {
            let points = [500, 1000, 2000, 4000, 8000].map(|hertz| {
                let ears = (below(hertz, 30), below(hertz + 1, 30));
                format!(r#"{{"frequency":{hertz},"leftEar":{},"rightEar":{}}}"#, ears.0, ears.1)
            });
            format!(r#"{{"sensitivityPoints":[{}]}}"#, points.join(","))
        }
        KindClass::StateOfMind => {
            format!(r#"{{"kind":{},"valence":{}}}"#, 1 + below(1, 2), below(2, 21) as f64 / 10.0 - 1.0)
        }
        KindClass::VisionPrescription => {
            let sphere = |nth| below(nth, 17) as f64 / 4.0 - 2.0;
            format!(
                r#"{{"prescriptionType":1,"leftEye":{{"sphere":{}}},"rightEye":{{"sphere":{}}}}}"#,
                sphere(1),
                sphere(2)
            )
        }
        KindClass::MedicationDose => format!(r#"{{"logStatus":{},"doseQuantity":1}}"#, 3 + below(1, 2)),
        _ => format!(r#"{{"score":{}}}"#, below(1, 22)),
    };
    Value::Json(json.into())
}

fn clinical(plan: &Plan, key: Key) -> Value {
    let resource = match plan.kind.short() {
        "AllergyRecord" => "AllergyIntolerance",
        "ClinicalNoteRecord" => "DocumentReference",
        "ConditionRecord" => "Condition",
        "CoverageRecord" => "Coverage",
        "ImmunizationRecord" => "Immunization",
        "MedicationRecord" => "MedicationRequest",
        "ProcedureRecord" => "Procedure",
        _ => "Observation",
    };
    let id = key.with(1).id();
    let document = format!(r#"{{"resourceType":"{resource}","id":"{id}","status":"final"}}"#);
    Value::Clinical(Arc::new(Clinical {
        display_name: Some(resource.into()),
        fhir_version: Some("4.0.1".into()),
        document: Some(document.into()),
        ..Clinical::default()
    }))
}
