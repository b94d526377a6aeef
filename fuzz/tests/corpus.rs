//! All targets without libFuzzer: each file of the corpus, and some thousands of files made of them by
//! chance that is the same each time. `REPLYBUS_FUZZ_SEED=7` makes others.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects, in its functions too"
)]

use replybus_fuzz::{TARGETS, Target};
use std::{
    collections::BTreeSet,
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
};

/// Bytes of the largest file that the repository keeps.
const FILE_BYTES_MAX: usize = 8 * 1024;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a target's corpus, by their names.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder().join("corpus").join(target.name)).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let mut files: Vec<_> = files
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    files.sort_unstable();
    files
}

/// Chance that is the same each time: splitmix64.
struct Chance(u64);

impl Chance {
    fn of(target: &Target) -> Self {
        let seed = env::var("REPLYBUS_FUZZ_SEED").map_or(0, |seed| seed.parse().unwrap());
        let name = target.name.bytes();
        Self(name.fold(seed, |seed, byte| {
            seed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
        }))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one, or 0.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap().max(1);
        usize::try_from(self.next() % end).unwrap()
    }

    fn byte(&mut self) -> u8 {
        // Lengths, ends and signs are where readers go wrong.
        const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'\n'];
        match self.below(2) {
            0 => EDGES[self.below(EDGES.len())],
            _ => self.next().to_le_bytes()[0],
        }
    }
}

/// A few changes of a file, of which one can be the end of another.
fn changed(file: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        let end = (at + 1 + chance.below(8)).min(bytes.len());
        match chance.below(7) {
            0 => bytes.insert(at, chance.byte()),
            1 => drop(bytes.drain(at.min(end)..end)),
            2 => bytes.truncate(at),
            3 => bytes.extend_from_within(at.min(end)..end),
            4 => {
                bytes.truncate(at);
                bytes.extend_from_slice(&other[chance.below(other.len() + 1)..]);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = chance.byte();
                }
            }
        }
    }
    bytes
}

/// Runs it, and keeps what it fails of where it can be run again.
fn run(target: &Target, data: &[u8], what: &str) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(data))).is_err() {
        let kept =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-failed", target.name));
        fs::write(&kept, data).unwrap();
        panic!("{} fails of {what}: {}", target.name, kept.display());
    }
}

/// The corpus of one target, and what is made of it.
fn run_all(target: &Target) {
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "{} has no corpus", target.name);
    run(target, &[], "nothing");
    let mut chance = Chance::of(target);
    for (name, file) in &corpus {
        assert!(
            file.len() <= FILE_BYTES_MAX,
            "{}/{name} is large",
            target.name
        );
        run(target, file, name);
        for _ in 0..target.mutants {
            let other = &corpus[chance.below(corpus.len())].1;
            let mutant = changed(file, other, &mut chance);
            run(target, &mutant, &format!("a change of {name}"));
        }
    }
}

#[test]
fn every_target_keeps_its_promises_of_its_corpus_and_of_changes_of_it() {
    thread::scope(|scope| {
        for target in TARGETS {
            let named = thread::Builder::new().name(target.name.to_owned());
            named.spawn_scoped(scope, || run_all(target)).unwrap();
        }
    });
}

#[test]
fn what_is_listed_elsewhere_are_the_targets() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|of| of.name.to_owned()).collect();
    let folders = fs::read_dir(folder().join("corpus")).unwrap();
    let folders = folders.map(|of| of.unwrap().file_name().into_string().unwrap());
    assert_eq!(folders.collect::<BTreeSet<_>>(), targets);
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let workflow = folder().join("../.github/workflows/checks.yml");
    let workflow = fs::read_to_string(workflow).unwrap();
    let (_, matrix) = workflow.split_once("  fuzz:\n").unwrap();
    for name in targets {
        assert!(readme.contains(&format!("`{name}`")), "README.md: {name}");
        let is_listed = |line: &str| line.trim() == format!("- {name}");
        assert!(matrix.lines().any(is_listed), "checks.yml: {name}");
    }
}
