//! `afferent explain`.

use afferent::definition::codes;

use crate::{args::ExplainArgs, exit::Exit, ui::Ui};

pub(crate) fn explain(args: &ExplainArgs, ui: &Ui) -> Exit {
    match codes::find(&args.code) {
        Some(code) if ui.is_json() => {
            ui.json(
                &serde_json::json!({ "code": code.id, "title": code.title, "explanation": code.explanation }),
            );
            Exit::Ok
        }
        Some(code) => {
            ui.data(format_args!("{}: {}\n\n{}", code.id, code.title, wrap(code.explanation, 80)));
            Exit::Ok
        }
        None => {
            let (first, last) = (codes::CODES[0].id, codes::CODES[codes::CODES.len() - 1].id);
            ui.error(format_args!("there is no code `{}`; codes are {first} to {last}", args.code));
            Exit::Usage
        }
    }
}

/// Breaks `text` into lines of at most `width` characters.
fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 {
            let separator = if column + 1 + length > width { '\n' } else { ' ' };
            wrapped.push(separator);
            column = if separator == '\n' { 0 } else { column + 1 };
        }
        wrapped += word;
        column += length;
    }
    wrapped
}
