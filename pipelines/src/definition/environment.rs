//! `${NAME}` in strings: replaced by environment variables when a file is read.
//!
//! What came from the environment may be a secret. It goes into the `Config` and nowhere else: messages show the
//! text of the file, and a component's message that repeats a value gets `${NAME}` in its place.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{codes, diagnostic::Diagnostic, document::inside};

/// Looks a variable up.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The environment of this process.
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What was replaced.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    /// Variables and what they stood for.
    values: BTreeMap<String, String>,
    /// Strings whose variable is not set: what stands there is not what will stand there.
    unknown: Vec<Range<usize>>,
    missing: BTreeSet<String>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Expanded {
    /// Replaces the variables in all strings of `table`.
    pub(super) fn all(table: &mut DeTable<'_>, text: &str, lookup: &Lookup<'_>) -> Expanded {
        let mut expanded = Expanded::default();
        expanded.table(table, text, lookup);
        expanded
    }

    /// Whether a value at `span` is not known yet, so that nothing can be said about it.
    pub(super) fn is_unknown(&self, span: &Range<usize>) -> bool {
        self.unknown.iter().any(|unknown| unknown.start <= span.start && span.end <= unknown.end)
    }

    /// `message` without what came from the environment.
    pub(super) fn redact(&self, message: &str) -> String {
        let values = self.values.iter().filter(|(_, value)| !value.is_empty());
        values.fold(message.to_owned(), |message, (name, value)| {
            message.replace(value, &format!("${{{name}}}"))
        })
    }

    fn table(&mut self, table: &mut DeTable<'_>, text: &str, lookup: &Lookup<'_>) {
        table.iter_mut().for_each(|(_, value)| self.value(value, text, lookup));
    }

    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, text: &str, lookup: &Lookup<'_>) {
        let span = value.span();
        match value.get_mut() {
            DeValue::Table(table) => self.table(table, text, lookup),
            DeValue::Array(array) => array.iter_mut().for_each(|item| self.value(item, text, lookup)),
            DeValue::String(string) if string.contains("${") => {
                if let Some(replaced) = self.string(string, &span, text, lookup) {
                    *string = replaced.into();
                }
            }
            _ => {}
        }
    }

    /// `string` with its variables replaced; `None` if that can't be done, which is then reported.
    fn string(
        &mut self,
        string: &str,
        span: &Range<usize>,
        text: &str,
        lookup: &Lookup<'_>,
    ) -> Option<String> {
        let (mut replaced, mut known, mut at) = (String::new(), true, 0);
        while let Some(found) = string[at..].find("${").map(|found| at + found) {
            if string[at..found].ends_with('$') {
                // `$${` is a plain `${`.
                replaced += &string[at..found - 1];
                replaced += "${";
                at = found + 2;
                continue;
            }
            replaced += &string[at..found];
            let name = string[found + 2..].find('}').map(|end| &string[found + 2..found + 2 + end]);
            let Some(name) = name.filter(|name| is_variable(name)) else {
                let end = name.map_or(found + 2, |name| found + 3 + name.len());
                let message = "`${` is not followed by a variable's name and `}`";
                let diagnostic =
                    Diagnostic::new(&codes::BAD_VARIABLE, inside(text, span, string, found..end), message);
                self.diagnostics.push(diagnostic.help("write `${NAME}`, or `$${` for a plain `${`"));
                self.unknown.push(span.clone());
                return None;
            };
            at = found + 3 + name.len();
            match lookup(name) {
                Some(value) => {
                    replaced += &value;
                    self.values.insert(name.to_owned(), value);
                }
                None => {
                    known = false;
                    // One message per variable: it is set in one place.
                    if self.missing.insert(name.to_owned()) {
                        let message = format!("the environment variable `{name}` is not set");
                        let place = inside(text, span, string, found..at);
                        let diagnostic = Diagnostic::new(&codes::MISSING_VARIABLE, place, message).warning();
                        self.diagnostics.push(diagnostic.help(format!("set it: export {name}=…")));
                    }
                }
            }
        }
        replaced += &string[at..];
        if known {
            return Some(replaced);
        }
        self.unknown.push(span.clone());
        None
    }
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
