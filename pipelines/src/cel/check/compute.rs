//! Arithmetic and `? :`.

use cel::{IdedExpr, common::ast::Expr as Node};

use super::{
    super::{
        expr::{Expr, Operator},
        value::Type,
    },
    Checker, Typed, typed,
};

impl Checker<'_, '_> {
    pub(super) fn negation(&mut self, node: &IdedExpr) -> Option<Typed> {
        let inner = self.check(node)?;
        let r#type = match inner.r#type {
            Type::Metadata => Type::Double,
            found @ (Type::Int | Type::Double | Type::Duration) => found,
            found => {
                let message =
                    format!("{} is {}: it has no sign", self.tree.quote(node), found.with_article());
                return self.problem(node, message, None);
            }
        };
        typed(Expr::Negate(Box::new(inner.expr)), r#type)
    }

    pub(super) fn conditional(
        &mut self,
        node: &IdedExpr,
        condition: &IdedExpr,
        then: &IdedExpr,
        otherwise: &IdedExpr,
    ) -> Option<Typed> {
        let condition = self.condition(condition);
        let (first, second) = (self.check(then), self.check(otherwise));
        let (condition, first, second) = (condition?, first?, second?);
        let (first, second, r#type) = match (first.r#type, second.r#type) {
            (Type::Int, Type::Double) => (self.widen(then, first.expr)?, second.expr, Type::Double),
            (Type::Double, Type::Int) => (first.expr, self.widen(otherwise, second.expr)?, Type::Double),
            (a, b) if a == b => (first.expr, second.expr, a),
            (a, b) => {
                let message = format!(
                    "the branches differ: {} is {}, {} is {}",
                    self.tree.quote(then),
                    a.with_article(),
                    self.tree.quote(otherwise),
                    b.with_article()
                );
                return self.problem(node, message, None);
            }
        };
        typed(Expr::If(Box::new([condition, first, second])), r#type)
    }

    pub(super) fn arithmetic(
        &mut self,
        node: &IdedExpr,
        operator: Operator,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Option<Typed> {
        use Operator::{Add, Remainder, Subtract};
        use Type::{Double, Duration, Int, Metadata, String, Timestamp};
        let (first, second) = (self.check(left), self.check(right));
        let (first, second) = (first?, second?);
        let literal = |side: &Typed| matches!(side.expr, Expr::Literal(_));
        let (first_expr, second_expr, r#type) = match (operator, first.r#type, second.r#type) {
            (_, Int, Int) => (first.expr, second.expr, Int),
            (Remainder, ..) => return self.no_operator(node, left, first.r#type, right, second.r#type),
            (_, Double, Double) => (first.expr, second.expr, Double),
            // CEL never mixes the two; a whole number that is written out can only mean the double.
            (_, Double | Metadata, Int) if literal(&second) => {
                (first.expr, self.widen(right, second.expr)?, Double)
            }
            (_, Int, Double | Metadata) if literal(&first) => {
                (self.widen(left, first.expr)?, second.expr, Double)
            }
            (_, Double, Metadata) | (_, Metadata, Double) => (first.expr, second.expr, Double),
            (Add, String, String | Metadata) | (Add, Metadata, String) => (first.expr, second.expr, String),
            (Add | Subtract, Duration, Duration) => (first.expr, second.expr, Duration),
            (Add | Subtract, Timestamp, Duration) | (Add, Duration, Timestamp) => {
                (first.expr, second.expr, Timestamp)
            }
            (Subtract, Timestamp, Timestamp) => (first.expr, second.expr, Duration),
            (operator, Metadata, Metadata) if operator != Add => (first.expr, second.expr, Double),
            (_, a, b) => return self.no_operator(node, left, a, right, b),
        };
        let compute = if r#type == Double { Expr::Doubles } else { Expr::Arithmetic };
        typed(compute(operator, Box::new([first_expr, second_expr])), r#type)
    }

    fn no_operator<T>(
        &mut self,
        node: &IdedExpr,
        left: &IdedExpr,
        first: Type,
        right: &IdedExpr,
        second: Type,
    ) -> Option<T> {
        let sign = match &node.expr {
            Node::Call(call) => call.func_name.trim_matches('_'),
            _ => "",
        };
        let message = format!(
            "{} is {}, {} is {}: `{sign}` does not take these",
            self.tree.quote(left),
            first.with_article(),
            self.tree.quote(right),
            second.with_article()
        );
        let help = match (first, second) {
            (Type::Int, Type::Double) | (Type::Double, Type::Int) => {
                Some("ints divide without a remainder; write the numbers as doubles: `9.0 / 5.0`".to_owned())
            }
            (Type::Metadata, Type::Metadata) => Some(
                "what metadata holds is known only later; for texts write `metadata.a + '' + metadata.b`"
                    .to_owned(),
            ),
            _ => None,
        };
        self.problem(node, message, help)
    }
}
