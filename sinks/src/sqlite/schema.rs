//! The schema: what a database holds, and how one is told from another.

use rusqlite::{Connection, OptionalExtension, params};

/// `Affe` in ASCII: marks the file as a database of this sink (SQLite's `application_id`).
const APPLICATION: i32 = 0x4166_6665;
/// Version of the schema (SQLite's `user_version`). A newer one is refused, an older one is brought up to date.
const VERSION: i32 = 1;

/// 128 random bits that tell a database from another one at the same path.
pub(super) type DatabaseId = [u8; 16];

/// An instant in µs as RFC 3339 in `Z`, as the wire form writes it.
macro_rules! rfc3339 {
    ($micros:literal) => {
        concat!(
            "strftime('%Y-%m-%dT%H:%M:%S', (",
            $micros,
            " - (",
            $micros,
            " % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch') || ",
            "CASE (",
            $micros,
            " % 1000000 + 1000000) % 1000000 WHEN 0 THEN 'Z' ",
            "ELSE printf('.%06dZ', (",
            $micros,
            " % 1000000 + 1000000) % 1000000) END"
        )
    };
}

/// Everything there is, in one script. `docs/reference/sqlite-schema.md` explains it.
const SCHEMA: &str = concat!(
    r#"
CREATE TABLE database (id BLOB NOT NULL) STRICT;

CREATE TABLE fence (
    store BLOB NOT NULL,
    pipeline TEXT NOT NULL,
    sink TEXT NOT NULL,
    generation INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (store, pipeline, sink)
) STRICT, WITHOUT ROWID;

CREATE TABLE type (type INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, short TEXT NOT NULL) STRICT;
CREATE TABLE unit (unit INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE subject (subject INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE zone (zone INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE origin (
    origin INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    source TEXT AS (name ->> '$.name') STORED,
    bundle TEXT AS (name ->> '$.bundle') STORED,
    version TEXT AS (name ->> '$.version') STORED,
    product TEXT AS (name ->> '$.product') STORED,
    os TEXT AS (name ->> '$.os') STORED,
    device TEXT AS (name ->> '$.device.name') STORED
) STRICT;

CREATE TABLE sample (
    type INTEGER NOT NULL REFERENCES type,
    month INTEGER NOT NULL,
    id BLOB NOT NULL,
    revision INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    value ANY NOT NULL,
    unit INTEGER REFERENCES unit,
    subject INTEGER REFERENCES subject,
    origin INTEGER REFERENCES origin,
    zone INTEGER REFERENCES zone,
    metadata TEXT,
    PRIMARY KEY (type, month, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE changed (
    id BLOB PRIMARY KEY,
    revision INTEGER,
    type INTEGER,
    month INTEGER
) STRICT, WITHOUT ROWID;

CREATE VIEW samples AS
SELECT
    lower(substr(hex(sample.id), 1, 8) || '-' || substr(hex(sample.id), 9, 4) || '-' || substr(hex(sample.id), 13, 4)
        || '-' || substr(hex(sample.id), 17, 4) || '-' || substr(hex(sample.id), 21)) AS id,
    type.name AS type,
    "#,
    rfc3339!("sample.start"),
    " AS start,\n    ",
    rfc3339!("sample.\"end\""),
    r#" AS "end",
    sample.value AS value,
    unit.name AS unit,
    subject.name AS subject,
    origin.source AS source,
    origin.device AS device,
    zone.name AS zone,
    sample.revision AS revision,
    sample.metadata AS metadata,
    type.short AS short,
    sample.month AS month,
    sample.start AS start_us,
    sample."end" AS end_us,
    origin.name AS origin
FROM sample
JOIN type ON type.type = sample.type
LEFT JOIN unit ON unit.unit = sample.unit
LEFT JOIN subject ON subject.subject = sample.subject
LEFT JOIN origin ON origin.origin = sample.origin
LEFT JOIN zone ON zone.zone = sample.zone;
"#
);

/// What stands in a file that is to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: a new file.
    Empty,
    /// A database of this schema.
    Ours,
    /// A database of a newer schema.
    Newer(i32),
    /// A database of something else.
    Foreign,
}

/// Looks without changing anything.
pub(super) fn look(connection: &Connection) -> rusqlite::Result<Found> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i32>(0));
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    Ok(match (application, version, tables) {
        (0, 0, 0) => Found::Empty,
        (APPLICATION, 1..=VERSION, _) => Found::Ours,
        (APPLICATION, version, _) if version > VERSION => Found::Newer(version),
        _ => Found::Foreign,
    })
}

/// Creates everything in an empty database, inside the caller's transaction.
pub(super) fn create(connection: &Connection, id: DatabaseId) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)?;
    connection.execute("INSERT INTO database (id) VALUES (?1)", params![id.as_slice()])?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", VERSION)
}

/// The identity of the database; `None` when somebody has removed it.
pub(super) fn id(connection: &Connection) -> rusqlite::Result<Option<DatabaseId>> {
    connection.query_row("SELECT id FROM database", [], |row| row.get(0)).optional()
}
