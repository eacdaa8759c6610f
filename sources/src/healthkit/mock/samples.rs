//! Samples: what a device or a person writes in one hour.

use std::sync::Arc;

use afferent_core::{Kind, Metadata, Origin, Record, Timestamp, Value, kind::KindClass};

use super::{
    composite,
    key::Key,
    origins::Origins,
    person::{Bout, DAY, Device, HOUR, Hour, Night, Person, World},
    plan::{Plan, Shape, When},
};

/// Heart rates an hour at density 1.
const HEART_RATES: f64 = 12.0;
/// Stretches of movement an hour at density 1.
const MOVEMENTS: f64 = 4.0;
/// Local hours of meals.
const MEALS: [f64; 3] = [8.2, 12.8, 19.1];

/// Raw values of HKCategoryValueSleepAnalysis.
mod sleep {
    pub(super) const IN_BED: i64 = 0;
    pub(super) const AWAKE: i64 = 2;
    pub(super) const CORE: i64 = 3;
    pub(super) const DEEP: i64 = 4;
    pub(super) const REM: i64 = 5;
}

/// What samples are made from.
#[derive(Debug)]
pub(super) struct Studio {
    pub(super) world: World,
    pub(super) origins: Origins,
    pub(super) distances: Vec<(u32, Kind, f64)>,
    pub(super) energy: Kind,
    pub(super) heart_rate: Kind,
    density: f64,
    overlap: bool,
}

/// One hour of one person, as one device sees it, for one type.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) plan: &'a Plan,
    pub(super) person: &'a Person,
    pub(super) hour: Hour,
    pub(super) device: Device,
    /// The key of the samples of this hour, device and type.
    pub(super) key: Key,
    /// The key of this person and type.
    pub(super) own: Key,
}

impl Studio {
    pub(super) fn new(world: World, density: f64, overlap: bool) -> Studio {
        let kind = |short: &str| Kind::parse(short).expect("invariant: these types are in the catalogue");
        let distances =
            composite::DISTANCES.iter().map(|(activity, short, speed)| (*activity, kind(short), *speed));
        Studio {
            distances: distances.collect(),
            energy: kind("ActiveEnergyBurned"),
            heart_rate: kind("HeartRate"),
            origins: Origins::new(),
            world,
            density,
            overlap,
        }
    }

    /// Appends what `device`, which writes `plan`, measures in `slot`, in order of time.
    pub(super) fn measure(
        &self,
        plan: &Plan,
        person: &Person,
        slot: i64,
        device: Device,
        out: &mut Vec<Record>,
    ) {
        let own = plan.key.with(person.key.bits());
        let key = own.with(slot as u64).with(device as u64);
        let scene = Scene { plan, person, hour: self.world.hour(person, slot), device, key, own };
        match plan.shape {
            Shape::Heart => self.heart(&scene, out),
            Shape::Movement(per_step) => self.movement(&scene, per_step, out),
            Shape::Steady(_, per_hour, when) => self.steady(&scene, per_hour, when, out),
            Shape::Exercise(activities) => self.exercise(&scene, activities, out),
            Shape::Daily(hour, chance) => {
                self.at(&scene, 0, hour, chance, |time, key| out.push(self.instant(&scene, key, time)));
            }
            Shape::Meals(chance) => {
                for (meal, hour) in MEALS.iter().enumerate() {
                    self.at(&scene, meal as u64, *hour, chance, |time, key| {
                        out.push(self.instant(&scene, key, time));
                    });
                }
            }
            Shape::Event(a_day, minutes) => self.events(&scene, a_day, minutes, out),
            Shape::StandHour => self.stand_hour(&scene, out),
            Shape::Sleep => self.sleep(&scene, out),
            _ => self.composite(&scene, out),
        }
    }

    /// A record of the scene's person and type.
    pub(super) fn record(&self, scene: &Scene<'_>, key: Key, span: (i64, i64), value: Value) -> Record {
        Record {
            subject: Some(scene.person.subject.clone()),
            zone: Some(self.world.zone(scene.person).clone()),
            origin: Some(self.origins.of(scene.device).clone()),
            ..Record::added(key.id(), scene.plan.kind, timestamp(span.0), timestamp(span.1), value)
        }
    }

    /// Calls `make` if what happens about once a day at the local `hour` happens within this hour. `nth` tells
    /// apart several of a day.
    pub(super) fn at(
        &self,
        scene: &Scene<'_>,
        nth: u64,
        hour: f64,
        chance: f64,
        make: impl FnOnce(i64, Key),
    ) {
        // Twenty minutes earlier or later, never across midnight.
        const LEEWAY: i64 = 1200;
        let about = scene.hour.midnight + (hour * 3600.0) as i64;
        if about + LEEWAY < scene.hour.start || about - LEEWAY >= scene.hour.end() {
            return;
        }
        let key = scene.own.with(scene.hour.day as u64).with(nth).with(scene.device as u64);
        let time = about + key.with(1).range(-LEEWAY as f64, LEEWAY as f64) as i64;
        if scene.hour.has(time) && key.with(2).chance(chance) {
            make(time, key.with(3));
        }
    }

    fn instant(&self, scene: &Scene<'_>, key: Key, time: i64) -> Record {
        let value = scene.plan.value(scene.own, key.with(1));
        self.record(scene, key, (time, time), Value::Quantity(value, scene.plan.unit))
    }

    /// How many samples a device takes in an hour at `rate`.
    fn count(&self, rate: f64, key: Key) -> i64 {
        let expected = rate * self.density;
        expected as i64 + i64::from(key.chance(expected.fract()))
    }

    fn heart(&self, scene: &Scene<'_>, out: &mut Vec<Record>) {
        let Scene { plan, person, hour, key, .. } = *scene;
        let (night, workout) = (self.world.night(person, &hour), self.world.workout(person, &hour));
        let activity = self.world.activity(person, &hour);
        let count = self.count(HEART_RATES, key.with(0)).max(1);
        let step = HOUR as f64 / count as f64;
        for index in 0..count {
            let key = key.with(index as u64 + 1);
            let time = hour.start + ((index as f64 + 0.8 * key.with(3).unit()) * step) as i64;
            let noise = key.with(4).unit();
            let training = workout.is_some_and(|bout| (bout.start..bout.end).contains(&time));
            let (rate, context) = if training {
                (person.resting + 65.0 + 45.0 * noise, &self.origins.active)
            } else if night.touches(time, time) {
                (person.resting - 6.0 + 7.0 * noise, &self.origins.sedentary)
            } else {
                (person.resting + 8.0 + (10.0 + 40.0 * activity) * noise, &self.origins.sedentary)
            };
            let mut record =
                self.record(scene, key, (time, time), Value::Quantity(plan.round(rate.round()), plan.unit));
            record.metadata = Some(context.clone());
            out.push(record);
        }
    }

    /// Phone and watch count the same movement: when it was depends on the person only, how much was counted on
    /// the device too.
    fn movement(&self, scene: &Scene<'_>, per_step: f64, out: &mut Vec<Record>) {
        let Scene { plan, person, hour, device, key, .. } = *scene;
        let moves = person.key.with(7).with(hour.slot as u64);
        let carried = moves.with(0).chance(0.75);
        let counts = match device {
            Device::Phone => carried,
            Device::Watch => self.overlap || !carried,
            Device::Import => true,
        };
        if !counts {
            return;
        }
        let (night, workout) = (self.world.night(person, &hour), self.world.workout(person, &hour));
        let activity = self.world.activity(person, &hour);
        let count = ((MOVEMENTS * self.density).round() as i64).max(1);
        let step = HOUR as f64 / count as f64;
        for index in 0..count {
            let stretch = moves.with(index as u64 + 1);
            let start = hour.start + ((index as f64 + 0.1 * stretch.with(1).unit()) * step) as i64;
            let end = start + (step * stretch.with(2).range(0.3, 0.85)).max(2.0) as i64;
            let walks = workout
                .filter(|bout| matches!(bout.activity, 37 | 52) && bout.start < end && bout.end > start);
            // Someone always moves a little by day; how often depends on the hour.
            if night.touches(start, end)
                || (walks.is_none() && !stretch.with(3).chance(0.35 + 0.6 * activity))
            {
                continue;
            }
            let cadence =
                if walks.is_some() { 130.0 } else { stretch.with(4).range(5.0, 20.0 + 60.0 * activity) };
            let key = key.with(index as u64);
            let steps = (cadence * (end - start) as f64 / 60.0 * key.with(4).range(0.93, 1.07)).max(1.0);
            // The two clocks of the two devices are not quite the same.
            let start = start + i64::from(device == Device::Phone && end - start > 4);
            let value = Value::Quantity(plan.round(steps * per_step), plan.unit);
            out.push(self.record(scene, key, (start, end), value));
        }
    }

    fn steady(&self, scene: &Scene<'_>, per_hour: f64, when: When, out: &mut Vec<Record>) {
        let Scene { plan, person, hour, key, own, .. } = *scene;
        let count = self.count(per_hour, key.with(0));
        let night = self.world.night(person, &hour);
        let step = HOUR as f64 / count.max(1) as f64;
        let sums = plan.kind.info().and_then(|info| info.aggregation).is_some_and(is_cumulative);
        for index in 0..count {
            let key = key.with(index as u64 + 1);
            let start = hour.start + ((index as f64 + 0.4 * key.with(3).unit()) * step) as i64;
            let end = if sums { start + (step * 0.5) as i64 } else { start };
            let asleep = night.touches(start, end);
            if (when == When::Awake && asleep) || (when == When::Asleep && !asleep) {
                continue;
            }
            let value = Value::Quantity(plan.value(own, key.with(4)), plan.unit);
            out.push(self.record(scene, key, (start, end), value));
        }
    }

    fn exercise(&self, scene: &Scene<'_>, activities: &[u32], out: &mut Vec<Record>) {
        let Scene { plan, person, hour, key, own, .. } = *scene;
        let workout = self.world.workout(person, &hour);
        let Some(bout) = workout.filter(|bout| activities.contains(&bout.activity)) else { return };
        let mut start = bout.start.max(hour.start);
        while start + 60 <= bout.end.min(hour.end()) {
            let key = key.with(start as u64);
            let value = Value::Quantity(plan.value(own, key.with(4)), plan.unit);
            out.push(self.record(scene, key, (start, start + 60), value));
            start += 60;
        }
    }

    /// What a person reports, at any time of the day from 8 to 22.
    fn events(&self, scene: &Scene<'_>, a_day: f64, minutes: f64, out: &mut Vec<Record>) {
        let Scene { plan, hour, own, .. } = *scene;
        let times = a_day.ceil() as u64;
        for nth in 0..times {
            let about = own.with(hour.day as u64).with(nth + 100).range(8.0, 22.0);
            self.at(scene, nth, about, a_day / times as f64, |time, key| {
                let value = match plan.class {
                    KindClass::Category => {
                        Value::Category(plan.values[key.with(2).below(plan.values.len() as u64) as usize])
                    }
                    _ => Value::Quantity(plan.value(own, key.with(1)), plan.unit),
                };
                let end = time + key.with(3).range(0.3 * minutes * 60.0, minutes * 60.0) as i64;
                out.push(self.record(scene, key, (time, end), value));
            });
        }
    }

    fn stand_hour(&self, scene: &Scene<'_>, out: &mut Vec<Record>) {
        let hour = &scene.hour;
        if !self.world.night(scene.person, hour).touches(hour.start, hour.end()) {
            let activity = self.world.activity(scene.person, hour);
            let idle = !scene.key.with(1).chance(0.5 + 0.5 * activity);
            out.push(self.record(
                scene,
                scene.key,
                (hour.start, hour.end()),
                Value::Category(i64::from(idle)),
            ));
        }
    }

    /// The night, written when the person has risen: the phone's time in bed, then the watch's stages, one after
    /// the other without a gap.
    fn sleep(&self, scene: &Scene<'_>, out: &mut Vec<Record>) {
        let Night { from, until } = self.world.night(scene.person, &scene.hour);
        if !scene.hour.has(until) {
            return;
        }
        let key = scene.own.with(from as u64);
        let mut in_bed =
            self.record(scene, key.with(0), (from - 600, until + 300), Value::Category(sleep::IN_BED));
        in_bed.origin = Some(self.origins.phone.clone());
        out.push(in_bed);
        let mut time = from;
        let mut nth = 1;
        while time < until {
            let cycle = (time - from) / 5400;
            // A cycle is core, deep, core, REM and sometimes a moment awake; deep sleep fades, REM grows.
            let (stage, seconds) = match nth % 5 {
                1 => (sleep::CORE, 1500.0),
                2 => (sleep::DEEP, (2100 - 420 * cycle).max(420) as f64),
                3 => (sleep::CORE, 1300.0),
                4 => (sleep::REM, (600 + 300 * cycle).min(2100) as f64),
                _ => (sleep::AWAKE, 200.0),
            };
            let key = key.with(nth);
            let end = (time + key.with(3).range(0.7 * seconds, 1.3 * seconds) as i64).min(until);
            out.push(self.record(scene, key, (time, end), Value::Category(stage)));
            time = end;
            nth += 1;
        }
    }

    /// A workout that ends in this hour.
    pub(super) fn finished(&self, scene: &Scene<'_>) -> Option<Bout> {
        self.world.workout(scene.person, &scene.hour).filter(|bout| bout.end <= scene.hour.end())
    }
}

/// A record's origin and metadata, replaced.
pub(super) fn by(mut record: Record, origin: &Arc<Origin>, metadata: Option<&Arc<Metadata>>) -> Record {
    record.origin = Some(origin.clone());
    record.metadata = metadata.cloned();
    record
}

pub(super) fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_micros_clamped(seconds.saturating_mul(1_000_000))
}

/// The local day of an hour, `yyyy-mm-dd`.
pub(super) fn day_text(day: i64) -> String {
    let mut text = timestamp(day * DAY).to_string();
    text.truncate(10);
    text
}

fn is_cumulative(aggregation: afferent_core::kind::Aggregation) -> bool {
    aggregation == afferent_core::kind::Aggregation::Cumulative
}
