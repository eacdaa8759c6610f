//! The type checker: from the syntax tree to an [`Expr`] whose types fit, or to all that is wrong with it.

use afferent_core::{Kind, Name, Problem, RecordId, Timestamp, Unit, kind::UnknownKind};
use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr as Node, LiteralValue, operators},
};

use super::{
    duration,
    expr::{Comparison, Expr, Match, Operator, Set, exact},
    field::Field,
    parse::Tree,
    value::{Literal, Type},
};

/// An expression with its type.
pub(super) struct Typed {
    pub(super) expr: Expr,
    pub(super) r#type: Type,
}

fn typed(expr: Expr, r#type: Type) -> Option<Typed> {
    Some(Typed { expr, r#type })
}

/// Checks `tree`, whose value must be of type `expected`.
pub(super) fn check(tree: &Tree<'_>, expected: Type) -> Result<Expr, Vec<Problem>> {
    let mut checker = Checker { tree, problems: Vec::new() };
    let expr = checker.root(&tree.root, expected);
    match expr {
        Some(expr) if checker.problems.is_empty() => Ok(expr),
        _ => Err(checker.problems),
    }
}

struct Checker<'t, 's> {
    tree: &'t Tree<'s>,
    problems: Vec<Problem>,
}

/// The functions, as a message lists them.
const FUNCTIONS: &[&str] = &[
    "has",
    "startsWith",
    "endsWith",
    "contains",
    "lowerAscii",
    "upperAscii",
    "size",
    "timestamp",
    "duration",
];

impl Checker<'_, '_> {
    /// Notes a problem of `node`. `None`, so that what depends on it is given up without another message.
    fn problem<T>(&mut self, node: &IdedExpr, message: impl Into<String>, help: Option<String>) -> Option<T> {
        let mut problem = Problem::new("", message).span(self.tree.span(node));
        problem.help = help;
        self.problems.push(problem);
        None
    }

    fn root(&mut self, node: &IdedExpr, expected: Type) -> Option<Expr> {
        let found = self.check(node)?;
        let quoted = self.tree.quote(node);
        match (expected, found.r#type) {
            // A length of time has no form in metadata.
            (Type::Metadata, Type::Duration) => {}
            (Type::Metadata, Type::Int) | (Type::Double, Type::Int) => return Some(to_double(found.expr)),
            (Type::Metadata, _) => return Some(found.expr),
            (expected, found_type) if expected == found_type || found_type == Type::Metadata => {
                return Some(found.expr);
            }
            _ => {}
        }
        let message =
            format!("{quoted} is {}, expected {}", found.r#type.with_article(), expected.with_article());
        let help = match expected {
            Type::Bool => Some("write a condition, such as `value > 30.0`".to_owned()),
            Type::Metadata => Some("metadata holds strings, numbers, bools and timestamps".to_owned()),
            _ => None,
        };
        self.problem(node, message, help)
    }

    fn check(&mut self, node: &IdedExpr) -> Option<Typed> {
        match &node.expr {
            Node::Literal(literal) => self.literal(node, literal),
            Node::Ident(_) | Node::Select(_) => self.path(node),
            Node::Call(call) => self.call(node, call),
            Node::List(_) => self.problem(node, "a list can only stand to the right of `in`", None),
            Node::Map(_) | Node::Struct(_) | Node::Comprehension(_) | Node::Unspecified => {
                self.problem(node, "maps and messages are not part of these expressions", None)
            }
        }
    }

    fn literal(&mut self, node: &IdedExpr, literal: &LiteralValue) -> Option<Typed> {
        let (literal, r#type) = match literal {
            LiteralValue::Boolean(value) => (Literal::Bool(*value.inner()), Type::Bool),
            LiteralValue::Int(value) => (Literal::Int(*value.inner()), Type::Int),
            LiteralValue::Double(value) => (Literal::Double(*value.inner()), Type::Double),
            LiteralValue::String(text) => (Literal::Text(Name::from(text.inner())), Type::String),
            LiteralValue::UInt(_) => {
                return self.problem(
                    node,
                    "unsigned numbers are not needed here",
                    Some("leave the `u` out".into()),
                );
            }
            LiteralValue::Bytes(_) => {
                return self.problem(node, "no field holds bytes", Some("leave the `b` out".into()));
            }
            LiteralValue::Null => {
                let help = "to ask whether a field is there, write `has(…)`";
                return self.problem(node, "no field is ever null", Some(help.into()));
            }
        };
        typed(Expr::Literal(literal), r#type)
    }

    /// A field or a metadata value.
    fn path(&mut self, node: &IdedExpr) -> Option<Typed> {
        if let Node::Select(select) = &node.expr
            && is_ident(&select.operand, "metadata")
        {
            return typed(Expr::Metadata(Name::from(select.field.as_str())), Type::Metadata);
        }
        let Some(path) = path_of(node) else {
            let message = format!("{} has no fields", self.operand(node));
            return self.problem(node, message, None);
        };
        if let Some(field) = Field::parse(&path) {
            return typed(Expr::Field(field), field.r#type());
        }
        if path == "metadata" {
            let help = "name the value, as in `metadata['HKWasUserEntered']`";
            return self.problem(node, "`metadata` is not a value", Some(help.into()));
        }
        let below = format!("{path}.");
        let fields: Vec<&str> =
            Field::ALL.iter().map(|(name, _)| *name).filter(|name| name.starts_with(&below)).collect();
        if !fields.is_empty() {
            let help = format!("its fields are `{}`", fields.join("`, `"));
            return self.problem(node, format!("`{path}` is not a value"), Some(help));
        }
        let mut names: Vec<&str> = Field::ALL.iter().map(|(name, _)| *name).collect();
        names.push("metadata");
        let help = match nearest(&path, &names) {
            Some(name) => format!("did you mean `{name}`?"),
            None if looks_like_type(&path) => format!("a text stands in quotes: did you mean '{path}'?"),
            None => format!("fields are `{}`", names.join("`, `")),
        };
        self.problem(node, format!("unknown field `{path}`"), Some(help))
    }

    /// The text of what a selection is made on.
    fn operand(&self, node: &IdedExpr) -> String {
        match &node.expr {
            Node::Select(select) => self.tree.quote(&select.operand),
            _ => self.tree.quote(node),
        }
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Option<Typed> {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let args: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (call.func_name.as_str(), &args[..]) {
            (operators::LOGICAL_AND, [left, right]) => self.logic(left, right, Expr::And),
            (operators::LOGICAL_OR, [left, right]) => self.logic(left, right, Expr::Or),
            (operators::LOGICAL_NOT, [inner]) => {
                let inner = self.condition(inner)?;
                typed(Expr::Not(Box::new(inner)), Type::Bool)
            }
            (operators::EQUALS, [left, right]) => self.comparison(node, Equal, left, right),
            (operators::NOT_EQUALS, [left, right]) => self.comparison(node, NotEqual, left, right),
            (operators::LESS, [left, right]) => self.comparison(node, Less, left, right),
            (operators::LESS_EQUALS, [left, right]) => self.comparison(node, LessOrEqual, left, right),
            (operators::GREATER, [left, right]) => self.comparison(node, Greater, left, right),
            (operators::GREATER_EQUALS, [left, right]) => self.comparison(node, GreaterOrEqual, left, right),
            (operators::ADD, [left, right]) => self.arithmetic(node, Operator::Add, left, right),
            (operators::SUBSTRACT, [left, right]) => self.arithmetic(node, Operator::Subtract, left, right),
            (operators::MULTIPLY, [left, right]) => self.arithmetic(node, Operator::Multiply, left, right),
            (operators::DIVIDE, [left, right]) => self.arithmetic(node, Operator::Divide, left, right),
            (operators::MODULO, [left, right]) => self.arithmetic(node, Operator::Remainder, left, right),
            (operators::NEGATE, [inner]) => self.negation(inner),
            (operators::CONDITIONAL, [condition, then, otherwise]) => {
                self.conditional(node, condition, then, otherwise)
            }
            (operators::IN, [left, right]) => self.membership(left, right),
            (operators::INDEX, [target, key]) => self.index(target, key),
            ("has", [field]) if call.target.is_none() => self.presence(field),
            ("startsWith", [_, _]) if call.target.is_some() => {
                self.matching(Match::StartsWith, args[0], args[1])
            }
            ("endsWith", [_, _]) if call.target.is_some() => self.matching(Match::EndsWith, args[0], args[1]),
            ("contains", [_, _]) if call.target.is_some() => self.matching(Match::Contains, args[0], args[1]),
            ("lowerAscii", [text]) if call.target.is_some() => {
                let text = self.text(text)?;
                typed(Expr::Lower(Box::new(text)), Type::String)
            }
            ("upperAscii", [text]) if call.target.is_some() => {
                let text = self.text(text)?;
                typed(Expr::Upper(Box::new(text)), Type::String)
            }
            ("size", [text]) => {
                let text = self.text(text)?;
                typed(Expr::Size(Box::new(text)), Type::Int)
            }
            ("timestamp", [text]) if call.target.is_none() => self.timestamp(text),
            ("duration", [text]) if call.target.is_none() => self.duration(text),
            (name, _) => self.unknown_call(node, name),
        }
    }

    fn unknown_call<T>(&mut self, node: &IdedExpr, name: &str) -> Option<T> {
        let usage = match name {
            "has" => "has(value)",
            "startsWith" | "endsWith" | "contains" => &format!("subject.{name}('a')"),
            "lowerAscii" | "upperAscii" => &format!("subject.{name}()"),
            "size" => "size(subject)",
            "timestamp" => "timestamp('2025-01-31T00:00:00Z')",
            "duration" => "duration('5m')",
            _ => {
                let help = match nearest(name, FUNCTIONS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("functions are `{}`", FUNCTIONS.join("`, `")),
                };
                return self.problem(node, format!("unknown function `{name}`"), Some(help));
            }
        };
        self.problem(node, format!("`{name}` is not called like this"), Some(format!("write `{usage}`")))
    }

    fn logic(
        &mut self,
        left: &IdedExpr,
        right: &IdedExpr,
        make: fn(Box<[Expr; 2]>) -> Expr,
    ) -> Option<Typed> {
        let (left, right) = (self.condition(left), self.condition(right));
        typed(make(Box::new([left?, right?])), Type::Bool)
    }

    fn condition(&mut self, node: &IdedExpr) -> Option<Expr> {
        self.root(node, Type::Bool)
    }

    fn text(&mut self, node: &IdedExpr) -> Option<Expr> {
        self.root(node, Type::String)
    }

    fn comparison(
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
    fn widen(&mut self, node: &IdedExpr, expr: Expr) -> Option<Expr> {
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

    fn membership(&mut self, left: &IdedExpr, right: &IdedExpr) -> Option<Typed> {
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

    fn index(&mut self, target: &IdedExpr, key: &IdedExpr) -> Option<Typed> {
        if !is_ident(target, "metadata") {
            let _ = self.check(target);
            let message = format!("{} has nothing in it to index", self.tree.quote(target));
            return self.problem(target, message, Some("only `metadata` is indexed".into()));
        }
        match &key.expr {
            Node::Literal(LiteralValue::String(key)) => {
                typed(Expr::Metadata(Name::from(key.inner())), Type::Metadata)
            }
            _ => self.problem(key, "the key of a metadata value is a text in quotes", None),
        }
    }

    fn presence(&mut self, node: &IdedExpr) -> Option<Typed> {
        let found = self.check(node)?;
        if !matches!(found.expr, Expr::Field(_) | Expr::Metadata(_)) {
            let message = format!("{} is not a field", self.tree.quote(node));
            return self.problem(
                node,
                message,
                Some("ask as in `has(subject)` or `has(metadata.key)`".into()),
            );
        }
        typed(Expr::Has(Box::new(found.expr)), Type::Bool)
    }

    fn matching(&mut self, how: Match, text: &IdedExpr, part: &IdedExpr) -> Option<Typed> {
        let (text, part) = (self.text(text), self.text(part));
        typed(Expr::Matches(how, Box::new([text?, part?])), Type::Bool)
    }

    fn timestamp(&mut self, node: &IdedExpr) -> Option<Typed> {
        let time = literal_text(node).and_then(Timestamp::parse_rfc3339);
        let Some((time, _)) = time else {
            let message = format!("{} is not an instant", self.tree.quote(node));
            let help = "write one as RFC 3339 has it: `timestamp('2025-01-31T08:00:00+01:00')`";
            return self.problem(node, message, Some(help.into()));
        };
        typed(Expr::Literal(Literal::Timestamp(time)), Type::Timestamp)
    }

    fn duration(&mut self, node: &IdedExpr) -> Option<Typed> {
        let Some(micros) = literal_text(node).and_then(duration::parse) else {
            let message = format!("{} is not a length of time", self.tree.quote(node));
            let help = "write one with units h, m, s, ms and us: `duration('1h30m')`";
            return self.problem(node, message, Some(help.into()));
        };
        typed(Expr::Literal(Literal::Duration(micros)), Type::Duration)
    }

    fn negation(&mut self, node: &IdedExpr) -> Option<Typed> {
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

    fn conditional(
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

    fn arithmetic(
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

/// A name that is no type, with what may be meant.
pub(crate) fn unknown_type(unknown: &UnknownKind) -> Problem {
    let help = match unknown.suggestion {
        Some(suggestion) => format!("did you mean `{suggestion}`?"),
        None => unknown.reason.to_string(),
    };
    Problem::new("", format!("unknown type `{}`", unknown.name)).help(help)
}

/// The name nearest to `name`, if one is near enough to be meant.
pub(crate) fn nearest<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
    let name = name.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&name, &candidate.to_lowercase());
    let (distance, nearest) = names.iter().map(|candidate| (distance(candidate), *candidate)).min()?;
    (distance <= nearest.len().div_ceil(3)).then_some(nearest)
}

fn to_double(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(Literal::Int(value)) => match exact(value) {
            Some(value) => Expr::Literal(Literal::Double(value)),
            None => Expr::ToDouble(Box::new(Expr::Literal(Literal::Int(value)))),
        },
        expr => Expr::ToDouble(Box::new(expr)),
    }
}

fn is_ident(node: &IdedExpr, name: &str) -> bool {
    matches!(&node.expr, Node::Ident(found) if found == name)
}

fn literal_text(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Node::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// `a.b.c` as text, if `node` is a name or fields of one.
fn path_of(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Node::Ident(name) => Some(name.clone()),
        Node::Select(select) => Some(format!("{}.{}", path_of(&select.operand)?, select.field)),
        _ => None,
    }
}

/// Whether a bare word is a type's name without quotes.
fn looks_like_type(path: &str) -> bool {
    Kind::all().any(|kind| kind.short() == path || kind.name() == path)
}
