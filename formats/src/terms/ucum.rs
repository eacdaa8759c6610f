//! From HealthKit's unit texts to codes of UCUM (ucum.org), without converting anything.
//!
//! | HealthKit | UCUM | |
//! |---|---|---|
//! | `mL/min·kg` | `mL/(min.kg)` | everything after a `/` divides, in HealthKit |
//! | `count/min` | `/min` | what is counted has no unit in UCUM |
//! | `%` | `%` | HealthKit's 0.97 is UCUM's 97: see [`Ucum::percent`] |
//! | `mmol<180.1558800000541>/L` | `mmol/L` | UCUM has no molar mass: the text of the unit keeps it |
//! | `count` of a body mass index | `kg/m2` | some types say in `count` or `dBASPL` what UCUM has a unit for |
//! | `cup_imp`, `%/min`, unknown texts | none | UCUM has no such unit, or none that may be part of another |

use afferent_core::{Kind, Unit};

/// A code of UCUM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ucum {
    /// The code, case sensitive (`c/s`).
    pub code: String,
    /// HealthKit counts this unit in fractions and UCUM in hundredths: its number is a hundred times HealthKit's.
    pub percent: bool,
}

/// HealthKit's symbols and UCUM's, whole: no prefix goes before them, or the prefix makes another symbol.
const SYMBOLS: &[(&str, &str)] = &[
    ("min", "min"),
    ("hr", "h"),
    ("d", "d"),
    ("in", "[in_i]"),
    ("ft", "[ft_i]"),
    ("yd", "[yd_i]"),
    ("mi", "[mi_i]"),
    ("oz", "[oz_av]"),
    ("lb", "[lb_av]"),
    ("st", "[stone_av]"),
    ("fl_oz_us", "[foz_us]"),
    ("pt_us", "[pt_us]"),
    ("cup_us", "[cup_us]"),
    ("fl_oz_imp", "[foz_br]"),
    ("pt_imp", "[pt_br]"),
    ("cal", "cal"),
    ("kcal", "kcal"),
    ("Cal", "kcal"),
    ("mmHg", "mm[Hg]"),
    ("inHg", "[in_i'Hg]"),
    ("cmAq", "cm[H2O]"),
    ("atm", "atm"),
    ("deg", "deg"),
    ("D", "[diop]"),
    ("pD", "[p'diop]"),
    ("IU", "[IU]"),
    ("count", "{count}"),
    ("appleEffortScore", "{score}"),
    ("1", "1"),
];

/// Symbols that stand alone: UCUM does not let units of a scale with a zero point of its own, or logarithms, be part of
/// others, and a percentage is another number there.
const ALONE: &[(&str, &str)] =
    &[("degC", "Cel"), ("degF", "[degF]"), ("%", "%"), ("dBASPL", "dB[SPL]"), ("dBHL", "dB{HL}")];

/// Symbols that take a prefix.
const PREFIXED: &[&str] = &["g", "m", "L", "l", "Pa", "s", "J", "K", "S", "Hz", "V", "W", "lx", "rad", "mol"];

/// HealthKit's prefixes and UCUM's.
const PREFIXES: &[(&str, &str)] = &[
    ("", ""),
    ("f", "f"),
    ("p", "p"),
    ("n", "n"),
    ("mc", "u"),
    ("\u{b5}", "u"),
    ("\u{3bc}", "u"),
    ("m", "m"),
    ("c", "c"),
    ("da", "da"),
    ("d", "d"),
    ("h", "h"),
    ("k", "k"),
    ("M", "M"),
    ("G", "G"),
    ("T", "T"),
];

/// Units of the catalogue that say less than UCUM's of the type: of `count` it depends on the type what is counted, and a
/// reduction of sound has no absolute level.
const BY_TYPE: &[&str] = &["count", "appleEffortScore", "dBASPL"];

/// The code of `unit` where it is the unit of a value of `kind`; `None` if UCUM has none.
pub fn ucum(kind: Option<Kind>, unit: Unit) -> Option<Ucum> {
    let text = unit.as_str();
    if BY_TYPE.contains(&text)
        && let Some(kind) = kind.filter(|kind| kind.info().is_some_and(|info| info.unit == Some(unit)))
        && let Some(code) = super::of(kind).and_then(|term| term.ucum)
    {
        return Some(Ucum { code: code.to_owned(), percent: false });
    }
    if let Some((_, code)) = ALONE.iter().find(|(symbol, _)| *symbol == text) {
        return Some(Ucum { code: (*code).to_owned(), percent: text == "%" });
    }
    // What the catalogue's units don't understand is nothing that could be translated.
    unit.dimension()?;
    let mut reader = Reader { rest: text, code: String::new() };
    reader.quotient()?;
    if !reader.rest.is_empty() {
        return None;
    }
    // UCUM begins a rate of what has no unit with the `/`.
    let code = reader.code.strip_prefix("{count}/").map(|rest| format!("/{rest}"));
    Some(Ucum { code: code.unwrap_or(reader.code), percent: false })
}

const MULTIPLICATION: [char; 4] = ['*', '.', '\u{b7}', '\u{22c5}'];

/// Reads HealthKit's grammar, whose product binds tighter than its quotient, and writes UCUM's, whose do not.
struct Reader<'a> {
    rest: &'a str,
    code: String,
}

impl Reader<'_> {
    fn quotient(&mut self) -> Option<()> {
        self.product(false)?;
        while self.eat(&['/']) {
            self.code.push('/');
            self.product(true)?;
        }
        Some(())
    }

    /// A product; in parentheses where it has several factors and `divides`.
    fn product(&mut self, divides: bool) -> Option<()> {
        let begin = self.code.len();
        self.power()?;
        let mut factors = 1;
        while self.eat(&MULTIPLICATION) {
            self.code.push('.');
            self.power()?;
            factors += 1;
        }
        if divides && factors > 1 {
            self.code.insert(begin, '(');
            self.code.push(')');
        }
        Some(())
    }

    fn power(&mut self) -> Option<()> {
        if self.eat(&['(']) {
            self.code.push('(');
            self.quotient()?;
            self.code.push(')');
            // UCUM raises symbols only.
            return (self.eat(&[')']) && !self.rest.starts_with('^')).then_some(());
        }
        self.symbol()?;
        if self.eat(&['^']) {
            let digits = self.rest.strip_prefix('-').unwrap_or(self.rest);
            let sign = self.rest.len() - digits.len();
            let end = sign + digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            let (exponent, rest) = self.rest.split_at(end);
            self.code.push_str(exponent);
            self.rest = rest;
        }
        Some(())
    }

    fn symbol(&mut self) -> Option<()> {
        let is_end = |c: char| matches!(c, '/' | '^' | '(' | ')' | '<') || MULTIPLICATION.contains(&c);
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (symbol, rest) = self.rest.split_at(end);
        // A molar mass goes to its end.
        self.rest = match rest.strip_prefix('<') {
            Some(rest) => rest.split_once('>')?.1,
            None => rest,
        };
        if let Some((_, code)) = SYMBOLS.iter().find(|(text, _)| *text == symbol) {
            self.code.push_str(code);
            return Some(());
        }
        let prefixed = PREFIXES.iter().find_map(|(prefix, code)| {
            let base = symbol.strip_prefix(prefix)?;
            PREFIXED.contains(&base).then_some((code, base))
        });
        let (prefix, base) = prefixed?;
        self.code.push_str(prefix);
        // `l` is a litre in UCUM as well; one way of writing it is enough.
        self.code.push_str(if base == "l" { "L" } else { base });
        Some(())
    }

    fn eat(&mut self, any_of: &[char]) -> bool {
        match self.rest.strip_prefix(any_of) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}
