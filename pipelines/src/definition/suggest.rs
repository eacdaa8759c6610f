//! "Did you mean": the nearest of a list of words.

/// The word of `known` nearest to `word`, if one is near: at most a third of it differs.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |word: &str| word.replace('-', "_").to_lowercase();
    let (distance, nearest) = known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&fold(word), &fold(candidate)), candidate))
        .min_by_key(|&(distance, _)| distance)?;
    (distance <= nearest.len().max(3) / 3).then_some(nearest)
}

/// `a, b and c`, each in backticks.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>, and: &str) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} {and} {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: slips of the pen, and words that are just unknown. Guarantees: one suggestion or none, never a wild one.
    #[test]
    fn suggests_only_what_is_near() {
        let known = ["url", "format", "batch", "headers", "auth"];
        assert_eq!(nearest("hearders", known), Some("headers"));
        assert_eq!(nearest("Format", known), Some("format"));
        assert_eq!(nearest("ulr", known), Some("url"));
        assert_eq!(nearest("compression", known), None);
        assert_eq!(nearest("x", []), None);
    }

    /// Scenario: lists in messages. Guarantees: they read as a sentence.
    #[test]
    fn lists_read_as_a_sentence() {
        assert_eq!(list(["a"], "or"), "`a`");
        assert_eq!(list(["a", "b", "c"], "or"), "`a`, `b` or `c`");
    }
}
