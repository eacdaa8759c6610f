//! [`Tally`]: what a transform did in a call, by type.

use afferent_core::{
    Kind, Record,
    stage::{Counts, Emit},
};

/// What a transform did in a call, by type: told once, when the call ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    rows: Vec<(Option<Kind>, Counts)>,
    last: usize,
}

impl Tally {
    #[inline]
    fn of(&mut self, kind: Option<Kind>) -> &mut Counts {
        if self.rows.get(self.last).is_none_or(|(found, _)| *found != kind) {
            self.last = self.rows.iter().position(|(found, _)| *found == kind).unwrap_or_else(|| {
                self.rows.push((kind, Counts::default()));
                self.rows.len() - 1
            });
        }
        &mut self.rows[self.last].1
    }

    #[inline]
    pub(crate) fn superseded(&mut self, kind: Option<Kind>) {
        self.of(kind).superseded += 1;
    }

    pub(crate) fn filtered(&mut self, kind: Option<Kind>) {
        self.of(kind).filtered += 1;
    }

    /// Taken into state (positive), or out of it.
    pub(crate) fn held(&mut self, kind: Option<Kind>, records: i64) {
        self.of(kind).held += records;
    }

    pub(crate) fn derived(&mut self, kind: Option<Kind>) {
        self.of(kind).derived += 1;
    }

    /// Tells it.
    pub(crate) fn tell(&mut self, out: &mut Emit<Record>) {
        for (kind, counts) in self.rows.drain(..) {
            out.count(kind, counts);
        }
        self.last = 0;
    }
}
