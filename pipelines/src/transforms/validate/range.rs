//! [`Target`]: what is expected of the values of a type.

use afferent_core::Unit;

use super::{config::Action, note::Rule};

/// What is expected of the values of a type.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    /// The unit of both bounds, or the one that every unit of the type converts into.
    pub(super) unit: Unit,
    /// What becomes of a value beyond them, if it is not what becomes of others.
    pub(super) action: Option<Action>,
    /// The bounds in the unit of the last value: runs of one unit are the rule.
    last: Option<(Unit, Option<Bounds>)>,
}

/// The lowest and the highest value, in the unit of a value.
type Bounds = (f64, f64);

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Unit,
    Percent,
    Low,
    High,
}

impl Broken {
    pub(super) fn rule(self) -> Rule {
        match self {
            Broken::Unit => Rule::Unit,
            Broken::Percent => Rule::Percent,
            Broken::Low | Broken::High => Rule::Range,
        }
    }
}

/// The unit of shares of a whole.
const SHARE: &str = "%";

impl Target {
    pub(super) fn new(min: Option<f64>, max: Option<f64>, unit: Unit, action: Option<Action>) -> Target {
        Target { min, max, unit, action, last: None }
    }

    /// What is wrong with a value, and what is right, where that is known; nothing if it is plausible. `percent` says what
    /// becomes of percentages.
    #[inline]
    pub(super) fn look(&mut self, value: f64, unit: Unit, percent: Action) -> Option<(Broken, Option<f64>)> {
        let bounds = match self.last {
            Some((last, bounds)) if last == unit => bounds,
            _ => {
                let bounds = self.bounds(unit);
                self.last = Some((unit, bounds));
                bounds
            }
        };
        let Some((min, max)) = bounds else { return Some((Broken::Unit, None)) };
        if value >= min && value <= max {
            return None;
        }
        // Of a share that may be more than the whole a percentage can't be told.
        let is_percentage = value > 1.0 && value <= 100.0 && max <= 1.0 && unit.as_str() == SHARE;
        if is_percentage && percent != Action::Pass {
            return Some((Broken::Percent, Some(value / 100.0)));
        }
        Some(if value < min { (Broken::Low, Some(min)) } else { (Broken::High, Some(max)) })
    }

    /// The bounds in `unit`; `None` if it does not convert.
    fn bounds(&self, unit: Unit) -> Option<Bounds> {
        let conversion = self.unit.conversion(unit)?;
        let bound = |bound: Option<f64>, none: f64| bound.map_or(none, |bound| conversion.apply(bound));
        Some((bound(self.min, f64::NEG_INFINITY), bound(self.max, f64::INFINITY)))
    }

    /// The range, for people.
    pub(super) fn expected(&self) -> String {
        let unit = self.unit;
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!("from {min} to {max} {unit}"),
            (Some(min), None) => format!("of at least {min} {unit}"),
            (None, Some(max)) => format!("of at most {max} {unit}"),
            (None, None) => format!("in {unit}"),
        }
    }
}
