use super::definition::Definition;
use super::symbols;

/// Reads a unit text; `None` if any part of it is not understood.
///
/// ```text
/// quotient = product { "/" product }
/// product  = power { ("*" | "." | "·" | "⋅") power }
/// power    = ( "(" quotient ")" | symbol ) [ "^" ["-"] digits ]
/// symbol   = [ prefix ] name [ "<" molar mass ">" ]
/// ```
///
/// A product binds tighter than a quotient, as in `HKUnit.h`: `kg/m.s^2` is `kg/(m.s^2)`. The recursion is as
/// deep as the parentheses, at most as many as a unit has bytes.
pub(super) fn parse(text: &str) -> Option<Definition> {
    let mut parser = Parser { rest: text };
    let definition = parser.quotient()?;
    parser.rest.is_empty().then_some(definition)
}

const MULTIPLICATION: [char; 4] = ['*', '.', '\u{b7}', '\u{22c5}'];

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn quotient(&mut self) -> Option<Definition> {
        let mut result = self.product()?;
        while self.eat(&['/']) {
            result = result.over(self.product()?)?;
        }
        Some(result)
    }

    fn product(&mut self) -> Option<Definition> {
        let mut result = self.power()?;
        while self.eat(&MULTIPLICATION) {
            result = result.times(self.power()?)?;
        }
        Some(result)
    }

    fn power(&mut self) -> Option<Definition> {
        let base = if self.eat(&['(']) {
            let inner = self.quotient()?;
            if !self.eat(&[')']) {
                return None;
            }
            inner
        } else {
            self.symbol()?
        };
        if self.eat(&['^']) { base.power(self.exponent()?) } else { Some(base) }
    }

    fn symbol(&mut self) -> Option<Definition> {
        let mut within_molar_mass = false;
        let end = self.rest.find(|c: char| {
            match c {
                '<' => within_molar_mass = true,
                '>' => within_molar_mass = false,
                // The point in a molar mass is not a multiplication.
                _ => {
                    return !within_molar_mass
                        && (matches!(c, '/' | '^' | '(' | ')') || MULTIPLICATION.contains(&c));
                }
            }
            false
        });
        let (symbol, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        symbols::define(symbol)
    }

    fn exponent(&mut self) -> Option<i8> {
        let digits = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let sign = self.rest.len() - digits.len();
        let end = sign + digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let (exponent, rest) = self.rest.split_at(end);
        self.rest = rest;
        exponent.parse().ok()
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
