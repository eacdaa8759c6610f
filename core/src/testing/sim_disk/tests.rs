use super::*;

const PATH: &str = "/data/file";

fn disk() -> SimDisk {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/data")).unwrap();
    disk
}

fn file(disk: &SimDisk, mode: OpenMode) -> Arc<dyn DiskFile> {
    disk.open(Path::new(PATH), mode).unwrap()
}

fn content(disk: &SimDisk) -> Vec<u8> {
    let file = file(disk, OpenMode::Read);
    let mut bytes = vec![0; file.info().unwrap().len as usize];
    assert_eq!(file.read_at(0, &mut bytes).unwrap(), bytes.len());
    bytes
}

/// Scenario: a file is synced, overwritten, and the power fails. Guarantees: synced bytes survive where nothing
/// was written since; each sector is wholly old or wholly new; all mixtures happen.
#[test]
fn unsynced_sectors_survive_or_not() {
    let disk = disk();
    let file = file(&disk, OpenMode::Create);
    file.write_at(0, &[1; 4 * SECTOR]).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new("/data")).unwrap();
    file.write_at(SECTOR as u64, &[2; 2 * SECTOR]).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let left = content(&disk.power_loss(seed));
        let sectors: Vec<u8> = left.chunks(SECTOR).map(|sector| sector[0]).collect();
        assert!(
            left.chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])),
            "seed {seed}"
        );
        assert_eq!((sectors.len(), sectors[0], sectors[3]), (4, 1, 1), "seed {seed}");
        assert_eq!(left, content(&disk.power_loss(seed)), "seed {seed} repeats");
        seen.insert((sectors[1], sectors[2]));
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert_eq!(content(&disk)[SECTOR], 2, "the disk itself goes on");
}

/// Scenario: a file grows and the power fails before a sync. Guarantees: its length is the old or the new one,
/// and what did not survive reads as zeros.
#[test]
fn unsynced_length_survives_or_not() {
    let disk = disk();
    let file = file(&disk, OpenMode::Create);
    file.sync().unwrap();
    disk.sync_dir(Path::new("/data")).unwrap();
    file.write_at(0, &[7; 3 * SECTOR]).unwrap();
    let left: BTreeSet<Vec<u8>> = (0..200).map(|seed| content(&disk.power_loss(seed))).collect();
    assert!(
        left.contains(&Vec::new())
            && left.contains(&vec![7; 3 * SECTOR])
            && left.contains(&vec![0; 3 * SECTOR])
    );
    file.sync().unwrap();
    assert!((0..50).all(|seed| content(&disk.power_loss(seed)) == vec![7; 3 * SECTOR]));
}

/// Scenario: a file is replaced by rename. Guarantees: before `sync_dir` either file stands there after a power
/// loss, after it the new one; never none.
#[test]
fn names_are_durable_after_sync_dir() {
    let disk = disk();
    let (path, new) = (Path::new(PATH), Path::new("/data/new"));
    for (name, byte) in [(path, 1), (new, 2)] {
        let file = disk.open(name, OpenMode::CreateNew).unwrap();
        file.write_at(0, &[byte]).unwrap();
        file.sync().unwrap();
    }
    assert!((0..50).any(|seed| disk.power_loss(seed).info(path).unwrap().is_none()), "a name needs sync_dir");
    disk.sync_dir(Path::new("/data")).unwrap();
    disk.rename(new, path).unwrap();
    let left: BTreeSet<Vec<u8>> = (0..50).map(|seed| content(&disk.power_loss(seed))).collect();
    assert_eq!(left, BTreeSet::from([vec![1], vec![2]]));
    disk.sync_dir(Path::new("/data")).unwrap();
    assert!((0..50).all(|seed| content(&disk.power_loss(seed)) == [2]));
    disk.remove(path).unwrap();
    disk.remove(path).unwrap();
    assert_eq!(disk.list(Path::new("/data")).unwrap(), Vec::<PathBuf>::new());
}

/// Scenario: a sync fails, the next succeeds. Guarantees: bytes in doubt are not made durable by the next sync.
#[test]
fn failed_sync_loses_bytes_for_good() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/data")).unwrap();
        let file = file(&disk, OpenMode::Create);
        disk.sync_dir(Path::new("/data")).unwrap();
        file.write_at(0, &[9; SECTOR]).unwrap();
        disk.fail(Some(Op::Sync), 0, Fault::Io);
        assert!(file.sync().is_err());
        file.sync().unwrap();
        let visible = content(&disk);
        let left = content(&disk.power_loss(seed));
        assert!(left == [9; SECTOR] || left == [0; SECTOR]);
        lost += usize::from(visible[0] == 9 && left[0] == 0);
    }
    assert!(lost > 5, "readable bytes that are not on the disk: {lost} of 50");
}

/// Scenario: a disk of three blocks. Guarantees: a write that does not fit fails with `StorageFull` after what
/// fits, room comes back when a file is cut or removed, and overwriting needs none.
#[test]
fn capacity_is_enforced() {
    let disk = disk();
    disk.set_capacity(Some(3 * BLOCK));
    let file = file(&disk, OpenMode::Create);
    let error = file.write_at(0, &vec![1; 4 * BLOCK as usize]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!((disk.used(), file.info().unwrap().len), (3 * BLOCK, 3 * BLOCK));
    file.write_at(BLOCK, &[2; 10]).unwrap();
    file.set_len(BLOCK).unwrap();
    file.write_at(BLOCK, &[3; 10]).unwrap();
    assert_eq!(disk.used(), 2 * BLOCK);
    disk.remove(Path::new(PATH)).unwrap();
    assert_eq!(disk.used(), 0);
}

/// Scenario: faults are planned by number and kind. Guarantees: exactly that operation fails, a halt fails all
/// after it, and operations are counted.
#[test]
fn planned_faults_happen_once() {
    let disk = disk();
    let file = file(&disk, OpenMode::Create);
    disk.fail(Some(Op::Write), 1, Fault::Full);
    disk.fail(None, 3, Fault::Io);
    file.write_at(0, &[1]).unwrap();
    assert_eq!(file.write_at(0, &[1]).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.info().unwrap();
    file.info().unwrap_err();
    file.write_at(0, &[1]).unwrap();
    assert_eq!((disk.operations(Some(Op::Write)), disk.operations(None)), (3, 7));
    disk.fail(Some(Op::Sync), 0, Fault::Halt);
    file.sync().unwrap_err();
    file.info().unwrap_err();
    disk.power_loss(1);
    disk.heal();
    file.info().unwrap();
}

/// Scenario: two holders of one lock, a file in a missing directory, a bit flip. Guarantees: as on a real disk.
#[test]
fn locks_directories_and_flips() {
    let disk = disk();
    let lock = disk.lock(Path::new(PATH)).unwrap();
    assert!(lock.is_some() && disk.lock(Path::new(PATH)).unwrap().is_none());
    drop(lock);
    assert!(disk.lock(Path::new(PATH)).unwrap().is_some());
    let missing = disk.open(Path::new("/other/file"), OpenMode::Create).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    file(&disk, OpenMode::Write).write_at(0, &[0, 1]).unwrap();
    assert!(file(&disk, OpenMode::Read).write_at(0, &[0]).is_err());
    disk.flip(Path::new(PATH), 9).unwrap();
    assert_eq!(content(&disk), [0, 3]);
}
