//! The keys that sources share: `expect`, and `format` of those that have one.

use std::sync::Arc;

use afferent_core::{BoxSource, Kind, Record, config::Span};
use afferent_formats::Format;
use serde::{
    Deserialize,
    de::{
        IntoDeserializer,
        value::{Error as ValueError, StrDeserializer},
    },
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    codes,
    diagnostic::Diagnostic,
    load::type_of,
    strict::{Owner, invalid},
};
use crate::{
    expect::{Expected, Expecting},
    registry::Make,
};

/// Which types a source should give, and how often at least; what is wrong with it goes to `diagnostics`.
pub(super) fn expected(
    value: &Spanned<DeValue<'_>>,
    owner: &Owner<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Expected {
    let DeValue::Table(table) = value.get_ref() else {
        let message = format!("wrong type of `expect` in {}", owner.name);
        let label = format!("expected a table such as {{ HeartRate = \"6h\" }}, found {}", type_of(value));
        diagnostics.push(Diagnostic::new(&codes::WRONG_TYPE, value.span(), message).label(label));
        return Vec::new();
    };
    let mut expected = Expected::new();
    for (key, value) in table {
        let kind = Kind::parse(key.get_ref()).map_err(|unknown| unknown.to_string());
        let limit = match value.get_ref() {
            DeValue::String(text) => text.parse::<Span>(),
            _ => Err(format!("expected a time such as \"6h\", found {}", type_of(value))),
        };
        let limit = limit.and_then(|limit| match limit.0.is_zero() {
            true => Err("expected a time, found none".to_owned()),
            false => Ok(limit.0),
        });
        for (span, wrong) in [(key.span(), kind.as_ref().err()), (value.span(), limit.as_ref().err())] {
            let path = format!("expect.{}", key.get_ref());
            diagnostics.extend(wrong.map(|wrong| invalid(&codes::BAD_VALUE, span, &path, owner.name, wrong)));
        }
        if let (Ok(kind), Ok(limit)) = (kind, limit) {
            expected.push((kind, limit));
        }
    }
    expected
}

/// A source of which types are expected, if any are.
pub(super) fn expecting(make: Make<BoxSource<Record>>, expected: Expected) -> Make<BoxSource<Record>> {
    if expected.is_empty() {
        return make;
    }
    Arc::new(move || Ok(Box::new(Expecting::new(make()?, &expected)) as BoxSource<Record>))
}

/// What a source reads, by the key that all sources with formats share. That its value is one is checked elsewhere.
pub(super) fn format_of(table: &DeTable<'_>) -> Format {
    let text = table.get("format").map(|value| value.get_ref());
    let Some(DeValue::String(text)) = text else { return Format::default() };
    let text: StrDeserializer<'_, ValueError> = (**text).into_deserializer();
    Format::deserialize(text).unwrap_or_default()
}
