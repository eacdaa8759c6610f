//! Comparisons and `in`: two sides of one type.

use afferent_core::{Kind, RecordId, Unit};
use cel::{IdedExpr, common::ast::Expr as Node};

use super::{
    super::{
        expr::{Comparison, Expr, Set, exact},
        field::Field,
        value::{Literal, Type},
    },
    Checker, Typed, is_ident, to_double, typed, unknown_type,
};

impl Checker<'_, '_> {
    pub(super) fn comparison(
        &mut self,
        node: &IdedExpr,
        comparison: Comparison,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Option<Typed> {
        let (first, second) = (self.check(left), self.check(right));
        let (mut first, mut second) = (first?, second?);
        if comparison.is_equality() {
            first = self.named(left, first, &second.expr)?;
            second = self.named(right, second, &first.expr)?;
        }
        let ordered = !matches!((first.r#type, second.r#type), (Type::Bool, _) | (_, Type::Bool));
        if !ordered && !comparison.is_equality() {
            let message = "bools have no order";
            return self.problem(node, message, Some("compare them with `==` or `!=`".into()));
        }
        let numbers = first.r#type == Type::Double || second.r#type == Type::Double;
        let sides = Box::new(self.unify(node, (left, first), (right, second))?);
        let compare = if numbers { Expr::CompareDoubles } else { Expr::Compare };
        typed(compare(comparison, sides), Type::Bool)
    }

    /// Brings two sides of a comparison to one type, or else underlines `place`.
    fn unify(
        &mut self,
        place: &IdedExpr,
        (left, first): (&IdedExpr, Typed),
        (right, second): (&IdedExpr, Typed),
    ) -> Option<[Expr; 2]> {
        match (first.r#type, second.r#type) {
            (Type::Int, Type::Double | Type::Metadata) => Some([self.widen(left, first.expr)?, second.expr]),
            (Type::Double | Type::Metadata, Type::Int) => Some([first.expr, self.widen(right, second.expr)?]),
            (Type::Metadata, Type::Duration) | (Type::Duration, Type::Metadata) => {
                self.incomparable(place, (left, first.r#type), (right, second.r#type))
            }
            (a, b) if a == b || a == Type::Metadata || b == Type::Metadata => Some([first.expr, second.expr]),
            (a, b) => self.incomparable(place, (left, a), (right, b)),
        }
    }

    fn incomparable<T>(
        &mut self,
        place: &IdedExpr,
        (left, first): (&IdedExpr, Type),
        (right, second): (&IdedExpr, Type),
    ) -> Option<T> {
        let message = format!(
            "{} is {}, {} is {}: can't compare",
            self.tree.quote(left),
            first.with_article(),
            self.tree.quote(right),
            second.with_article()
        );
        let help = match (first, second) {
            (Type::Timestamp, Type::String) | (Type::String, Type::Timestamp) => {
                Some("write an instant as `timestamp('2025-01-31T00:00:00Z')`")
            }
            (Type::Duration, _) | (_, Type::Duration) => Some("write a length of time as `duration('5m')`"),
            (Type::String, number) | (number, Type::String) if number.is_number() => {
                Some("a text stands in quotes, a number does not")
            }
            _ => None,
        };
        self.problem(place, message, help.map(str::to_owned))
    }

    /// A whole number as a double; a literal at once.
    pub(super) fn widen(&mut self, node: &IdedExpr, expr: Expr) -> Option<Expr> {
        if let Expr::Literal(Literal::Int(value)) = expr
            && exact(value).is_none()
        {
            let message = format!("no double is equal to {}", self.tree.quote(node));
            return self.problem(node, message, Some("whole numbers up to 2^53 are exact".into()));
        }
        Some(to_double(expr))
    }

    /// Reads a literal that is compared with `type`, `unit` or `id` as one of these.
    fn named(&mut self, node: &IdedExpr, found: Typed, other: &Expr) -> Option<Typed> {
        let (Expr::Literal(Literal::Text(text)), Expr::Field(field)) = (&found.expr, other) else {
            return Some(found);
        };
        let literal = match field {
            Field::Type => match Kind::parse(text) {
                Ok(kind) => Literal::Kind(kind),
                Err(unknown) => {
                    self.problems.push(unknown_type(&unknown).span(self.tree.span(node)));
                    return None;
                }
            },
            Field::Unit => match Unit::parse(text) {
                Ok(unit) if unit.dimension().is_some() => Literal::Unit(unit),
                _ => {
                    let help = "units are written as HealthKit does: `count/min`, `kcal`, `mg/dL`, `degC`";
                    return self.problem(
                        node,
                        format!("unknown unit {}", self.tree.quote(node)),
                        Some(help.into()),
                    );
                }
            },
            Field::Id => match RecordId::parse(text) {
                Some(id) => Literal::Id(id),
                None => {
                    let message = format!("{} is no id", self.tree.quote(node));
                    return self.problem(node, message, Some("ids are uuids".into()));
                }
            },
            _ => return Some(found),
        };
        typed(Expr::Literal(literal), Type::String)
    }

    pub(super) fn membership(&mut self, left: &IdedExpr, right: &IdedExpr) -> Option<Typed> {
        let first = self.check(left);
        if is_ident(right, "metadata") {
            let Typed { expr: Expr::Literal(Literal::Text(key)), .. } = first? else {
                return self.problem(left, "the key of a metadata value is a text in quotes", None);
            };
            return typed(Expr::Has(Box::new(Expr::Metadata(key))), Type::Bool);
        }
        let Node::List(list) = &right.expr else {
            let message = format!("{} is not a list", self.tree.quote(right));
            return self.problem(right, message, Some("write `in ['a', 'b']`".into()));
        };
        let elements: Vec<Option<Typed>> = list.elements.iter().map(|element| self.check(element)).collect();
        let Typed { expr: first, r#type } = first?;
        let mut literals = Vec::with_capacity(elements.len());
        for (node, element) in list.elements.iter().zip(elements) {
            let element = element.and_then(|element| self.named(node, element, &first));
            let Some(element) = element else { continue };
            let one = Typed { expr: first.clone(), r#type };
            match self.unify(node, (left, one), (node, element)) {
                Some([_, Expr::Literal(literal)]) => literals.push(literal),
                Some(_) => {
                    let message = "the list to the right of `in` holds literals only";
                    let _: Option<Typed> =
                        self.problem(node, message, Some("compare with `==` and `||`".into()));
                }
                None => {}
            }
        }
        typed(Expr::In(Box::new(first), Set::new(literals)), Type::Bool)
    }
}
