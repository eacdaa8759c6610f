//! `by`: the fields by which a transform tells apart what belongs together.

use afferent_core::{Name, Problem, Record};

use super::at;
use crate::cel::{self, Field, nearest};

/// What `source` stands for.
const SOURCE: [Field; 3] = [Field::SourceName, Field::SourceBundle, Field::SourceProduct];

/// The text fields that `paths` name, each once. `type` and `unit` are no texts of a record and are left out: they tell
/// apart in any case.
pub(super) fn fields(paths: &[String], problems: &mut Vec<Problem>) -> Vec<Field> {
    let mut fields = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let named = match field(path) {
            Ok(named) => named,
            Err(problem) => {
                problems.push(at(["by", &index.to_string()], problem));
                continue;
            }
        };
        for field in named {
            if !fields.contains(&field) && !matches!(field, Field::Type | Field::Unit) {
                fields.push(field);
            }
        }
    }
    fields
}

fn field(path: &str) -> Result<Vec<Field>, Problem> {
    if path == "source" {
        Ok(SOURCE.to_vec())
    } else {
        text_field(path, &["source"]).map(|field| vec![field])
    }
}

/// The field of texts that `path` names; `others` are other things that may stand there.
pub(super) fn text_field(path: &str, others: &[&'static str]) -> Result<Field, Problem> {
    let texts: Vec<&str> = Field::ALL
        .iter()
        .filter(|(_, field)| field.r#type() == cel::Type::String && *field != Field::Id)
        .map(|(name, _)| *name)
        .chain(others.iter().copied())
        .collect();
    match Field::parse(path) {
        Some(field) if texts.contains(&path) => Ok(field),
        found => {
            let message = match found {
                Some(_) => format!("`{path}` tells no records apart that belong together"),
                None => format!("unknown field `{path}`"),
            };
            let help = match nearest(path, &texts).filter(|_| found.is_none()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("expected one of `{}`", texts.join("`, `")),
            };
            Err(Problem::new("", message).help(help))
        }
    }
}

/// Writes `texts`, those of `fields`, into `record`.
pub(super) fn write(fields: &[Field], texts: &[Option<Name>], record: &mut Record) {
    for (field, text) in fields.iter().zip(texts) {
        let Some(text) = text else { continue };
        match field {
            Field::Subject => record.subject = Some(text.clone()),
            Field::Zone => record.zone = Some(text.clone()),
            _ => {
                let origin = std::sync::Arc::make_mut(record.origin.get_or_insert_default());
                if let Some(slot) = field.slot(origin) {
                    *slot = Some(text.clone());
                }
            }
        }
    }
}
