//! Servers that were described beforehand: `systems/catalog/`. Each has to be installed; its description says how.

use std::path::Path;
use std::sync::Arc;

use crate::{Described, Entry, Holds, Make, REPLICATED, Unusable};

/// The name of each description's file, the description, and the feature that contains its client, if it is one.
const FILES: [(&str, &str, Option<&str>); 9] = [
    ("zookeeper.toml", include_str!("../catalog/zookeeper.toml"), Some("zookeeper")),
    ("redis.toml", include_str!("../catalog/redis.toml"), None),
    ("redis-sentinel.toml", include_str!("../catalog/redis-sentinel.toml"), None),
    ("nats.toml", include_str!("../catalog/nats.toml"), None),
    ("rabbitmq.toml", include_str!("../catalog/rabbitmq.toml"), Some("amqp")),
    ("postgres.toml", include_str!("../catalog/postgres.toml"), Some("postgres")),
    ("galera.toml", include_str!("../catalog/galera.toml"), Some("mysql")),
    ("ovsdb.toml", include_str!("../catalog/ovsdb.toml"), None),
    ("antietcd.toml", include_str!("../catalog/antietcd.toml"), None),
];

/// The described servers and their variants, in the order of the listing. What this machine or this build lacks shows
/// when one is made.
///
/// # Panics
/// Never: a test reads them all.
pub fn systems() -> Vec<Entry> {
    let described = FILES.iter().map(|(file, text, feature)| match feature {
        Some(feature) if !is_built(feature) => left_out(file, text, feature),
        _ => Described::entries(text, Path::new(file), false)
            .unwrap_or_else(|wrong| panic!("{file}:{}: {}", wrong.line, wrong.why)),
    });
    described.flatten().collect()
}

fn is_built(feature: &str) -> bool {
    let features = [
        ("zookeeper", cfg!(feature = "zookeeper")),
        ("amqp", cfg!(feature = "amqp")),
        ("postgres", cfg!(feature = "postgres")),
        ("mysql", cfg!(feature = "mysql")),
    ];
    features.contains(&(feature, true))
}

/// A server whose client this build does not contain, and its variants.
fn left_out(file: &'static str, text: &'static str, feature: &'static str) -> Vec<Entry> {
    let about = text.lines().find_map(|line| line.strip_prefix("about = \"")?.strip_suffix('"'));
    let name = file.trim_end_matches(".toml");
    let variants = text.lines().filter_map(|line| line.strip_prefix("[variants.")?.strip_suffix(']'));
    let variants = variants.filter(|it| !it.contains('.')).map(|it| &*format!("{name}:{it}").leak());
    let entry = |name| Entry {
        name,
        about: about.unwrap_or_default(),
        make: Make::Own(Arc::new(move |_| Err(Unusable::LeftOut(feature)))),
        holds: Holds::All,
        // It is not asked anything: whatever the workload, the feature is missing.
        answers: REPLICATED,
        not_by: &[],
        flaws: Vec::new,
    };
    std::iter::once(name).chain(variants).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Switches;

    #[test]
    fn every_description_is_good() {
        let names: Vec<&str> = systems().iter().map(|it| it.name).collect();
        for (name, ..) in FILES {
            assert!(names.contains(&name.strip_suffix(".toml").unwrap()), "{names:?}");
        }
        assert!(systems().iter().all(|it| !it.about.is_empty() && !it.answers.is_empty()));
    }

    #[test]
    fn a_build_without_the_client_says_so() {
        for (file, text, feature) in FILES {
            let Some(feature) = feature else { continue };
            let names = |all: &[Entry]| all.iter().map(|it| it.name).collect::<Vec<_>>();
            let entries = left_out(file, text, feature);
            if is_built(feature) {
                let built = Described::entries(text, Path::new(file), false).unwrap();
                assert_eq!(names(&entries), names(&built));
            }
            for entry in entries {
                assert!(!entry.about.is_empty(), "{file}");
                let why = entry.make(&Switches::default()).map(drop).unwrap_err();
                assert_eq!(why, Unusable::LeftOut(feature));
            }
        }
    }
}
