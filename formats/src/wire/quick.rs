//! Reading one record as nearly all of them are written, in one pass ([`Quick`]).

use std::borrow::Cow;

use afferent_core::Record;

use super::{
    metadata::read_metadata,
    origin::read_origin,
    record::{Field, set},
    scalar::Scalar,
};
use crate::{
    context::Context,
    draft::{Draft, DraftValue},
    quick::Quick,
};

/// The record in the object `text`. `None`: it is for serde_json to say what it is; that has no number or no text where one is
/// usual, an escape in a text, a key that nobody knows or that comes twice, or is no record at all.
pub(super) fn read(text: &str, cx: &mut Context) -> Option<Record> {
    let (mut json, mut draft) = (Quick::new(text), Draft::default());
    let (mut source, mut device, mut start) = (None, None, None);
    let mut seen = 0_u32;
    json.enter(b'{')?;
    while let Some(key) = json.key(seen == 0)? {
        let field = Field::of(key)?;
        let bit = 1 << field as u32;
        if seen & bit != 0 {
            return None;
        }
        seen |= bit;
        match field {
            Field::Source => source = Some(json.object()?),
            Field::Device => device = Some(json.object()?),
            Field::Metadata => draft.metadata = read_metadata(json.object()?, cx).ok()?,
            Field::Value => draft.value = value(&mut json)?,
            Field::Deleted => draft.deleted = json.boolean()?,
            Field::Revision => draft.revision = json.number()?.0.parse().ok()?,
            _ => {
                let text = json.plain_text()?;
                match field {
                    Field::Start => start = Some(text),
                    // Of most records: they are of an instant.
                    Field::End if start == Some(text) => {
                        draft.end = draft.start;
                        continue;
                    }
                    _ => {}
                }
                set(&mut draft, field, &Scalar::Text(Cow::Borrowed(text)), cx).ok()?;
            }
        }
    }
    json.end()?;
    if source.is_some() || device.is_some() {
        let origin = read_origin(source, device, cx).ok()?;
        draft.origin = origin.part;
        draft.unknown.extend(origin.unknown.iter().flat_map(|unknown| unknown.iter()).cloned());
    }
    draft.finish(cx).ok()
}

/// A number.
fn value(json: &mut Quick<'_>) -> Option<DraftValue> {
    let (text, is_whole) = json.number()?;
    // `-0` is no whole number: it has a sign that none has.
    if is_whole && text != "-0" {
        return text.parse().ok().map(DraftValue::Whole);
    }
    text.parse().ok().filter(|number: &f64| number.is_finite()).map(DraftValue::Real)
}
