//! [`Report`]: what a campaign found, as a page of the documentation.

use std::{fmt::Write, path::Path, time::Duration};

use super::Books;

/// One fault, and what came of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The fault: its name in the file of seeds, too.
    pub fault: &'static str,
    /// What is done, in a few words.
    pub what: String,
    /// What a whole campaign does of it.
    pub asked: String,
    /// What this one did.
    pub done: String,
    /// What came of it.
    pub books: Books,
}

/// What a campaign found.
#[derive(Clone, Debug)]
pub struct Report {
    /// How long it was to be.
    pub hours: f64,
    /// The commit that it was run on.
    pub commit: String,
    /// The day.
    pub date: String,
    /// The first of the seeds that were drawn.
    pub first: u64,
    /// How many simulated seeds of each fault gave the same trace twice.
    pub twice: u64,
    /// The faults, in the order in which they were played.
    pub rows: Vec<Row>,
}

impl Report {
    /// Whether nothing happened that must not.
    pub fn is_clean(&self) -> bool {
        let is_clean =
            |books: &Books| books.failures.is_empty() && books.lost + books.duplicated + books.panics == 0;
        self.rows.iter().all(|row| is_clean(&row.books))
    }

    /// The page.
    pub fn page(&self) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut page);
        page
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        let Report { hours, commit, date, first, twice, .. } = self;
        let total: Duration = self.rows.iter().map(|row| row.books.took).sum();
        writeln!(page, "# The campaign\n")?;
        writeln!(page, "<!-- Written by scripts/campaign. Run it again instead of editing this page. -->\n")?;
        writeln!(
            page,
            "What `scripts/campaign --hours {hours}` found on {date}, on commit `{commit}` and {} cores, in {}. Drawn seeds\n\
             count from {first}. Before all else {twice} seeds of each simulated fault were played twice, and gave the same trace: every\n\
             operation on the disk with its bytes, and every body that was sent. What the faults are, and what is compared after\n\
             each, stands at the head of the modules of `tests/src/campaign`. A seed that fails goes to `tests/campaign-seeds.tsv`,\n\
             which the tests of every commit play first; they play each fault, too, in fewer seeds. Which test proves which\n\
             guarantee: [guarantees.md](guarantees.md).\n",
            super::cores(),
            minutes(total),
        )?;
        writeln!(
            page,
            "| fault | seeds | faults that struck | records | lost | duplicated | panics | recovery: min, median, max |"
        )?;
        writeln!(page, "|---|---|---|---|---|---|---|---|")?;
        for Row { fault, books, .. } in &self.rows {
            let recovery = match books.recovery() {
                Some(times) => times.map(milliseconds).join(", "),
                None => String::new(),
            };
            writeln!(
                page,
                "| {fault} | {} | {} | {} | {} | {} | {} | {recovery} |",
                grouped(books.cases),
                grouped(books.faults),
                grouped(books.records),
                books.lost,
                books.duplicated,
                books.panics,
            )?;
        }
        writeln!(
            page,
            "\nA record counts once for each seed that it was given in. Recovery is of real processes: from the start of one to the\nmoment at which its pipeline runs.\n"
        )?;
        writeln!(page, "## Each fault\n")?;
        for Row { fault, what, asked, done, books } in &self.rows {
            writeln!(
                page,
                "- **{fault}**: {what}. Asked for in a whole campaign: {asked}; done: {done}, in {}.",
                minutes(books.took)
            )?;
            if !books.notes.is_empty() {
                let notes: Vec<String> =
                    books.notes.iter().map(|(what, times)| format!("{what}: {}", grouped(*times))).collect();
                writeln!(page, "  {}.", notes.join("; "))?;
            }
        }
        let failures: Vec<_> = self
            .rows
            .iter()
            .flat_map(|row| row.books.failures.iter().map(move |failure| (row.fault, failure)))
            .collect();
        if !failures.is_empty() {
            writeln!(page, "\n## What must not be\n")?;
            for (fault, (seed, wrong)) in failures.iter().take(50) {
                let wrong: String = wrong
                    .chars()
                    .take(400)
                    .map(|character| if character == '\n' { ' ' } else { character })
                    .collect();
                writeln!(page, "- {fault}, seed {seed}: {wrong}")?;
            }
        }
        Ok(())
    }

    /// Writes the page to a file, as a whole or not at all.
    ///
    /// # Errors
    /// If it can't be written.
    #[allow(clippy::disallowed_methods, reason = "a page of the repository, no state")]
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let new = path.with_extension("md.new");
        std::fs::write(&new, self.page())?;
        std::fs::rename(&new, path)
    }
}

fn minutes(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

/// A number with commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
