//! The stable codes of diagnostics, with title and explanation, in one table.

/// A stable code.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// `AF-0112`.
    pub id: &'static str,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// What it means and what to do, in a few sentences; Markdown.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($name:ident = $id:literal, $title:literal, $explanation:literal;)*) => {
        $(
            #[doc = $title]
            pub static $name: Code = Code { id: $id, title: $title, explanation: $explanation };
        )*

        /// Every code there is, ascending.
        pub static CODES: &[&Code] = &[$(&$name),*];
    };
}

codes! {
    SYNTAX = "AF-0101", "the file is not valid TOML",
        "The text can't be read as TOML. Only the first such error is shown, because what follows it is often \
         misread. Strings stand in quotes, tables of stages begin with `[[source]]`, `[[transform]]` or `[[sink]]`.";
    UNREADABLE = "AF-0102", "the file can't be read",
        "A pipeline file is UTF-8 text of at most 1 MiB. Check the path and the permissions.";
    BAD_NAME = "AF-0103", "a name has characters it can't have",
        "Names key saved state and appear in paths and metrics. A pipeline's name has 1 to 128 characters, a stage's 1 to 64, \
         of `a-z`, `0-9`, `-`, `_` and `.`, and begins with a letter or digit.";
    NO_STAGE = "AF-0104", "a pipeline needs at least one source and one sink",
        "Write a `[[source]]` table and a `[[sink]]` table, each with a `type`.";
    DUPLICATE_NAME = "AF-0105", "two stages, or two pipelines, have the same name",
        "A stage's name keys its saved state, so no two sources, transforms or sinks of a pipeline may share one; \
         without `name` a stage is named after its type, then `type-2`, and so on. Pipelines that run from one \
         state directory need different names for the same reason. Give one of them another `name`.";
    QUEUE_CYCLE = "AF-0106", "queues lead from a pipeline back to itself",
        "What a pipeline writes to a queue comes back to it, by itself or through others, so records would go round for ever. \
         Let one of the pipelines on the way write to another queue, or to another sink.";
    LOOSE_QUEUE = "AF-0107", "none of the files reads a queue, or writes to it",
        "A warning where several files are checked together: one of them writes to a queue that none of them reads, or reads \
         one that none of them writes to. Add the file that is missing, or check the name of the queue.";
    UNKNOWN_TYPE = "AF-0110", "no component has this type",
        "The `type` of a stage selects the component. The message lists those of this build and of the host program.";
    NOT_IN_BUILD = "AF-0111", "the component exists, but not in this build",
        "Some components are Cargo features. Build with the feature that the message names.";
    UNKNOWN_KEY = "AF-0112", "unknown key",
        "A key that no part of Afferent reads is an error, because a misspelt option that is silently ignored is \
         worse. The help lists the keys that may stand there.";
    WRONG_TYPE = "AF-0113", "a value has the wrong type",
        "For example a string where a number is expected. Durations and sizes are strings with a unit: `\"1s\"`, `\"1MiB\"`.";
    MISSING_KEY = "AF-0114", "a required key is missing",
        "Add the key that the message names.";
    BAD_VALUE = "AF-0115", "a value is not one of those allowed",
        "The value has the right type but can't be used: a word that is not in the list, a duration without a unit, \
         a number out of range, a type of health data that nobody knows, a unit that does not fit its type.";
    IMPOSSIBLE = "AF-0116", "values that can't go together",
        "Each value is allowed by itself, but not together: options of a component that exclude each other, or two \
         stages that would write the same file.";
    EXPRESSION = "AF-0120", "an expression is not valid CEL, or does not fit the record",
        "Expressions of `filter`, `set` and `when` are checked when the file is read: their syntax, the fields they \
         name and the types of what they compare. Fields are `id`, `type`, `start`, `end`, `value`, `unit`, `subject`, \
         `zone`, `revision`, `deleted`, `source`, `device` and `metadata`.";
    MISSING_VARIABLE = "AF-0130", "an environment variable is not set",
        "`${NAME}` in a string is replaced by the environment variable `NAME`. Where it is not set, `validate` warns \
         and `run` refuses to start. Set it, or write `$${` for a plain `${`.";
    BAD_VARIABLE = "AF-0131", "`${` without a variable's name",
        "`${NAME}` in a string is replaced by the environment variable `NAME`, whose name has letters, digits and `_` \
         and does not begin with a digit. Write `$${` for a plain `${`.";
    ADVICE = "AF-0140", "it will work, but perhaps not as meant",
        "A warning of a component: the file is valid, and the message says what to expect.";
}

/// The code with this id, in any case, with or without `AF-` and zeros.
pub fn find(id: &str) -> Option<&'static Code> {
    let number = |id: &str| id.trim().to_ascii_uppercase().trim_start_matches("AF-").parse::<u32>().ok();
    CODES.iter().copied().find(|code| number(id).is_some_and(|wanted| number(code.id) == Some(wanted)))
}

/// The reference page of all codes, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "# Errors\n\nWhat is wrong with a pipeline file is reported with a stable code. `afferent explain AF-0112` \
         prints an entry of this page, which is generated from the table in `pipelines/src/definition/codes.rs`.\n",
    );
    for code in CODES {
        page += &format!("\n## {}: {}\n\n{}\n", code.id, code.title, code.explanation);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: the table of codes. Guarantees: ids are stable keys (ascending, none twice) and can be looked up as people type
    /// them.
    #[test]
    fn codes_are_unique_and_found() {
        assert!(CODES.is_sorted_by(|a, b| a.id < b.id));
        assert_eq!(find("af-0112"), Some(&UNKNOWN_KEY));
        assert_eq!(find("112"), Some(&UNKNOWN_KEY));
        assert_eq!(find("999"), None);
        assert_eq!(find("?"), None);
    }

    /// Scenario: the reference page in docs/. Guarantees: it says what the table says.
    #[test]
    fn the_reference_page_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/errors.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            #[allow(clippy::disallowed_methods, reason = "generates a page of the repository, no state")]
            std::fs::write(path, reference()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == reference(), "docs/reference/errors.md is stale; run this test with UPDATE_DOCS=1");
    }
}
