//! The type checker: from the syntax tree to an [`Expr`] whose types fit, or to all that is wrong with it.

mod compare;
mod compute;

use afferent_core::{Kind, Name, Problem, Timestamp, kind::UnknownKind};
use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr as Node, LiteralValue, operators},
};

use super::{
    duration,
    expr::{Comparison, Expr, Match, Operator, exact},
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
