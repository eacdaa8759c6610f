/// The rows of a table built into the program: tab-separated, comments from `#`, then one line of column
/// names.
pub(super) fn rows<const COLUMNS: usize>(
    table: &'static str,
) -> impl Iterator<Item = [&'static str; COLUMNS]> {
    table.lines().filter(|line| !line.starts_with('#')).skip(1).map(|line| {
        let mut columns = line.split('\t');
        let row = std::array::from_fn(|_| {
            columns.next().expect("invariant: every row of a built-in table has all its columns")
        });
        debug_assert!(columns.next().is_none(), "a row of a built-in table has a column too many");
        row
    })
}
