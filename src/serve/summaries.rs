//! Cached summaries of the runs, read again only if a run has changed: verdicts are large, and a store has
//! many runs.

use std::collections::HashMap;
use std::path::Path;
use std::time::SystemTime;

use tribunal_reports::runs::RunSummary;

/// Cached summaries by path.
#[derive(Default)]
pub(super) struct Summaries {
    known: HashMap<String, (Stamp, RunSummary)>,
}

/// Modification time and length of a run's two files; `None` if a file is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp([Option<(SystemTime, u64)>; 2]);

impl Stamp {
    fn of(run: &Path) -> Stamp {
        Stamp(["run.json", "verdict.json"].map(|name| {
            let meta = std::fs::metadata(run.join(name)).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        }))
    }
}

impl Summaries {
    /// The summary of a run.
    pub(super) fn of(&mut self, store: &Path, path: &str) -> RunSummary {
        let stamp = Stamp::of(&store.join(path));
        if let Some((known, summary)) = self.known.get(path)
            && *known == stamp
        {
            return summary.clone();
        }
        let summary = RunSummary::load(store, path);
        self.known.insert(path.to_string(), (stamp, summary.clone()));
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_changed_run_is_read_again() {
        let store = tempfile::tempdir().unwrap();
        let run = store.path().join("register/a");
        std::fs::create_dir_all(&run).unwrap();
        let mut summaries = Summaries::default();
        assert!(summaries.of(store.path(), "register/a").sentence.starts_with("run.json"));

        let write = |seed: u64, at: u64| {
            std::fs::write(run.join("run.json"), format!("{{\"schema_version\":1,\"seed\":{seed}}}"))
                .unwrap();
            let file = std::fs::File::options().append(true).open(run.join("run.json")).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(at)).unwrap();
        };
        write(7, 1);
        assert_eq!(summaries.of(store.path(), "register/a").seed, 7);
        write(8, 1); // same length and modification time: treated as unchanged
        assert_eq!(summaries.of(store.path(), "register/a").seed, 7);
        write(9, 2);
        assert_eq!(summaries.of(store.path(), "register/a").seed, 9);
    }
}
