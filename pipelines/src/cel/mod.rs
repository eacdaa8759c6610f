//! Expressions over records: a closed subset of [CEL](https://cel.dev).
//!
//! An expression is parsed by the `cel` crate, checked against the fields of a record and compiled into a form
//! that is evaluated on `&Record` directly. What compiles evaluates without errors: there is none at run time.
//!
//! | | |
//! |---|---|
//! | strings | `id` `type` `unit` `subject` `zone` `source.{name,bundle,version,product,os}` `device.{name,manufacturer,model,hardware,firmware,software}` |
//! | timestamps | `start` `end` |
//! | others | `value` (double), `revision` (int), `deleted` (bool), `metadata.key`, `metadata['key']` |
//! | literals | `30` `30.0` `'text'` `true` `timestamp('2025-01-31T00:00:00Z')` `duration('5m')` |
//! | comparison | `==` `!=` `<` `<=` `>` `>=` `in [literals]`, `'key' in metadata` |
//! | logic | `&&` `\|\|` `!` `? :` `has(field)` |
//! | arithmetic | `+` `-` `*` `/` on doubles, ints and times, `%` on ints, `+` on strings |
//! | functions | `startsWith` `endsWith` `contains` `lowerAscii` `upperAscii` `size` |
//!
//! Rules where records differ from CEL's messages:
//! - **A comparison with an absent field is false**, `!=` and `in` too, and so is one with a number that is
//!   not a number. What is computed from an absent field is absent. `value` is there for quantities and
//!   categories, `start` and `end` for all but deletions that came without times.
//! - A literal that is compared with `type` by `==`, `!=` or `in` may be a short name, and must be a known one;
//!   likewise with `unit` and `id`. In all else, `type` is the full identifier.
//! - A whole number that is written out counts as a double beside one: `value > 30`.
//! - What a metadata value is, is known only from the record. Of another type than what it stands beside, it is
//!   absent. A quantity counts as its number.
//!
//! **Bounds** (G7): [`MAX_EXPRESSION_BYTES`], [`MAX_BRACKETS`], [`MAX_DEPTH`], checked before parsing, so that no
//! expression overflows a stack.

mod check;
mod duration;
mod expr;
mod expression;
mod field;
mod parse;
mod plan;
mod predicate;
mod scan;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use self::{
    check::{nearest, unknown_type},
    expr::KindSet,
};
pub use self::{
    expression::Expression,
    field::Field,
    predicate::Predicate,
    scan::{MAX_BRACKETS, MAX_DEPTH, MAX_EXPRESSION_BYTES},
    value::{CelValue, Type},
};
