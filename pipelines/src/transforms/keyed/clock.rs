//! Event time: how far the sources of a key are.

use super::row::{Get, Put, Row};

/// How many sources of a key are told apart: a person has a phone, a watch and a few apps. With more, the one that is
/// furthest behind is forgotten.
const MAX_SOURCES: usize = 32;

/// The clock of a key. Its watermark is how far all sources are that do not lag: what comes after it is not late.
///
/// It depends on the newest event time of each source only, never on the order between sources.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// By source, its newest event time, in µs.
    sources: Vec<(u64, i64)>,
    /// In µs; it never goes back.
    watermark: i64,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { sources: Vec::new(), watermark: i64::MIN }
    }
}

impl Clock {
    #[inline]
    pub(crate) fn watermark(&self) -> i64 {
        self.watermark
    }

    /// A record of `source` with the event time `time` came; whether anything changed.
    #[inline]
    pub(crate) fn hear(&mut self, source: u64, time: i64, idle: i64, lateness: i64) -> bool {
        match self.sources.iter_mut().find(|(known, _)| *known == source) {
            Some((_, newest)) if *newest >= time => return false,
            Some((_, newest)) => *newest = time,
            None => self.join(source, time),
        }
        let newest = self.sources.iter().map(|(_, newest)| *newest).max().unwrap_or(time);
        let oldest = self.sources.iter().map(|(_, newest)| *newest).min().unwrap_or(time);
        self.raise(oldest.max(newest.saturating_sub(idle)).saturating_sub(lateness));
        true
    }

    fn join(&mut self, source: u64, time: i64) {
        if self.sources.len() >= MAX_SOURCES
            && let Some(behind) = (0..self.sources.len()).min_by_key(|index| self.sources[*index].1)
        {
            self.sources.swap_remove(behind);
        }
        self.sources.push((source, time));
    }

    /// Moves the watermark on to `to`.
    pub(crate) fn raise(&mut self, to: i64) {
        self.watermark = self.watermark.max(to);
    }
}

impl Row for Clock {
    fn put(&self, to: &mut Put<'_>) {
        to.i64(self.watermark);
        to.u32(self.sources.len() as u32);
        for (source, newest) in &self.sources {
            to.u64(*source);
            to.i64(*newest);
        }
    }

    fn get(from: &mut Get<'_>) -> Option<Clock> {
        let (watermark, count) = (from.i64()?, from.u32()?);
        let sources = (0..count).map(|_| Some((from.u64()?, from.i64()?))).collect::<Option<_>>()?;
        Some(Clock { sources, watermark })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: two sources of which one stops, and more of them than are told apart. Guarantees: the watermark waits for the
    /// slower one, but no longer than `idle`, never goes back, and the clock is bounded (G7).
    #[test]
    fn waits_for_the_slower_source_but_not_for_ever() {
        let mut clock = Clock::default();
        let mut at = |source, time| {
            clock.hear(source, time, 100, 10);
            clock.watermark()
        };
        assert_eq!(at(1, 1000), 990);
        assert_eq!(at(2, 500), 990, "it never goes back");
        assert_eq!(at(1, 1050), 990);
        assert_eq!(at(2, 1020), 1010);
        assert_eq!(at(1, 1110), 1010, "it waits for the slower one");
        assert_eq!(at(1, 2000), 1890, "but not for ever");
        for source in 10..1000 {
            at(source, 2000);
        }
        assert!(clock.sources.len() <= MAX_SOURCES);
    }
}
