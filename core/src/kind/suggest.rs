use super::Kind;
use super::catalogue::CATALOGUE;

/// The catalogue's name nearest to `name`: full if it was written so, otherwise short. `None` if none is
/// near.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let written = fold(name);
    if written.is_empty() {
        return None;
    }
    let full = name.starts_with("HK");
    let names = Kind::all().map(|kind| if full { kind.name() } else { kind.short() });
    let (distance, nearest) = names
        .map(|candidate| (strsim::damerau_levenshtein(&written, &fold(candidate)), candidate))
        .min_by_key(|&(distance, _)| distance)?;
    // A third of what tells types apart: the prefix that all identifiers share must not make strangers look
    // near.
    let own_part = CATALOGUE.short_of(nearest).map_or(nearest.len(), str::len);
    (distance <= own_part / 3).then_some(nearest)
}

/// Case and separators are where names of other tools differ from Apple's: `heart_rate` is `HeartRate`.
fn fold(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
