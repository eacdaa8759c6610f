//! The `to` of a `set` as it stands in a file.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

/// Fields and the expressions that give their values.
///
/// In a file a dotted key is a table in a table, and a quoted one a single key; both are read:
/// `{ source.name = "'x'" }`, `{ "source.name" = "'x'" }`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assignments(Vec<Assignment>);

/// A field and the expression that gives its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The keys that name the field, as they stand in the file.
    pub path: Vec<String>,
    /// The expression, in CEL.
    pub expression: String,
}

impl Assignment {
    /// The name of the field: the keys, joined by dots.
    pub fn field(&self) -> String {
        self.path.join(".")
    }
}

impl Assignments {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Assignment> {
        self.0.iter()
    }
}

impl<'a, const N: usize> From<[(&'a str, &'a str); N]> for Assignments {
    fn from(pairs: [(&'a str, &'a str); N]) -> Assignments {
        let one = |(field, expression): (&str, &str)| Assignment {
            path: vec![field.to_owned()],
            expression: expression.to_owned(),
        };
        Assignments(pairs.map(one).into())
    }
}

/// An expression, or the expressions of the fields below a name.
enum Node {
    Expression(String),
    Fields(BTreeMap<String, String>),
}

impl<'de> Deserialize<'de> for Assignments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Assignments, D::Error> {
        let nodes = BTreeMap::<String, Node>::deserialize(deserializer)?;
        let mut assignments = Vec::new();
        for (name, node) in nodes {
            match node {
                Node::Expression(expression) => assignments.push(Assignment { path: vec![name], expression }),
                Node::Fields(fields) => {
                    assignments.extend(fields.into_iter().map(|(field, expression)| Assignment {
                        path: vec![name.clone(), field],
                        expression,
                    }))
                }
            }
        }
        Ok(Assignments(assignments))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        struct Nodes;

        impl<'de> Visitor<'de> for Nodes {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an expression in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Expression(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Node, A::Error> {
                BTreeMap::deserialize(de::value::MapAccessDeserializer::new(map)).map(Node::Fields)
            }
        }

        deserializer.deserialize_any(Nodes)
    }
}
