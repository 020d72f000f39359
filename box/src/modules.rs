//! The kernel modules that a guest loads, with those that they depend on.

use std::path::{Path, PathBuf};

use object::{Object, ObjectSection};

use crate::BoxError;

/// The files of the wanted modules below the directory of a kernel's modules, those first that others depend on. A
/// module that the kernel lacks is left out: it is built in, or what needs it will say so.
///
/// # Errors
/// When a directory or a module cannot be read.
pub(crate) fn in_order(directory: &Path, wanted: &[&str]) -> Result<Vec<PathBuf>, BoxError> {
    let mut all = Vec::new();
    files(directory, &mut all)?;
    let mut ordered = Vec::new();
    wanted.iter().try_for_each(|name| add(name, &all, &mut ordered))?;
    Ok(ordered)
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) -> Result<(), BoxError> {
    let entries = std::fs::read_dir(directory).map_err(|why| BoxError::file(directory, why))?;
    for entry in entries {
        let path = entry.map_err(|why| BoxError::file(directory, why))?.path();
        if path.is_symlink() {
            continue;
        }
        match path.is_dir() {
            true => files(&path, found)?,
            false if path.extension().is_some_and(|it| it == "ko") => found.push(path),
            false => {}
        }
    }
    Ok(())
}

fn add(name: &str, all: &[PathBuf], ordered: &mut Vec<PathBuf>) -> Result<(), BoxError> {
    let is_it = |path: &&PathBuf| {
        path.file_stem().is_some_and(|stem| stem.to_string_lossy().replace('-', "_") == name)
    };
    let Some(file) = all.iter().find(is_it).filter(|file| !ordered.contains(file)) else { return Ok(()) };
    let bytes = std::fs::read(file).map_err(|why| BoxError::file(file, why))?;
    for other in depends(&bytes).map_err(|why| BoxError::file(file, why))? {
        add(&other, all, ordered)?;
    }
    ordered.push(file.clone());
    Ok(())
}

/// The modules that this one depends on: `depends=` in its section `.modinfo`.
fn depends(bytes: &[u8]) -> Result<Vec<String>, object::Error> {
    let file = object::File::parse(bytes)?;
    let info =
        file.section_by_name(".modinfo").map(|section| section.data()).transpose()?.unwrap_or_default();
    let texts = info.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let depends = texts.filter_map(|text| text.strip_prefix("depends=").map(str::to_owned));
    let names = depends.flat_map(|names| names.split(',').map(str::to_owned).collect::<Vec<_>>());
    Ok(names.filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect())
}
