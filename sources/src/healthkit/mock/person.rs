//! The people of the mock store: their days and nights, and where their devices are.
//!
//! Times are seconds since 1970, UTC. A *slot* is an hour, counted from the first day's 00:00 UTC.

use afferent_core::Name;
use jiff::tz::TimeZone;

use super::{config::Config, key::Key};

pub(super) const HOUR: i64 = 3600;
pub(super) const DAY: i64 = 86_400;
/// Hour of the day (UTC) at which the phone is locked.
pub(super) const LOCKED_FROM: i64 = 22;

/// Where people live, and the rule of each zone as POSIX writes it: the machine's own time zones, or their
/// absence, must not change the log.
const ZONES: [(&str, &str); 8] = [
    ("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"),
    ("America/New_York", "EST5EDT,M3.2.0,M11.1.0"),
    ("Asia/Tokyo", "JST-9"),
    ("Europe/London", "GMT0BST,M3.5.0/1,M10.5.0"),
    ("America/Los_Angeles", "PST8PDT,M3.2.0,M11.1.0"),
    ("Asia/Kolkata", "IST-5:30"),
    ("Australia/Sydney", "AEST-10AEDT,M10.1.0,M4.1.0/3"),
    ("America/Sao_Paulo", "<-03>3"),
];

/// Days before the first and after the last of which the zones' offsets are known: back-dated samples are up to
/// a week old, and nights and late bursts reach into the next day.
const MARGIN_DAYS: i64 = 10;

/// How active an hour of the day is, from local midnight on. A table, so that every machine has the same.
const ACTIVITY: [f64; 24] = [
    0.02, 0.02, 0.02, 0.02, 0.02, 0.05, 0.25, 0.50, 0.55, 0.35, 0.35, 0.40, 0.60, 0.45, 0.35, 0.35, 0.40,
    0.60, 0.65, 0.50, 0.35, 0.25, 0.15, 0.08,
];

/// Workouts by raw value of HKWorkoutActivityType; those that come more than once are done more often.
const WORKOUTS: [u32; 18] = [37, 37, 37, 52, 52, 52, 13, 13, 46, 46, 50, 57, 35, 39, 31, 60, 61, 70];

/// Who is in the store, and where and when.
#[derive(Debug)]
pub(super) struct World {
    pub(super) key: Key,
    pub(super) people: Vec<Person>,
    pub(super) days: i64,
    first_day: i64,
    zones: Vec<Zone>,
    late: f64,
    locked_hours: i64,
}

#[derive(Debug)]
struct Zone {
    name: Name,
    /// Seconds east of UTC at noon of each day, from `first_day - MARGIN_DAYS` on.
    offsets: Vec<i64>,
}

/// One person.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) subject: Name,
    pub(super) key: Key,
    /// Heart rate at rest, in count/min.
    pub(super) resting: f64,
    /// 0.6 to 1.4: how much more or less active than others.
    pub(super) vigour: f64,
    zone: usize,
    /// When they usually fall asleep and rise, in seconds from local midnight.
    bed: f64,
    rise: f64,
}

/// Which device wrote a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Device {
    Phone,
    Watch,
    /// An app that brings samples from elsewhere.
    Import,
}

/// A workout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bout {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) activity: u32,
    pub(super) key: Key,
}

/// A night's sleep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Night {
    pub(super) from: i64,
    pub(super) until: i64,
}

impl Night {
    /// Whether the time from `start` to `end` touches it.
    pub(super) fn touches(self, start: i64, end: i64) -> bool {
        start < self.until && end > self.from
    }
}

/// One hour of a person's life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hour {
    pub(super) slot: i64,
    pub(super) start: i64,
    /// The start on the person's clock, as if that were UTC.
    pub(super) local: i64,
    /// The local day (days since 1970) and the UTC instant of its midnight.
    pub(super) day: i64,
    pub(super) midnight: i64,
}

impl Hour {
    pub(super) fn end(&self) -> i64 {
        self.start + HOUR
    }

    /// Hour of the local day, 0 to 23.
    pub(super) fn of_day(&self) -> usize {
        (self.local.rem_euclid(DAY) / HOUR) as usize
    }

    pub(super) fn has(&self, time: i64) -> bool {
        (self.start..self.end()).contains(&time)
    }
}

impl World {
    pub(super) fn new(config: &Config, key: Key) -> World {
        let first_day = config.start.since_1970();
        let days = i64::from(config.days);
        let zones = ZONES.iter().map(|(name, rule)| Zone::new(name, rule, first_day, days)).collect();
        let people =
            (0..u64::from(config.users)).map(|user| Person::new(user, key.with(1).with(user))).collect();
        World { key, people, days, first_day, zones, late: config.late, locked_hours: config.locked_hours() }
    }

    /// 00:00 UTC of the first day.
    pub(super) fn start(&self) -> i64 {
        self.first_day * DAY
    }

    pub(super) fn zone(&self, person: &Person) -> &Name {
        &self.zones[person.zone].name
    }

    fn offset(&self, person: &Person, day: i64) -> i64 {
        let offsets = &self.zones[person.zone].offsets;
        let index = (day - self.first_day + MARGIN_DAYS).clamp(0, offsets.len() as i64 - 1);
        offsets[index as usize]
    }

    /// One hour of `person`.
    pub(super) fn hour(&self, person: &Person, slot: i64) -> Hour {
        let start = self.start() + slot * HOUR;
        let local = start + self.offset(person, start.div_euclid(DAY));
        let day = local.div_euclid(DAY);
        Hour { slot, start, local, day, midnight: day * DAY - self.offset(person, day) }
    }

    /// The night that may lie in `hour`. It begins within 2.7 h before midnight, ends within 8.7 h after it, and is at
    /// least 4 h long; so with five hours' lead one night decides, even when the clocks change.
    pub(super) fn night(&self, person: &Person, hour: &Hour) -> Night {
        let day = (hour.local + 5 * HOUR).div_euclid(DAY);
        let key = person.key.with(2).with(day as u64);
        let midnight = day * DAY - self.offset(person, day);
        let bed = person.bed + key.with(1).range(-2400.0, 2400.0);
        let rise = person.rise + key.with(2).range(-2400.0, 2400.0);
        Night { from: midnight + bed as i64, until: midnight + rise as i64 }
    }

    /// The workout in `hour`, if there is one; between 11:00 and 21:00.
    pub(super) fn workout(&self, person: &Person, hour: &Hour) -> Option<Bout> {
        let key = person.key.with(3).with(hour.day as u64);
        if !key.with(1).chance(0.35 * person.vigour) {
            return None;
        }
        let start = hour.midnight + key.with(2).range(11.0 * 3600.0, 20.0 * 3600.0) as i64;
        let end = start + key.with(4).range(1500.0, 3600.0) as i64;
        let activity = WORKOUTS[key.with(3).below(WORKOUTS.len() as u64) as usize];
        (start < hour.end() && end > hour.start).then_some(Bout { start, end, activity, key })
    }

    /// How active `hour` is, 0 to 1.
    pub(super) fn activity(&self, person: &Person, hour: &Hour) -> f64 {
        let mood = person.key.with(4).with(hour.slot as u64).range(0.5, 1.5);
        (ACTIVITY[hour.of_day()] * person.vigour * mood).min(1.0)
    }

    /// The slots in which the watch is away from the phone on a UTC day (counted from the first), and the one in
    /// which it is back.
    fn away(&self, person: &Person, day: i64) -> Option<(i64, i64)> {
        let key = person.key.with(5).with(day as u64);
        if !key.with(1).chance(self.late) {
            return None;
        }
        let from = day * 24 + 6 + key.with(2).below(10) as i64;
        Some((from, from + 2 + key.with(3).below(6) as i64))
    }

    /// Whether the phone is locked when what was measured in `slot` would be saved, which is the hour after.
    pub(super) fn is_locked(&self, slot: i64) -> bool {
        self.locked_hours > 0 && (slot + 1 - LOCKED_FROM).rem_euclid(24) < self.locked_hours
    }

    /// Whether `slot` is the first after a lock.
    pub(super) fn is_unlock(&self, slot: i64) -> bool {
        self.locked_hours > 0 && (slot + 1 - LOCKED_FROM).rem_euclid(24) == self.locked_hours
    }

    /// The slot with which what `device` measured in `slot` is saved.
    fn saved(&self, person: &Person, slot: i64, device: Device) -> i64 {
        let mut slot = slot;
        if device == Device::Watch
            && let Some((from, until)) = self.away(person, slot.div_euclid(24))
            && (from..until).contains(&slot)
        {
            slot = until;
        }
        if self.is_locked(slot) {
            slot += self.locked_hours - (slot + 1 - LOCKED_FROM).rem_euclid(24);
        }
        slot
    }

    /// Calls `each` with the slots whose measurements by `device` are saved with `slot`, in order.
    pub(super) fn measured(&self, person: &Person, slot: i64, device: Device, mut each: impl FnMut(i64)) {
        if self.is_locked(slot) {
            return;
        }
        let measured = 0..self.days * 24;
        let away = if device == Device::Watch { self.away(person, slot.div_euclid(24)) } else { None };
        let returns = away.is_some_and(|(_, until)| until == slot);
        if !returns && !self.is_unlock(slot) {
            if measured.contains(&slot) && !away.is_some_and(|(from, until)| (from..until).contains(&slot)) {
                each(slot);
            }
            return;
        }
        // A watch that is away for up to 7 h, then a lock of up to 23 h.
        for earlier in (slot - 31).max(0)..=slot.min(measured.end - 1) {
            if self.saved(person, earlier, device) == slot {
                each(earlier);
            }
        }
    }
}

impl Zone {
    fn new(name: &str, rule: &str, first_day: i64, days: i64) -> Zone {
        let zone = TimeZone::posix(rule).expect("invariant: the rules of the table are POSIX time zones");
        let offsets = (-MARGIN_DAYS..days + MARGIN_DAYS)
            .map(|day| {
                let noon =
                    jiff::Timestamp::from_second((first_day + day) * DAY + DAY / 2).unwrap_or_default();
                i64::from(zone.to_offset(noon).seconds())
            })
            .collect();
        Zone { name: name.into(), offsets }
    }
}

impl Person {
    fn new(user: u64, key: Key) -> Person {
        Person {
            subject: format!("user-{}", user + 1).into(),
            key,
            resting: key.with(1).range(52.0, 68.0),
            vigour: key.with(2).range(0.6, 1.4),
            zone: if user == 0 { 0 } else { key.with(3).below(ZONES.len() as u64) as usize },
            bed: key.with(4).range(-2.0 * 3600.0, 0.5 * 3600.0),
            rise: key.with(5).range(6.0 * 3600.0, 8.0 * 3600.0),
        }
    }
}
