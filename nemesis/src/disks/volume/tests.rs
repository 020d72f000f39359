//! Compares the volume with a simple reference that remembers every past state. After a power failure each
//! file, and the directory, must be in one of the states since its last sync.

use proptest::prelude::*;
use rand::SeedableRng;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Unlink(u8),
    Rename(u8, u8),
    Write(u8, u64, usize),
    SetLen(u8, u64),
    Sync(u8),
    DataSync(u8),
    SyncDirectory,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..4u8;
    prop_oneof![
        2 => name.clone().prop_map(Step::Create),
        1 => name.clone().prop_map(Step::Unlink),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        6 => (name.clone(), 0..3000u64, 1..3000usize).prop_map(|(file, at, n)| Step::Write(file, at, n)),
        1 => (name.clone(), 0..3000u64).prop_map(|(file, len)| Step::SetLen(file, len)),
        1 => name.clone().prop_map(Step::Sync),
        1 => name.prop_map(Step::DataSync),
        1 => Just(Step::SyncDirectory),
    ]
}

/// Every state of something, and the index of the first one that a power failure may restore.
#[derive(Debug, Clone)]
struct Past<T> {
    states: Vec<T>,
    synced: usize,
}

impl<T: Clone> Past<T> {
    fn new(first: T) -> Self {
        Past { states: vec![first], synced: 0 }
    }

    fn now(&self) -> T {
        self.states.last().expect("it had a first").clone()
    }

    fn sync(&mut self) {
        self.synced = self.states.len() - 1;
    }

    fn possible(&self) -> &[T] {
        &self.states[self.synced..]
    }
}

struct Pair {
    volume: Volume<()>,
    names: Past<BTreeMap<u8, Ino>>,
    files: BTreeMap<Ino, Past<Vec<u8>>>,
    written: u8,
}

fn text(name: u8) -> OsString {
    format!("f{name}").into()
}

impl Pair {
    fn new(durability: Durability) -> Self {
        let volume = Volume::new(durability, 1 << 30, ());
        Pair { volume, names: Past::new(BTreeMap::new()), files: BTreeMap::new(), written: 0 }
    }

    fn file(&self, name: u8) -> Option<Ino> {
        self.names.now().get(&name).copied()
    }

    fn rename(&mut self, names: BTreeMap<u8, Ino>) {
        self.names.states.push(names);
    }

    fn change(&mut self, ino: Ino, change: FileChange) {
        self.volume.change(ino, change.clone(), false).expect("there is room");
        let past = self.files.get_mut(&ino).expect("it was created");
        // A write may tear at any sector: each part leads to a state.
        let parts = (0..change.sectors()).filter_map(|sectors| change.torn(sectors));
        for part in parts.chain([change.clone()]) {
            let mut content = Content::default();
            content.apply(&FileChange::Write(0, past.now()));
            content.apply(&part);
            past.states.push(content.read(0, u64::MAX));
        }
    }

    fn take(&mut self, step: &Step, durability: Durability) {
        let mut names = self.names.now();
        match *step {
            Step::Create(name) => {
                let created = self.volume.create(ROOT, &text(name), InodeKind::File, ());
                assert_eq!(created.is_ok(), self.file(name).is_none());
                if let Ok(ino) = created {
                    self.files.insert(ino, Past::new(Vec::new()));
                    names.insert(name, ino);
                    self.rename(names);
                }
            }
            Step::Unlink(name) => {
                if self.volume.unlink(ROOT, &text(name)).is_ok() {
                    names.remove(&name).expect("it was there");
                    self.rename(names);
                }
            }
            Step::Rename(from, to) => {
                let renamed = self.volume.rename((ROOT, &text(from)), (ROOT, &text(to)), true);
                assert_eq!(renamed.is_ok(), self.file(from).is_some());
                if let (Some(ino), true) = (names.get(&from).copied(), from != to) {
                    names.remove(&from);
                    names.insert(to, ino);
                    self.rename(names);
                }
            }
            Step::Write(name, at, length) => {
                let Some(ino) = self.file(name) else { return };
                self.written = self.written.wrapping_add(1).max(1);
                self.change(ino, FileChange::Write(at, vec![self.written; length]));
            }
            Step::SetLen(name, length) => {
                if let Some(ino) = self.file(name) {
                    self.change(ino, FileChange::SetLen(length));
                }
            }
            Step::Sync(name) | Step::DataSync(name) => {
                let Some(ino) = self.file(name) else { return };
                self.volume.sync_file(ino, matches!(step, Step::DataSync(_))).expect("it is a file");
                self.files.get_mut(&ino).expect("it was created").sync();
                if matches!(step, Step::Sync(_)) && durability == Durability::Ext4 {
                    self.names.sync();
                }
            }
            Step::SyncDirectory => {
                self.volume.sync_directory(ROOT).expect("it is the root");
                self.names.sync();
            }
        }
    }

    fn read(&mut self) -> (BTreeMap<u8, Ino>, BTreeMap<Ino, Vec<u8>>) {
        let name = |text: &OsString| text.to_str().expect("ASCII")[1..].parse().expect("a number");
        let entries = self.volume.entries(ROOT).expect("the root").map(|(text, ino)| (name(text), ino));
        let names: BTreeMap<u8, Ino> = entries.collect();
        let contents = names.values().map(|&ino| (ino, self.volume.read(ino, 0, u64::MAX).expect("a file")));
        let contents = contents.collect();
        (names, contents)
    }
}

proptest! {
    #[test]
    fn synced_data_survives_and_the_rest_is_a_later_state(
        steps in prop::collection::vec(step(), 0..40),
        strict: bool,
        seed: u64,
        again in prop::collection::vec(step(), 0..10),
    ) {
        let durability = if strict { Durability::Posix } else { Durability::Ext4 };
        let mut pair = Pair::new(durability);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for steps in [steps, again] {
            for step in &steps {
                pair.take(step, durability);
            }
            let (names, contents) = pair.read();
            prop_assert_eq!(&names, &pair.names.now());
            for (ino, content) in &contents {
                prop_assert_eq!(content, &pair.files[ino].now());
            }

            pair.volume.lose_unsynced(&mut rng);

            let (names, contents) = pair.read();
            prop_assert!(pair.names.possible().contains(&names), "{:?} of {:?}", names, pair.names);
            for (ino, content) in &contents {
                prop_assert!(pair.files[ino].possible().contains(content), "file {}", ino);
            }
            let taken: u64 = names.values().map(|&ino| pair.volume.stat(ino).expect("it is there").2).sum();
            prop_assert_eq!(pair.volume.room().0, taken, "what is lost takes up no room");
            pair.names = Past::new(names);
            pair.files = contents.into_iter().map(|(ino, content)| (ino, Past::new(content))).collect();
        }
    }
}

/// Over many seeds: what is left of a directory and of the files in it.
fn outcomes(durability: Durability, story: impl Fn(&mut Volume<()>)) -> BTreeSet<String> {
    let outcome = |seed| {
        let mut volume = Volume::new(durability, 1 << 20, ());
        story(&mut volume);
        volume.lose_unsynced(&mut ChaCha8Rng::seed_from_u64(seed));
        let entries: Vec<_> = volume.entries(ROOT).unwrap().map(|(name, ino)| (name.clone(), ino)).collect();
        let told = entries.iter().map(|(name, ino)| {
            let bytes = volume.read(*ino, 0, 100).unwrap();
            format!("{}={}", name.to_str().unwrap(), String::from_utf8(bytes).unwrap())
        });
        told.collect::<Vec<_>>().join(" ")
    };
    (0..200).map(outcome).collect()
}

fn create(volume: &mut Volume<()>, name: &str) -> Ino {
    volume.create(ROOT, name.as_ref(), InodeKind::File, ()).unwrap()
}

fn write(volume: &mut Volume<()>, ino: Ino, at: u64, text: &str) {
    volume.change(ino, FileChange::Write(at, text.into()), false).unwrap();
}

#[test]
fn a_synced_new_file_keeps_its_entry_on_ext4_but_perhaps_not_by_posix() {
    let story = |volume: &mut Volume<()>| {
        let ino = create(volume, "a");
        write(volume, ino, 0, "x");
        volume.sync_file(ino, true).unwrap();
    };
    assert_eq!(outcomes(Durability::Ext4, story), BTreeSet::from(["a=x".into()]));
    assert_eq!(outcomes(Durability::Posix, story), BTreeSet::from(["".into(), "a=x".into()]));
}

#[test]
fn a_rename_without_a_sync_may_be_undone_but_never_half() {
    let story = |volume: &mut Volume<()>| {
        let old = create(volume, "a");
        write(volume, old, 0, "old");
        volume.sync_file(old, false).unwrap();
        volume.sync_directory(ROOT).unwrap();
        let new = create(volume, "b");
        write(volume, new, 0, "new");
        volume.sync_file(new, false).unwrap();
        volume.sync_directory(ROOT).unwrap();
        volume.rename((ROOT, "b".as_ref()), (ROOT, "a".as_ref()), true).unwrap();
    };
    for durability in [Durability::Ext4, Durability::Posix] {
        assert_eq!(outcomes(durability, story), BTreeSet::from(["a=new".into(), "a=old b=new".into()]));
    }
}

#[test]
fn syncing_a_directory_stores_only_its_changes_and_their_dependencies() {
    // Whether each of two directories has an `x`, after a sync of the first one and a power failure.
    let left = |story: fn(&mut Volume<()>, Ino, Ino)| -> BTreeSet<(bool, bool)> {
        let outcome = |seed| {
            let mut volume = Volume::new(Durability::Posix, 1 << 20, ());
            let [a, b] =
                ["a", "b"].map(|name| volume.create(ROOT, name.as_ref(), InodeKind::Directory, ()).unwrap());
            volume.sync_directory(ROOT).unwrap();
            story(&mut volume, a, b);
            volume.sync_directory(a).unwrap();
            volume.lose_unsynced(&mut ChaCha8Rng::seed_from_u64(seed));
            (volume.lookup(a, "x".as_ref()).is_ok(), volume.lookup(b, "x".as_ref()).is_ok())
        };
        (0..200).map(outcome).collect()
    };
    let beside = left(|volume, a, b| {
        volume.create(b, "x".as_ref(), InodeKind::File, ()).unwrap();
        volume.create(a, "x".as_ref(), InodeKind::File, ()).unwrap();
    });
    assert_eq!(beside, BTreeSet::from([(true, false), (true, true)]));
    let moved = left(|volume, a, b| {
        volume.create(b, "x".as_ref(), InodeKind::File, ()).unwrap();
        volume.rename((b, "x".as_ref()), (a, "x".as_ref()), true).unwrap();
    });
    assert_eq!(moved, BTreeSet::from([(true, false)]));
}

#[test]
fn a_later_sync_does_not_store_what_a_failed_one_lost() {
    let story = |volume: &mut Volume<()>| {
        let ino = create(volume, "a");
        volume.sync_file(ino, false).unwrap();
        volume.sync_directory(ROOT).unwrap();
        write(volume, ino, 0, "1");
        volume.fail_sync(ino).unwrap();
        assert_eq!(volume.read(ino, 0, 9).unwrap(), b"1", "programs go on to see it");
        volume.sync_file(ino, false).unwrap();
    };
    assert_eq!(outcomes(Durability::Ext4, story), BTreeSet::from(["a=".into()]));
}

#[test]
fn unsynced_writes_tear_at_sectors() {
    let mut lengths = BTreeSet::new();
    for seed in 0..200 {
        let mut volume = Volume::new(Durability::Ext4, 1 << 20, ());
        let ino = create(&mut volume, "a");
        volume.sync_file(ino, false).unwrap();
        write(&mut volume, ino, 0, &"x".repeat(2000));
        volume.lose_unsynced(&mut ChaCha8Rng::seed_from_u64(seed));
        lengths.insert(volume.stat(ino).unwrap().1);
    }
    assert_eq!(lengths, BTreeSet::from([0, 512, 1024, 1536, 2000]));
}

#[test]
fn beyond_the_maximum_the_oldest_unsynced_writes_are_stored() {
    const MIB: u64 = 1 << 20;
    let left = |written_mib: u64| -> BTreeSet<u64> {
        let outcome = |seed| {
            let mut volume = Volume::new(Durability::Ext4, 1 << 30, ());
            let ino = create(&mut volume, "a");
            volume.sync_file(ino, false).unwrap();
            for at in 0..written_mib {
                let change = FileChange::Write(at * MIB, vec![1; MIB as usize]);
                volume.change(ino, change, false).unwrap();
            }
            let lost = volume.lose_unsynced(&mut ChaCha8Rng::seed_from_u64(seed)).bytes;
            let length = volume.stat(ino).unwrap().1;
            assert_eq!(lost + length, written_mib * MIB);
            length
        };
        (0..6).map(outcome).collect()
    };
    let max_mib = UNSYNCED_MAX / MIB;
    assert_eq!(left(max_mib).first(), Some(&0), "all of it is at stake");
    assert_eq!(left(max_mib + 1).first(), Some(&(max_mib / 2 * MIB)), "only the newer half is");
}

#[test]
fn a_full_disk_refuses_only_writes_that_need_space() {
    let mut volume = Volume::new(Durability::Ext4, 4 * PAGE, ());
    let ino = create(&mut volume, "a");
    volume.change(ino, FileChange::Reserve(0..2 * PAGE), false).unwrap();
    assert_eq!(volume.change(ino, FileChange::Write(2 * PAGE, vec![1]), true), Err(Errno::ENOSPC));
    volume.change(ino, FileChange::Write(PAGE, vec![1; 10]), true).unwrap();
    assert_eq!(
        volume.change(ino, FileChange::Write(0, vec![1; 5 * PAGE as usize]), false),
        Err(Errno::ENOSPC)
    );
    volume.unlink(ROOT, "a".as_ref()).unwrap();
    volume.sync_directory(ROOT).unwrap();
    assert_eq!(volume.room(), (0, 4));
}
