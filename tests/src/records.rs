//! Records of tests, and what sinks have of them.

use std::{ops::Range, path::Path};

/// The value of every record here. It looks like nothing else, so that it can be searched for in messages.
pub const VALUE: &str = "61.4711";

/// A heart rate in the wire form, as a line.
pub fn line(number: u32) -> String {
    format!(
        "{{\"id\":\"00000000-0000-4000-8000-{number:012}\",\"type\":\"HKQuantityTypeIdentifierHeartRate\",\
         \"start\":\"2025-01-01T00:00:00Z\",\"end\":\"2025-01-01T00:00:00Z\",\"value\":{VALUE},\"unit\":\"count/min\"}}\n"
    )
}

/// The lines of several.
pub fn lines(numbers: Range<u32>) -> String {
    numbers.map(line).collect()
}

/// Every row of a database of the SQLite sink that a reader can see.
///
/// # Panics
/// If it is not one, or damaged.
pub fn rows(database: &Path) -> Vec<String> {
    let database = rusqlite::Connection::open(database).expect("the database");
    let check: String = database.query_row("pragma integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(check, "ok");
    let mut statement = database.prepare("select * from samples order by id").expect("the view");
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let values: Result<Vec<String>, _> =
            (0..columns).map(|column| row.get_ref(column).map(|value| format!("{value:?}"))).collect();
        values.map(|values| values.join("|"))
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}
