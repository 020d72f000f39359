//! Recorded histories with known verdicts: the folders of `histories/` in this crate.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tribunal_checker::formats;
use tribunal_checker::generate::Object;

use crate::cell::Item;

/// The histories of each folder. `verdicts.txt` lists them: file, model, verdict. Histories of models without
/// an implementation for the rival checker are left out.
pub(crate) fn folders() -> Result<BTreeMap<String, Vec<Item>>, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("histories");
    let list = directory.join("verdicts.txt");
    let list = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let mut folders: BTreeMap<String, Vec<Item>> = BTreeMap::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [file, model, verdict] = fields[..] else { continue };
        let object = match model {
            "register" | "cas-register" => Object::Register,
            "counter" => Object::Counter,
            "queue" => Object::Queue,
            "set" => Object::Set,
            "mutex" => Object::Mutex,
            "log" => Object::Log,
            "kv" => Object::Kv,
            _ => continue,
        };
        let bytes = fs::read(directory.join(file)).map_err(|error| format!("{file}: {error}"))?;
        let reading = formats::read(&bytes[..], None, &formats::Options::default());
        let history = reading.map_err(|error| format!("{file}: {error}"))?.history;
        let folder = file.split('/').next().unwrap_or_default().to_owned();
        folders.entry(folder).or_default().push(Item { history, object, legal: verdict == "linearizable" });
    }
    Ok(folders)
}
