//! A disk in memory that fails as disks do.
//!
//! It keeps two views of every file: what processes see, and what a power loss leaves at least. What was
//! written since the last sync survives a [`power_loss`](SimDisk::power_loss) or does not, sector by sector and
//! in no order; so do names that no [`sync_dir`](Disk::sync_dir) made durable (a rename within a directory stays
//! atomic). Directories are durable once created, as [`Disk::create_dir_all`] promises.
//!
//! Faults are planned ahead with [`fail`](SimDisk::fail): the n-th operation, of any or of one kind. Operations
//! are counted, so that a test can sweep over n. A failed sync does what is known of Linux: some of the unsynced
//! sectors stay dirty, some become clean and readable although they never reach the disk, some are gone at once.
//!
//! Everything follows from seeds. Clones are the same disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    disk::{Disk, DiskFile, DiskLock, FileId, FileInfo, OpenMode, directory_of},
    random::Random,
};

#[cfg(test)]
mod tests;

/// The smallest unit a disk writes whole.
const SECTOR: usize = 512;
/// Sectors of a page, which is what a page cache writes whole.
const SECTORS_OF_PAGE: u64 = 8;
/// Bytes of an allocation unit: what a full disk is counted in.
const BLOCK: u64 = 4096;
/// The only device.
const DEVICE: u64 = 1;

/// A kind of operation, for counting and for planning faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// Open or create a file.
    Open,
    /// Look at a name or a file.
    Info,
    /// Read from a file.
    Read,
    /// Write to a file.
    Write,
    /// Cut or extend a file.
    SetLen,
    /// Make a file's bytes durable.
    Sync,
    /// Rename a file.
    Rename,
    /// Remove a file.
    Remove,
    /// Create directories.
    CreateDir,
    /// List a directory.
    List,
    /// Make the names of a directory durable.
    SyncDir,
    /// Take an advisory lock.
    Lock,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails (EIO). A write may have been done in part, a sync leaves unsynced bytes in doubt.
    Io,
    /// The operation finds the disk full (ENOSPC).
    Full,
    /// This operation and all after it fail: the state stays as it is, for a power loss to look at.
    Halt,
}

/// A disk in memory that fails as disks do.
#[derive(Clone, Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl SimDisk {
    /// An empty disk. `seed` decides what planned faults leave behind.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::from(State {
            inodes: BTreeMap::new(),
            next_inode: 1,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            directories: BTreeSet::new(),
            locks: BTreeSet::new(),
            counts: BTreeMap::new(),
            plans: Vec::new(),
            halted: false,
            capacity: None,
            writes: 0,
            trace: 0,
            random: Random::from_seed(seed),
        })
    }

    /// The disk as the trait object that everything takes.
    pub fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// Lets the `n`-th operation from now fail, counted from 0 among those of kind `op`, or among all.
    pub fn fail(&self, op: Option<Op>, n: u64, fault: Fault) {
        self.state().plans.push(Plan { op, left: n, fault });
    }

    /// Forgets all planned faults that have not happened.
    pub fn heal(&self) {
        let mut state = self.state();
        state.plans.clear();
        state.halted = false;
    }

    /// How many operations there were of kind `op`, or in all; failed ones count.
    pub fn operations(&self, op: Option<Op>) -> u64 {
        let state = self.state();
        match op {
            Some(op) => state.counts.get(&op).copied().unwrap_or(0),
            None => state.counts.values().sum(),
        }
    }

    /// How many bytes fit on the disk, in whole blocks of 4 KiB; `None` for no limit. What is stored may exceed
    /// a new limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes.map(|bytes| bytes / BLOCK);
    }

    /// How many bytes the files occupy, in whole blocks of 4 KiB.
    pub fn used(&self) -> u64 {
        self.state().used() * BLOCK
    }

    /// Whether a [`Fault::Halt`] has happened: whatever runs on this disk gets nowhere any more.
    pub fn is_halted(&self) -> bool {
        self.state().halted
    }

    /// All that was done so far, as a number: two histories with the same one did the same, byte for byte, in the same order.
    pub fn trace(&self) -> u64 {
        self.state().trace
    }

    /// All files, in the order of their names, with their lengths.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state();
        let length = |inode| state.inodes.get(inode).map_or(0, |inode| inode.visible.len() as u64);
        state.names.iter().map(|(name, inode)| (name.clone(), length(inode))).collect()
    }

    /// What is in a file, without an operation that is counted.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let inode = state.names.get(path)?;
        state.inodes.get(inode).map(|inode| inode.visible.clone())
    }

    /// The disk after its process was killed at this moment: everything written is there, synced or not, and no lock is
    /// held. Handles of this disk go on writing to this disk. `seed` decides what later faults leave behind.
    pub fn after_kill(&self, seed: u64) -> SimDisk {
        SimDisk::from(self.state().after_kill(Random::from_seed(seed)))
    }

    /// The disk after a power loss at this moment; `seed` decides what survived. Handles of this disk go on
    /// writing to this disk.
    pub fn power_loss(&self, seed: u64) -> SimDisk {
        SimDisk::from(self.state().after_power_loss(Random::from_seed(seed)))
    }

    /// Inverts one bit of a file, in both views.
    ///
    /// # Errors
    /// If the file is not there or has no such bit.
    pub fn flip(&self, path: &Path, bit: u64) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.find(path)?;
        let inode = state.inode(inode);
        let (byte, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        let visible = inode.visible.get_mut(byte).ok_or(io::ErrorKind::UnexpectedEof)?;
        *visible ^= mask;
        if let Some(durable) = inode.durable.get_mut(byte) {
            *durable ^= mask;
        }
        for (_, version) in inode.dirty.get_mut(&((byte / SECTOR) as u64)).into_iter().flatten() {
            version[byte % SECTOR] ^= mask;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<State> for SimDisk {
    fn from(state: State) -> SimDisk {
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }
}

#[derive(Debug)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names that are not durable yet, oldest first.
    name_changes: Vec<NameChange>,
    directories: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
    counts: BTreeMap<Op, u64>,
    plans: Vec<Plan>,
    halted: bool,
    capacity: Option<u64>,
    /// Numbers the changes of files, so that a page can be cut off at one moment.
    writes: u64,
    /// Hash of all operations so far.
    trace: u64,
    random: Random,
}

/// One atomic change of the names in a directory.
#[derive(Clone, Debug)]
struct NameChange {
    directory: PathBuf,
    names: Vec<(PathBuf, Option<u64>)>,
}

#[derive(Debug)]
struct Plan {
    op: Option<Op>,
    left: u64,
    fault: Fault,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    visible: Vec<u8>,
    durable: Vec<u8>,
    /// The versions of each sector that is not durable, with the number of the write that made them.
    dirty: BTreeMap<u64, Vec<(u64, [u8; SECTOR])>>,
    /// Lengths since the last sync.
    lengths: Vec<u64>,
    blocks: BTreeSet<u64>,
}

fn broken() -> io::Error {
    io::Error::other("input/output error (simulated)")
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on device (simulated)")
}

impl State {
    /// Counts an operation; the fault that is planned for it, if any.
    fn begin(&mut self, op: Op) -> Option<Fault> {
        *self.counts.entry(op).or_default() += 1;
        self.note(op, &[], &[]);
        if self.halted {
            return Some(Fault::Halt);
        }
        let mut due = None;
        self.plans.retain_mut(|plan| {
            if plan.op.is_some_and(|planned| planned != op) {
                return true;
            }
            if plan.left > 0 {
                plan.left -= 1;
                return true;
            }
            due = Some(plan.fault);
            false
        });
        self.halted = due == Some(Fault::Halt);
        due
    }

    /// Like [`begin`](State::begin), for operations that a fault prevents wholly.
    fn check(&mut self, op: Op) -> io::Result<()> {
        match self.begin(op) {
            None => Ok(()),
            Some(Fault::Full) => Err(full()),
            Some(Fault::Io | Fault::Halt) => Err(broken()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn inode(&mut self, inode: u64) -> &mut Inode {
        self.inodes.entry(inode).or_default()
    }

    fn used(&self) -> u64 {
        let linked: BTreeSet<u64> = self.names.values().copied().collect();
        linked.iter().filter_map(|inode| self.inodes.get(inode)).map(|inode| inode.blocks.len() as u64).sum()
    }

    fn change_names(&mut self, directory: &Path, names: Vec<(PathBuf, Option<u64>)>) {
        apply_names(&mut self.names, &names);
        for (path, inode) in &names {
            self.note(Op::Rename, path.as_os_str().as_encoded_bytes(), &inode.unwrap_or(0).to_le_bytes());
        }
        self.name_changes.push(NameChange { directory: directory.to_owned(), names });
    }

    fn create(&mut self, path: &Path) -> io::Result<u64> {
        let directory = directory_of(path);
        if !self.is_directory(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inode = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(inode, Inode::default());
        self.change_names(directory, vec![(path.to_owned(), Some(inode))]);
        Ok(inode)
    }

    fn is_directory(&self, path: &Path) -> bool {
        path == Path::new("/") || path == Path::new(".") || self.directories.contains(path)
    }

    fn write(&mut self, inode: u64, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.note(Op::Write, &[inode.to_le_bytes(), offset.to_le_bytes()].concat(), bytes);
        let (first, last) = (offset / BLOCK, (offset + bytes.len() as u64 - 1) / BLOCK);
        let mut room = self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()));
        let missing = (first..=last).find(|block| {
            let fits = self.inodes.get(&inode).is_some_and(|inode| inode.blocks.contains(block)) || room > 0;
            if fits && !self.inode(inode).blocks.contains(block) {
                room -= 1;
                self.inode(inode).blocks.insert(*block);
            }
            !fits
        });
        let fits = missing.map_or(bytes.len() as u64, |block| (block * BLOCK).saturating_sub(offset));
        self.writes += 1;
        let number = self.writes;
        self.inode(inode).write(number, offset, &bytes[..fits as usize]);
        if missing.is_some() { Err(full()) } else { Ok(()) }
    }

    fn after_power_loss(&self, mut random: Random) -> State {
        let mut names = self.durable_names.clone();
        let luck = [0.0, 0.5, 1.0][random.below(3) as usize];
        for change in &self.name_changes {
            if random.chance(luck) {
                apply_names(&mut names, &change.names);
            }
        }
        let mut inodes = BTreeMap::new();
        for inode in names.values() {
            if let (false, Some(before)) = (inodes.contains_key(inode), self.inodes.get(inode)) {
                inodes.insert(*inode, before.after_power_loss(self.writes, &mut random));
            }
        }
        State {
            inodes,
            next_inode: self.next_inode,
            durable_names: names.clone(),
            names,
            name_changes: Vec::new(),
            directories: self.directories.clone(),
            locks: BTreeSet::new(),
            counts: BTreeMap::new(),
            plans: Vec::new(),
            halted: false,
            capacity: self.capacity,
            writes: 0,
            trace: self.trace,
            random,
        }
    }

    fn after_kill(&self, random: Random) -> State {
        State {
            inodes: self.inodes.clone(),
            next_inode: self.next_inode,
            names: self.names.clone(),
            durable_names: self.durable_names.clone(),
            name_changes: self.name_changes.clone(),
            directories: self.directories.clone(),
            locks: BTreeSet::new(),
            counts: BTreeMap::new(),
            plans: Vec::new(),
            halted: false,
            capacity: self.capacity,
            writes: self.writes,
            trace: self.trace,
            random,
        }
    }

    /// Takes an operation into the trace: its kind, what it is about, and what it brings.
    fn note(&mut self, op: Op, about: &[u8], bytes: &[u8]) {
        for part in [&self.trace.to_le_bytes()[..], &[op as u8], about, bytes] {
            self.trace =
                self.trace.rotate_left(23) ^ u64::from(crc32c::crc32c_append(self.trace as u32, part));
        }
    }
}

fn apply_names(names: &mut BTreeMap<PathBuf, u64>, changes: &[(PathBuf, Option<u64>)]) {
    for (path, inode) in changes {
        match inode {
            Some(inode) => names.insert(path.clone(), *inode),
            None => names.remove(path),
        };
    }
}

/// The bytes of a sector, with zeros after the end.
fn sector_of(bytes: &[u8], sector: u64) -> [u8; SECTOR] {
    let mut content = [0; SECTOR];
    let start = (sector as usize * SECTOR).min(bytes.len());
    let end = (start + SECTOR).min(bytes.len());
    content[..end - start].copy_from_slice(&bytes[start..end]);
    content
}

/// Puts a sector into `bytes`, as far as they reach.
fn put_sector(bytes: &mut [u8], sector: u64, content: &[u8; SECTOR]) {
    let start = (sector as usize * SECTOR).min(bytes.len());
    let end = (start + SECTOR).min(bytes.len());
    bytes[start..end].copy_from_slice(&content[..end - start]);
}

impl Inode {
    fn touch(&mut self, number: u64, sectors: std::ops::RangeInclusive<u64>) {
        for sector in sectors {
            let content = sector_of(&self.visible, sector);
            self.dirty.entry(sector).or_default().push((number, content));
        }
    }

    fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if end > self.visible.len() {
            self.visible.resize(end, 0);
            self.lengths.push(end as u64);
        }
        self.visible[start..end].copy_from_slice(bytes);
        self.touch(number, (start / SECTOR) as u64..=((end - 1) / SECTOR) as u64);
    }

    fn set_len(&mut self, number: u64, len: u64) {
        let before = self.visible.len();
        self.visible.resize(len as usize, 0);
        self.lengths.push(len);
        if (len as usize) < before {
            self.blocks.retain(|block| block * BLOCK < len);
            self.touch(number, len / SECTOR as u64..=(before as u64 - 1) / SECTOR as u64);
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.visible.len(), 0);
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            if let Some((_, content)) = versions.last() {
                put_sector(&mut self.durable, sector, content);
            }
        }
        self.lengths.clear();
    }

    fn failed_sync(&mut self, random: &mut Random) {
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            match random.below(3) {
                0 => {
                    self.dirty.insert(sector, versions);
                }
                // Clean and readable, and not on the disk.
                1 => {}
                _ => {
                    let content = sector_of(&self.durable, sector);
                    put_sector(&mut self.visible, sector, &content);
                }
            }
        }
    }

    /// What is left: each page, or each sector, as it was at some moment since the last sync.
    fn after_power_loss(&self, writes: u64, random: &mut Random) -> Inode {
        let step = if random.chance(0.5) { 1 } else { SECTORS_OF_PAGE };
        let luck = random.below(4);
        let moment = |random: &mut Random| match (luck, random.below(3)) {
            (0, _) | (2.., 0) => 0,
            (1, _) | (2.., 1) => u64::MAX,
            _ => random.below(writes + 1),
        };
        let lengths: Vec<u64> =
            [self.durable.len() as u64].into_iter().chain(self.lengths.iter().copied()).collect();
        let length = match luck {
            0 => lengths[0],
            1 => lengths[lengths.len() - 1],
            _ => lengths[random.below(lengths.len() as u64) as usize],
        };
        let mut left = self.durable.clone();
        left.resize(length as usize, 0);
        let mut page = None;
        for (sector, versions) in &self.dirty {
            let cut = match page {
                Some((page, cut)) if page == sector / step => cut,
                _ => moment(random),
            };
            page = Some((sector / step, cut));
            if let Some((_, content)) = versions.iter().rev().find(|(number, _)| *number <= cut) {
                put_sector(&mut left, *sector, content);
            }
        }
        let blocks = self.blocks.iter().copied().filter(|block| block * BLOCK < length).collect();
        Inode { visible: left.clone(), durable: left, dirty: BTreeMap::new(), lengths: Vec::new(), blocks }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.check(Op::Open)?;
        let inode = match (state.find(path), mode) {
            (Ok(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(inode), _) => inode,
            (Err(_), OpenMode::Create | OpenMode::CreateNew) => state.create(path)?,
            (Err(error), OpenMode::Read | OpenMode::Write) => return Err(error),
        };
        Ok(Arc::new(SimFile { disk: self.clone(), inode, writable: mode != OpenMode::Read }))
    }

    fn info(&self, path: &Path) -> io::Result<Option<FileInfo>> {
        let mut state = self.state();
        state.check(Op::Info)?;
        if state.is_directory(path) {
            return Ok(Some(FileInfo { id: FileId { device: DEVICE, inode: 0 }, len: 0 }));
        }
        Ok(state.names.get(path).copied().map(|inode| file_info(&mut state, inode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Op::Rename)?;
        let inode = state.find(from)?;
        if !state.is_directory(directory_of(to)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_names(directory_of(to), vec![(from.to_owned(), None), (to.to_owned(), Some(inode))]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Op::Remove)?;
        if state.names.contains_key(path) {
            state.change_names(directory_of(path), vec![(path.to_owned(), None)]);
        }
        Ok(())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Op::CreateDir)?;
        for directory in path.ancestors().filter(|path| !path.as_os_str().is_empty()) {
            if state.names.contains_key(directory) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.directories.insert(directory.to_owned());
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut state = self.state();
        state.check(Op::List)?;
        let names = state.names.keys().chain(&state.directories);
        Ok(names.filter(|name| name.parent() == Some(path)).cloned().collect())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Op::SyncDir)?;
        if !state.is_directory(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (durable, rest) = std::mem::take(&mut state.name_changes)
            .into_iter()
            .partition(|change: &NameChange| change.directory == path);
        state.name_changes = rest;
        for change in durable {
            apply_names(&mut state.durable_names, &change.names);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let mut state = self.state();
        state.check(Op::Lock)?;
        if !state.names.contains_key(path) {
            state.create(path)?;
        }
        if !state.locks.insert(path.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock { disk: self.clone(), path: path.to_owned() })))
    }
}

fn file_info(state: &mut State, inode: u64) -> FileInfo {
    FileInfo { id: FileId { device: DEVICE, inode }, len: state.inode(inode).visible.len() as u64 }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: u64,
    writable: bool,
}

impl SimFile {
    fn writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.check(Op::Read)?;
        let visible = &state.inode(self.inode).visible;
        let start = (offset as usize).min(visible.len());
        let read = buffer.len().min(visible.len() - start);
        buffer[..read].copy_from_slice(&visible[start..start + read]);
        Ok(read)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.writable()?;
        let mut state = self.disk.state();
        match state.begin(Op::Write) {
            None => state.write(self.inode, offset, bytes),
            Some(Fault::Halt) => Err(broken()),
            Some(fault) => {
                let done = state.random.below(bytes.len() as u64 + 1) as usize;
                state.write(self.inode, offset, &bytes[..done])?;
                Err(if fault == Fault::Full { full() } else { broken() })
            }
        }
    }

    fn info(&self) -> io::Result<FileInfo> {
        let mut state = self.disk.state();
        state.check(Op::Info)?;
        Ok(file_info(&mut state, self.inode))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writable()?;
        let mut state = self.disk.state();
        state.check(Op::SetLen)?;
        state.writes += 1;
        let number = state.writes;
        state.inode(self.inode).set_len(number, len);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let result = match state.begin(Op::Sync) {
            None => {
                state.inode(self.inode).sync();
                return Ok(());
            }
            Some(Fault::Halt) => return Err(broken()),
            Some(Fault::Full) => Err(full()),
            Some(Fault::Io) => Err(broken()),
        };
        let mut random = state.random.fork();
        state.inode(self.inode).failed_sync(&mut random);
        result
    }
}
