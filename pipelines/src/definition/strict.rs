//! Reads a table into a `Config` and finds everything that is wrong with it, not only the first thing.
//!
//! serde stops at its first error. So the table is read again and again, each time without the entries that were
//! reported before, until it is read or something is missing. A stage's table is small; this costs nothing.
//!
//! Inside an internally tagged enum (`store = { type = "mock", … }`) serde forgets where values stood. There the
//! culprit is found by leaving out one entry after the other and seeing without which the error is gone.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    codes::{self, Code},
    de::{DeError, Skip, Table, What, entries},
    diagnostic::{Diagnostic, MAX_DIAGNOSTICS},
    suggest,
};

/// Whose table is read, for messages.
pub(crate) struct Owner<'a> {
    /// `` sink `http` ``.
    pub(crate) name: &'a str,
    /// What is underlined when something is missing.
    pub(crate) anchor: Range<usize>,
    /// Keys that may stand in the table and are read elsewhere.
    pub(crate) shared: &'a [&'a str],
}

/// What came of reading a table.
pub(crate) struct Strict<T> {
    /// The value; also there when unknown keys were all that was wrong.
    pub(crate) value: Option<T>,
    /// Everything that is wrong.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

type Entry<'d, 't> = (&'d Spanned<DeString<'t>>, &'d Spanned<DeValue<'t>>);

/// Reads `table`, apart from the shared keys of `owner`, into a `T`.
pub(crate) fn read<T: DeserializeOwned>(table: &DeTable<'_>, owner: &Owner<'_>) -> Strict<T> {
    let shared = table.iter().filter(|(key, _)| owner.shared.contains(&key.get_ref().as_ref()));
    let mut skip: Skip = shared.map(|(key, _)| key.span().start).collect();
    let mut reader = Reader { table, owner, diagnostics: Vec::new(), forgiven: Vec::new(), whole: true };
    for _ in 0..=MAX_DIAGNOSTICS {
        match T::deserialize(Table { table, skip: &skip }) {
            Ok(value) => {
                let value = reader.whole.then_some(value);
                return Strict { value, diagnostics: reader.diagnostics };
            }
            Err(error) => {
                let culprit = reader.culprit::<T>(&error, &skip);
                reader.report(&error, culprit);
                // Without a culprit it would only fail in the same way again.
                if !culprit.is_some_and(|(key, _)| skip.insert(key.span().start)) {
                    break;
                }
            }
        }
    }
    Strict { value: None, diagnostics: reader.diagnostics }
}

struct Reader<'r, 'd, 't> {
    table: &'d DeTable<'t>,
    owner: &'r Owner<'r>,
    diagnostics: Vec<Diagnostic>,
    /// Keys whose absence is no news: they were reported as something else.
    forgiven: Vec<String>,
    /// Whether nothing but unknown keys was left out.
    whole: bool,
}

impl<'d, 't> Reader<'_, 'd, 't> {
    /// The entry that is wrong.
    fn culprit<T: DeserializeOwned>(&self, error: &DeError, skip: &Skip) -> Option<Entry<'d, 't>> {
        if matches!(error.what, What::MissingKey(_)) {
            return None;
        }
        let reported = self.find(|key, _| Some(key.span().start) == error.entry)?;
        let DeValue::Table(inner) = reported.1.get_ref() else { return Some(reported) };
        if error.span != Some(reported.1.span()) {
            return Some(reported);
        }
        let mut candidates: Vec<Entry<'d, 't>> = Vec::new();
        entries(inner, &mut |key, value| candidates.push((key, value)));
        candidates.retain(|(key, _)| !skip.contains(&key.span().start));
        let narrowed = match &error.what {
            What::UnknownKey { key: unknown, .. } => {
                candidates.into_iter().find(|(key, _)| key.get_ref() == unknown.as_str())
            }
            // Innermost first. Without its tag a table fails in any case, so that proves nothing.
            what => candidates.into_iter().rev().find(|(key, _)| {
                let is_tag = key.get_ref() == "type";
                let mut without = skip.clone();
                without.insert(key.span().start);
                is_tag == matches!(what, What::UnknownWord { .. })
                    && T::deserialize(Table { table: self.table, skip: &without }).err().as_ref()
                        != Some(error)
            }),
        };
        Some(narrowed.unwrap_or(reported))
    }

    fn report(&mut self, error: &DeError, culprit: Option<Entry<'d, 't>>) {
        let owner = self.owner.name;
        let anchor = || error.span.clone().unwrap_or_else(|| self.owner.anchor.clone());
        // A value of its own (an array's element) is more exact than the entry it stands in.
        let place = match culprit {
            Some((_, value)) if error.span.as_ref().is_some_and(|span| within(span, &value.span())) => {
                anchor()
            }
            Some((_, value)) => value.span(),
            None => anchor(),
        };
        let path = culprit.map(|(key, _)| self.path(key.span().start)).unwrap_or_default();
        let diagnostic = match &error.what {
            What::UnknownKey { key, known } => {
                let span = culprit.map_or_else(anchor, |(key, _)| key.span());
                let parent = path.rsplit_once('.').map(|(parent, _)| parent);
                let shared = if parent.is_none() { self.owner.shared } else { &[] };
                let known: Vec<&str> = known.iter().chain(shared).copied().collect();
                let (place, of) = match parent {
                    Some(parent) => (format!("`{parent}` of {owner}"), format!("`{parent}`")),
                    None => (owner.to_owned(), owner.to_owned()),
                };
                let mut diagnostic =
                    Diagnostic::new(&codes::UNKNOWN_KEY, span, format!("unknown key `{key}` in {place}"))
                        .help(format!("keys of {of}: {}", known.join(", ")));
                if let Some(near) = suggest::nearest(key, known.iter().copied()) {
                    self.forgiven.push(near.to_owned());
                    diagnostic = diagnostic.label(format!("did you mean `{near}`?"));
                }
                diagnostic
            }
            What::MissingKey(key) if self.forgiven.iter().any(|forgiven| forgiven == key) => return,
            What::MissingKey(key) => {
                let inside = error.entry.map(|entry| self.path(entry)).map(|path| format!("`{path}` of "));
                let message = format!("{}{owner} needs the key `{key}`", inside.unwrap_or_default());
                Diagnostic::new(&codes::MISSING_KEY, anchor(), message).label(format!("`{key}` is missing"))
            }
            What::WrongType { expected, found } => {
                Diagnostic::new(&codes::WRONG_TYPE, place, format!("wrong type of `{path}` in {owner}"))
                    .label(format!("expected {expected}, found {found}"))
            }
            What::UnknownWord { known } => {
                let message = format!(
                    "invalid `{path}` in {owner}: expected {}",
                    suggest::list(known.iter().copied(), "or")
                );
                let diagnostic = Diagnostic::new(&codes::BAD_VALUE, place, message);
                match culprit.map(|(_, value)| value.get_ref()) {
                    Some(DeValue::String(word)) => match suggest::nearest(word, known.iter().copied()) {
                        Some(near) => diagnostic.label(format!("did you mean `{near}`?")),
                        None => diagnostic,
                    },
                    _ => diagnostic,
                }
            }
            What::BadValue(message) => invalid(&codes::BAD_VALUE, place, &path, owner, message),
        };
        if diagnostic.code != &codes::UNKNOWN_KEY {
            self.whole = false;
            if let Some((key, _)) = culprit {
                self.forgiven.push(key.get_ref().to_string());
            }
        }
        self.diagnostics.push(diagnostic);
    }

    fn find(
        &self,
        mut wanted: impl FnMut(&Spanned<DeString<'t>>, &Spanned<DeValue<'t>>) -> bool,
    ) -> Option<Entry<'d, 't>> {
        let mut found = None;
        entries(self.table, &mut |key, value| {
            if found.is_none() && wanted(key, value) {
                found = Some((key, value));
            }
        });
        found
    }

    /// The keys down to the one that begins at `start`, joined by dots.
    fn path(&self, start: usize) -> String {
        fn down(table: &DeTable<'_>, start: usize, path: &mut Vec<String>) -> bool {
            table.iter().any(|(key, value)| {
                path.push(key.get_ref().to_string());
                let found = key.span().start == start || within_value(value, start, path);
                if !found {
                    path.pop();
                }
                found
            })
        }
        fn within_value(value: &Spanned<DeValue<'_>>, start: usize, path: &mut Vec<String>) -> bool {
            match value.get_ref() {
                DeValue::Table(table) => down(table, start, path),
                DeValue::Array(array) => array.iter().any(|item| within_value(item, start, path)),
                _ => false,
            }
        }
        let mut path = Vec::new();
        down(self.table, start, &mut path);
        path.join(".")
    }
}

/// `` invalid `path` in sink `file`: … ``, or without the key where there is none.
pub(super) fn invalid(
    code: &'static Code,
    span: Range<usize>,
    path: &str,
    owner: &str,
    message: &str,
) -> Diagnostic {
    let what =
        if path.is_empty() { format!("invalid {owner}") } else { format!("invalid `{path}` in {owner}") };
    Diagnostic::new(code, span, format!("{what}: {message}"))
}

fn within(inner: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
