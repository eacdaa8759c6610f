//! [`Journal`]: which files were begun, so that a restart can undo those that no checkpoint knows.

use std::path::PathBuf;

use afferent_core::{Result, disk::Disk};
use serde::{Deserialize, Serialize};

use super::{guard::Claim, sidecar, token::Mark};

/// Where each file of a set ended before its first record of this history.
///
/// A file is in here, durably, before a byte is written to it, and stays as long as tokens have it too: then a
/// restart from any of them, also from an older one, knows of each file where to cut it. A file that is in neither is
/// somebody else's.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    form: Form,
}

/// What the sidecar says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Form {
    /// Whose history it belongs to; the generation is the one that began it.
    owner: Option<Claim>,
    files: Vec<Mark>,
}

impl Journal {
    /// Reads what is recorded of the history of `owner`; what is recorded of another one is none of it.
    pub(super) fn read(disk: &dyn Disk, path: PathBuf, owner: Claim) -> Result<Journal> {
        let form: Form = sidecar::read(disk, &path)?;
        let files = if form.owner.as_ref() == Some(&owner) { form.files } else { Vec::new() };
        Ok(Journal { path, form: Form { owner: Some(owner), files } })
    }

    /// The files and where they ended.
    pub(super) fn files(&self) -> &[Mark] {
        &self.form.files
    }

    /// Forgets the others.
    pub(super) fn keep(&mut self, disk: &dyn Disk, kept: impl Fn(&Mark) -> bool) -> Result<()> {
        let before = self.form.files.len();
        self.form.files.retain(kept);
        if self.form.files.len() < before { sidecar::replace(disk, &self.path, &self.form) } else { Ok(()) }
    }

    /// Adds files of the journal's directory, in the place of those of the same name. Their own names are durable
    /// too when it returns: they are in the same directory.
    pub(super) fn add(&mut self, disk: &dyn Disk, fresh: &[Mark]) -> Result<()> {
        self.form.files.retain(|old| fresh.iter().all(|fresh| fresh.name != old.name));
        self.form.files.extend_from_slice(fresh);
        sidecar::replace(disk, &self.path, &self.form)
    }
}
