//! [`Case`] and [`Books`]: what one seed showed, and what all of a fault's seeds did.

use std::{collections::BTreeMap, time::Duration};

/// What one seed showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    /// Faults that struck, and not only were planned.
    pub faults: u64,
    /// Records that a receiver, file or database should have in the end.
    pub records: u64,
    /// Of these, those that none has, no dead letter holds, and nobody was told of.
    pub lost: u64,
    /// Records that show more than once.
    pub duplicated: u64,
    /// How long each recovery took: from the start of a process to the moment at which its pipeline runs.
    pub recoveries: Vec<Duration>,
    /// How often what is worth a word besides happened.
    pub notes: BTreeMap<&'static str, u64>,
    /// All that happened, as a number: a simulated seed gives the same one each time.
    pub trace: u64,
    /// The first thing that must not be. A lost or duplicated record is one.
    pub wrong: Option<String>,
}

impl Case {
    /// Something that must not be; the first counts.
    pub fn blame(&mut self, wrong: impl Into<String>) {
        self.wrong.get_or_insert_with(|| wrong.into());
    }

    /// Something worth a word.
    pub fn note(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    /// Something worth a word, `times` times.
    pub fn add(&mut self, what: &'static str, times: u64) {
        *self.notes.entry(what).or_default() += times;
    }
}

/// What all seeds of a fault showed.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Seeds that were played.
    pub cases: u64,
    /// As of a [`Case`], summed.
    pub faults: u64,
    /// As of a [`Case`], summed.
    pub records: u64,
    /// As of a [`Case`], summed.
    pub lost: u64,
    /// As of a [`Case`], summed.
    pub duplicated: u64,
    /// As of a [`Case`], of all, sorted once [`finish`](Books::finish) was called.
    pub recoveries: Vec<Duration>,
    /// As of a [`Case`], summed.
    pub notes: BTreeMap<&'static str, u64>,
    /// Panics, wherever they were caught, except those that the state database is known to catch.
    pub panics: u64,
    /// Seeds that showed something that must not be, and what.
    pub failures: Vec<(u64, String)>,
    /// How long it took.
    pub took: Duration,
}

impl Books {
    /// Enters a case.
    pub fn enter(&mut self, seed: u64, case: Case) {
        self.cases += 1;
        self.faults += case.faults;
        self.records += case.records;
        self.lost += case.lost;
        self.duplicated += case.duplicated;
        self.recoveries.extend(case.recoveries);
        for (what, times) in case.notes {
            *self.notes.entry(what).or_default() += times;
        }
        self.failures.extend(case.wrong.map(|wrong| (seed, wrong)));
    }

    /// Takes in what another thread has.
    pub fn merge(&mut self, other: Books) {
        self.cases += other.cases;
        self.faults += other.faults;
        self.records += other.records;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.recoveries.extend(other.recoveries);
        for (what, times) in other.notes {
            *self.notes.entry(what).or_default() += times;
        }
        self.panics += other.panics;
        self.failures.extend(other.failures);
        self.took = self.took.max(other.took);
    }

    /// All is in: recoveries and failures are sorted.
    pub fn finish(&mut self) {
        self.recoveries.sort_unstable();
        self.failures.sort();
    }

    /// The shortest, the middle and the longest recovery.
    pub fn recovery(&self) -> Option<[Duration; 3]> {
        let last = self.recoveries.len().checked_sub(1)?;
        Some([0, last / 2, last].map(|place| self.recoveries[place]))
    }

    /// How often something worth a word happened.
    pub fn noted(&self, what: &str) -> u64 {
        self.notes.get(what).copied().unwrap_or(0)
    }

    /// Checks that nothing happened that must not.
    ///
    /// # Panics
    /// If something did, with the seeds that repeat it.
    #[track_caller]
    pub fn assert_clean(&self) {
        let shown: Vec<_> = self.failures.iter().take(5).collect();
        assert!(shown.is_empty(), "{} seeds failed, such as {shown:#?}", self.failures.len());
        assert_eq!((self.lost, self.duplicated, self.panics), (0, 0, 0), "lost, duplicated, panics");
    }
}
