//! Disks as programs see them: mounted, written through the kernel, with a power failure, with faults, and
//! unmounted.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use tribunal_nemesis::disks::{DataFiles, Disk, DiskBackend, Durability, Ext4, Lossy};
use tribunal_nemesis::{Damage, DiskFault};

/// A mounted disk that unmounts itself at the end of the test; `None` if the machine does not allow it.
fn lossy(at: &Path, durability: Durability) -> Option<Lossy> {
    let disk = Lossy::new(at, durability, 64 << 20);
    allowed(disk.mount()).map(|()| disk)
}

fn allowed(mounted: std::io::Result<()>) -> Option<()> {
    match mounted {
        Ok(()) => Some(()),
        Err(error) => {
            assert!(std::env::var("TRIBUNAL_NO_SKIP").as_deref() != Ok("all"), "cannot mount: {error}");
            eprintln!("skipped: cannot mount: {error}");
            None
        }
    }
}

fn is_mounted(at: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.contains(&*at.to_string_lossy())
}

/// Writes and syncs one file and its directory, then writes without a sync.
fn write_synced_and_unsynced(at: &Path) {
    let mut synced = File::create(at.join("synced")).unwrap();
    synced.write_all(b"told").unwrap();
    synced.sync_all().unwrap();
    File::open(at).unwrap().sync_all().unwrap();
    synced.write_all(&[b'?'; 10_000]).unwrap();
    fs::write(at.join("unsynced"), "unsynced").unwrap();
    assert_eq!(fs::read(at.join("unsynced")).unwrap(), b"unsynced");
}

#[test]
fn a_power_failure_takes_what_was_not_synced_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = lossy(dir.path(), Durability::Ext4) else { return };
    let mut kept = Vec::new();
    for seed in 0..20 {
        write_synced_and_unsynced(dir.path());
        disk.cut_power();
        assert!(fs::write(dir.path().join("dark"), "x").is_err(), "there is no power");
        disk.restore_power(seed).unwrap();
        let synced = fs::read(dir.path().join("synced")).unwrap();
        assert!(synced.starts_with(b"told") && synced[4..].iter().all(|byte| *byte == b'?'));
        assert!(
            synced.len() == 10_004 || synced.len().is_multiple_of(512) || synced.len() == 4,
            "{}",
            synced.len()
        );
        kept.push((synced.len(), dir.path().join("unsynced").exists()));
        for entry in fs::read_dir(dir.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        File::open(dir.path()).unwrap().sync_all().unwrap();
    }
    assert!(kept.iter().filter(|kept| kept.0 == 4).count() >= 5, "{kept:?}");
    assert!(kept.iter().any(|kept| kept.0 > 4), "something may survive: {kept:?}");
    assert!(disk.counters().bytes_lost > 50_000, "{:?}", disk.counters());
    disk.unmount().unwrap();
    assert!(!is_mounted(dir.path()));
}

#[test]
fn a_killed_writer_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = lossy(dir.path(), Durability::Ext4) else { return };
    let path = dir.path().join("a");
    let mut child = std::process::Command::new("sh")
        .args(["-c", "echo written > \"$0\"; kill -9 $$"])
        .arg(&path)
        .spawn()
        .unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), "written\n");
}

/// What servers do to their files, besides reading and writing.
#[test]
fn it_behaves_like_a_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = lossy(dir.path(), Durability::Posix) else { return };
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("a/b/c")).unwrap();
    for number in 0..300 {
        fs::write(at(&format!("a/b/{number}")), vec![number as u8; number * 37]).unwrap();
    }
    assert_eq!(fs::read_dir(at("a/b")).unwrap().count(), 301);
    assert_eq!(fs::read(at("a/b/255")).unwrap(), vec![255; 255 * 37]);
    fs::rename(at("a/b"), at("moved")).unwrap();
    fs::rename(at("moved/1"), at("moved/2")).unwrap();
    assert_eq!(fs::read(at("moved/2")).unwrap(), vec![1; 37]);
    fs::hard_link(at("moved/7"), at("seven")).unwrap();
    std::os::unix::fs::symlink("seven", at("link")).unwrap();
    fs::remove_file(at("moved/7")).unwrap();
    assert_eq!(fs::read(at("link")).unwrap(), vec![7; 7 * 37]);
    assert_eq!(fs::remove_dir(at("moved")).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);

    // A file that is removed while it is open stays readable for its holder.
    let mut held =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(at("held")).unwrap();
    held.write_all(b"still here").unwrap();
    fs::remove_file(at("held")).unwrap();
    let mut bytes = [0; 10];
    held.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"still here");

    // Append, truncate, holes.
    let mut log = OpenOptions::new().append(true).create(true).open(at("log")).unwrap();
    log.write_all(b"one").unwrap();
    log.write_all(b"two").unwrap();
    log.set_len(4).unwrap();
    log.write_all(b"three").unwrap();
    assert_eq!(fs::read(at("log")).unwrap(), b"onetthree");
    log.set_len(1 << 20).unwrap();
    assert_eq!(fs::metadata(at("log")).unwrap().len(), 1 << 20);
    assert_eq!(fs::read(at("log")).unwrap()[9..], vec![0; (1 << 20) - 9]);
    log.try_lock().unwrap();

    fs::remove_dir_all(at("moved")).unwrap();
    disk.cut_power();
    disk.restore_power(2).unwrap();
    assert!(!at("held").exists());
}

#[test]
fn disk_faults_take_effect_and_heal() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = lossy(dir.path(), Durability::Ext4) else { return };
    let path = dir.path().join("a");
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    file.write_all(&[1; 8192]).unwrap();
    let errno = |result: std::io::Result<()>| result.unwrap_err().raw_os_error().unwrap();
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;

    disk.set_fault(Some(DiskFault::Full));
    assert_eq!(errno(file.write_all(&[2; 8192])), ENOSPC);
    file.write_all_at(&[3; 100], 0).expect("that room it has");
    assert_eq!(errno(File::create(dir.path().join("b")).map(drop)), ENOSPC);

    disk.set_fault(Some(DiskFault::Write));
    assert_eq!(errno(file.write_all_at(&[4; 100], 0)), EIO);

    disk.set_fault(Some(DiskFault::Sync));
    assert_eq!(errno(file.sync_all()), EIO);

    disk.set_fault(Some(DiskFault::Read));
    assert_eq!(errno(File::open(&path).unwrap().read_to_end(&mut Vec::new()).map(drop)), EIO);

    disk.set_fault(Some(DiskFault::Slow(300)));
    file.write_all_at(&[5; 100], 0).unwrap();
    let begin = Instant::now();
    file.sync_data().unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(300), "{:?}", begin.elapsed());

    let troubled = disk.counters().requests_troubled;
    assert!(troubled >= 6, "{troubled}");
    disk.set_fault(None);
    file.write_all_at(&[6; 9000], 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(fs::read(&path).unwrap(), [6; 9000]);
    assert_eq!(disk.counters().requests_troubled, troubled);
}

/// What a failed sync should have stored is lost, although programs see it until the power failure, and
/// although a later sync succeeds.
#[test]
fn a_later_sync_does_not_repair_a_failed_one() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = lossy(dir.path(), Durability::Ext4) else { return };
    let path = dir.path().join("a");
    fs::write(&path, "old").unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.sync_all().unwrap();
    file.write_all_at(b"new", 0).unwrap();
    disk.set_fault(Some(DiskFault::Sync));
    file.sync_all().unwrap_err();
    disk.set_fault(None);
    file.sync_all().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    drop(file);
    disk.cut_power();
    disk.restore_power(1).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn cached_data_cannot_be_read_either() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = lossy(dir.path(), Durability::Ext4) else { return };
    let path = dir.path().join("a");
    fs::write(&path, [1; 8192]).unwrap();
    let file = File::open(&path).unwrap();
    let read = || file.read_exact_at(&mut [0; 8192], 0);
    read().unwrap();
    disk.set_fault(Some(DiskFault::Read));
    assert!(read().is_err(), "it was in the cache");
    disk.set_fault(None);
    read().unwrap();
}

/// The bytes are written in place: neither the length nor the time of the file tells the kernel that they are
/// lost.
#[test]
fn cached_data_is_lost_with_the_power() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = lossy(dir.path(), Durability::Ext4) else { return };
    let path = dir.path().join("a");
    let left = (0..10).map(|seed| {
        fs::write(&path, "old").unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.sync_all().unwrap();
        file.write_all_at(b"new", 0).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        drop(file);
        let lost = disk.counters().bytes_lost;
        disk.cut_power();
        disk.restore_power(seed).unwrap();
        let lost = disk.counters().bytes_lost > lost;
        assert_eq!(fs::read_to_string(&path).unwrap(), if lost { "old" } else { "new" });
        lost
    });
    assert!(left.filter(|lost| *lost).count() > 0);
}

/// A memory map of a file shows what is written to it; databases rely on that. (The kernel guarantees it, as
/// long as its cache is not bypassed.)
#[test]
fn two_readers_see_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = lossy(dir.path(), Durability::Ext4) else { return };
    let path = dir.path().join("a");
    fs::write(&path, [0; 10_000]).unwrap();
    let (writer, mut reader) =
        (OpenOptions::new().write(true).open(&path).unwrap(), File::open(&path).unwrap());
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    writer.write_all_at(&[9; 5000], 2000).unwrap();
    let mut seen = [0; 5000];
    reader.read_exact_at(&mut seen, 2000).unwrap();
    assert_eq!(seen, [9; 5000]);
}

#[test]
fn a_real_ext4_loses_power_too() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("mnt");
    fs::create_dir(&at).unwrap();
    let image = dir.path().join("disk.img");
    let made = Ext4::create(&image, &at).and_then(|disk| disk.mount().map(|()| disk));
    let disk = match made {
        Ok(disk) => disk,
        Err(error) => {
            allowed(Err(error));
            return;
        }
    };
    write_synced_and_unsynced(&at);
    disk.cut_power().unwrap();
    disk.restore_power().unwrap();
    assert_eq!(fs::read(at.join("synced")).unwrap(), b"told");
    assert!(!at.join("unsynced").exists() || fs::read(at.join("unsynced")).unwrap().is_empty());
    drop(disk);
    assert!(!is_mounted(&at));
    let loops =
        fs::read_dir("/sys/block").unwrap().map(|entry| entry.unwrap().path().join("loop/backing_file"));
    let left = loops.filter_map(|file| fs::read_to_string(file).ok());
    assert!(
        left.into_iter().all(|file| !file.contains(&*image.to_string_lossy())),
        "its loop device is left"
    );
}

#[test]
fn files_are_damaged_where_the_seed_says() {
    let dir = tempfile::tempdir().unwrap();
    let (data, backup) = (dir.path().join("data"), dir.path().join("backup"));
    fs::create_dir_all(data.join("sub")).unwrap();
    fs::write(data.join("a"), [0; 1000]).unwrap();
    fs::write(data.join("sub/b"), [0; 1000]).unwrap();
    fs::write(data.join("empty"), []).unwrap();
    let disk = Disk::new(DiskBackend::Plain, &data, &backup, DataFiles::all());
    let read = || (fs::read(data.join("a")).unwrap(), fs::read(data.join("sub/b")).unwrap());
    let ones = |(a, b): (Vec<u8>, Vec<u8>)| a.iter().chain(&b).map(|byte| byte.count_ones()).sum::<u32>();

    assert!(disk.damage(Damage::Restore, 1).is_err(), "there is no backup");
    disk.backup().unwrap();
    let touched = disk.damage(Damage::BitFlip, 1).unwrap();
    assert_eq!(ones(read()), 1, "{touched}");
    assert_eq!(disk.damage(Damage::BitFlip, 1).unwrap(), touched);
    assert_eq!(ones(read()), 0, "the same bit again");

    let touched = disk.damage(Damage::Truncate, 1).unwrap();
    let (a, b) = read();
    assert!(a.len() + b.len() < 2000, "{touched}");

    assert_eq!(disk.damage(Damage::Wipe, 1).unwrap(), "all 3 files");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
    assert!(disk.damage(Damage::BitFlip, 1).is_err(), "there is nothing to be damaged");

    fs::create_dir(data.join("new")).unwrap();
    fs::write(data.join("new/c"), "c").unwrap();
    fs::write(data.join("newer"), "d").unwrap();
    disk.damage(Damage::Restore, 1).unwrap();
    assert_eq!(read(), (vec![0; 1000], vec![0; 1000]));
    assert!(!data.join("new").exists() && !data.join("newer").exists(), "they were not there then");
    assert!(disk.counters().files_damaged >= 6);
}

/// A node cannot start without its configuration.
#[test]
fn files_that_are_no_data_stay_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (data, backup) = (dir.path().join("data"), dir.path().join("backup"));
    fs::create_dir_all(data.join("wal")).unwrap();
    for (name, bytes) in [("node.toml", 5000), ("wal/1", 10), ("wal/lock", 5000)] {
        fs::write(data.join(name), vec![0; bytes]).unwrap();
    }
    let which = DataFiles::new(|path| path.starts_with("wal") && !path.ends_with("lock"));
    let disk = Disk::new(DiskBackend::Plain, &data, &backup, which);
    let others = || (fs::read(data.join("node.toml")).unwrap(), fs::read(data.join("wal/lock")).unwrap());
    disk.backup().unwrap();
    for seed in 0..20 {
        assert!(disk.damage(Damage::BitFlip, seed).unwrap().starts_with("wal/1, bit "), "{seed}");
    }
    assert_eq!(disk.damage(Damage::Wipe, 1).unwrap(), "1 file");
    assert!(!data.join("wal/1").exists());
    assert_eq!(others(), (vec![0; 5000], vec![0; 5000]));
    fs::write(data.join("node.toml"), "newer").unwrap();
    disk.damage(Damage::Restore, 1).unwrap();
    assert_eq!(fs::read(data.join("wal/1")).unwrap(), [0; 10]);
    assert_eq!(others(), (b"newer".to_vec(), vec![0; 5000]));
}
