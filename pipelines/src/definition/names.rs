//! Names of pipelines and stages.

/// Longest name of a pipeline, in bytes: file systems allow 255 bytes, and a stage's directory needs more than
/// this name.
pub const MAX_PIPELINE_NAME: usize = 128;

/// Longest name of a stage, in bytes.
pub const MAX_STAGE_NAME: usize = 64;

/// Whether `name` may name a pipeline or stage of at most `max` bytes. Names key saved state and appear in paths
/// and metrics, so they are short, lower case (some file systems fold case) and can't point elsewhere.
pub fn is_name(name: &str, max: usize) -> bool {
    name.len() <= max
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'))
}

/// `name` made into one that is allowed; `None` if nothing of it is left.
pub(super) fn allowed(name: &str, max: usize) -> Option<String> {
    let replaced: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .collect();
    let trimmed = replaced.trim_start_matches(['-', '_', '.']).trim_end_matches('-');
    let cut = &trimmed[..trimmed.len().min(max)];
    (!cut.is_empty()).then(|| cut.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: names as people choose them. Guarantees: none can leave its directory or collide by case, and what is
    /// suggested instead is allowed.
    #[test]
    fn names_are_safe_keys() {
        for good in ["vitals", "vitals-to-clinic", "a.b_c", "7"] {
            assert!(is_name(good, 64), "{good}");
        }
        for bad in ["", "Vitals", "a/b", "..", ".hidden", "-x", "a b", "ä", &"a".repeat(65)] {
            assert!(!is_name(bad, 64), "{bad}");
            assert!(allowed(bad, 64).is_none_or(|name| is_name(&name, 64)), "{bad}");
        }
        assert_eq!(allowed("My Vitals!", 64).as_deref(), Some("my-vitals"));
    }
}
