//! Servers that were described beforehand: `systems/catalog/`. Each has to be installed; its description says how.

use std::path::Path;

use crate::{Described, Entry};

/// The name of each description's file, and the description.
const FILES: [(&str, &str); 9] = [
    ("zookeeper.toml", include_str!("../catalog/zookeeper.toml")),
    ("redis.toml", include_str!("../catalog/redis.toml")),
    ("redis-sentinel.toml", include_str!("../catalog/redis-sentinel.toml")),
    ("nats.toml", include_str!("../catalog/nats.toml")),
    ("rabbitmq.toml", include_str!("../catalog/rabbitmq.toml")),
    ("postgres.toml", include_str!("../catalog/postgres.toml")),
    ("galera.toml", include_str!("../catalog/galera.toml")),
    ("ovsdb.toml", include_str!("../catalog/ovsdb.toml")),
    ("antietcd.toml", include_str!("../catalog/antietcd.toml")),
];

/// The described servers and their variants, in the order of the listing. What this machine lacks shows when one is
/// made.
///
/// # Panics
/// Never: a test reads them all.
pub fn systems() -> Vec<Entry> {
    let described = FILES.iter().map(|(name, text)| {
        Described::entries(text, Path::new(name), false)
            .unwrap_or_else(|wrong| panic!("{name}:{}: {}", wrong.line, wrong.why))
    });
    described.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_description_is_good() {
        let names: Vec<&str> = systems().iter().map(|it| it.name).collect();
        for (name, _) in FILES {
            assert!(names.contains(&name.strip_suffix(".toml").unwrap()), "{names:?}");
        }
        assert!(systems().iter().all(|it| !it.about.is_empty() && !it.answers.is_empty()));
    }
}
