use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Entry;

/// Units that are there from the start: those of the catalogue, of exports in any locale, and of the JSON
/// dialects. They are found without a lock, and a feed that fills the table of other units cannot take them
/// away.
const TEXTS: &[&str] = &[
    // The catalogue's.
    "%",
    "IU",
    "L",
    "L/min",
    "S",
    "W",
    "appleEffortScore",
    "cm",
    "count",
    "count/min",
    "count/s",
    "dBASPL",
    "degC",
    "g",
    "kcal",
    "kcal/(kg*hr)",
    "kg",
    "m",
    "m/s",
    "mL",
    "mg/dL",
    "min",
    "ml/(kg*min)",
    "mmHg",
    "ms",
    // Those of exports and dialects.
    "Cal",
    "D",
    "Hz",
    "J",
    "K",
    "Pa",
    "V",
    "atm",
    "cal",
    "cmAq",
    "cup_imp",
    "cup_us",
    "d",
    "dBHL",
    "degF",
    "fl_oz_imp",
    "fl_oz_us",
    "ft",
    "ft/s",
    "hPa",
    "hr",
    "in",
    "inHg",
    "kJ",
    "kPa",
    "kcal/hr·kg",
    "km",
    "km/hr",
    "l",
    "l/min",
    "lb",
    "lx",
    "mL/(kg*min)",
    "mL/min·kg",
    "mS",
    "mV",
    "mcS",
    "mcV",
    "mcg",
    "mg",
    "mg/L",
    "mi",
    "mi/hr",
    "ml",
    "mm",
    "mmol<180.1558800000541>/L",
    "oz",
    "pD",
    "pt_imp",
    "pt_us",
    "rad",
    "deg",
    "s",
    "st",
    "yd",
];

/// The built-in units by index and by text.
pub(super) struct Known {
    entries: Vec<Entry>,
    indices: HashMap<&'static str, usize, RandomState>,
}

impl Known {
    pub(super) fn load() -> Self {
        let entries: Vec<Entry> = TEXTS.iter().map(|text| Entry::new(text)).collect();
        let indices = TEXTS.iter().enumerate().map(|(index, text)| (*text, index)).collect();
        Self { entries, indices }
    }

    pub(super) fn get(&self, text: &str) -> Option<usize> {
        self.indices.get(text).copied()
    }

    pub(super) fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_listed_once_and_understood() {
        let known = Known::load();
        assert_eq!(known.indices.len(), TEXTS.len());
        for entry in &known.entries {
            assert!(entry.definition.is_some(), "{}", entry.text);
        }
    }
}
