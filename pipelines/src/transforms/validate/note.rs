//! [`Rules`]: which rules a record breaks, and how that is told.

use afferent_core::{MetaValue, Name, Record};

/// A rule. The numbers are those of bits and of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Missing,
    Order,
    Future,
    Past,
    Unit,
    Percent,
    Range,
}

impl Rule {
    /// All of them, in the order in which they are told.
    pub(super) const ALL: [Rule; 7] =
        [Rule::Missing, Rule::Order, Rule::Future, Rule::Past, Rule::Unit, Rule::Percent, Rule::Range];

    /// Its name, which is its key in the file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Rule::Missing => "missing",
            Rule::Order => "order",
            Rule::Future => "future",
            Rule::Past => "past",
            Rule::Unit => "unit",
            Rule::Percent => "percent",
            Rule::Range => "range",
        }
    }

    /// Whether it is known what is right.
    pub(super) fn has_correction(self) -> bool {
        matches!(self, Rule::Order | Rule::Percent | Rule::Range)
    }
}

/// A set of rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules(u8);

impl Rules {
    pub(super) fn add(&mut self, rule: Rule) {
        self.0 |= 1 << rule as u8;
    }

    pub(super) fn add_all(&mut self, rules: Rules) {
        self.0 |= rules.0;
    }

    pub(super) fn has(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u8) != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Tells them in the metadata of `record`, under `key`, after those that are told there.
    pub(super) fn write(self, key: &'static str, record: &mut Record) {
        if self.is_empty() {
            return;
        }
        let metadata = record.metadata_mut();
        let told = match metadata.get(key) {
            Some(MetaValue::String(told)) => told.clone(),
            _ => Name::from(""),
        };
        let mut names: Vec<&str> = told.split(',').filter(|name| !name.is_empty()).collect();
        for rule in Rule::ALL.into_iter().filter(|rule| self.has(*rule)) {
            if !names.contains(&rule.name()) {
                names.push(rule.name());
            }
        }
        metadata.set(key, MetaValue::String(Name::from(names.join(",").as_str())));
    }
}
