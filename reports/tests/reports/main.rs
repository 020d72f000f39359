//! Reports of whole run directories.
//!
//! With `KEEP_SCENES=DIR` set, every scene is rendered into that directory, to be looked at.

mod scene;

use scene::Stage;
use tribunal_reports::render::render_all;

#[test]
fn every_scene_renders() {
    for name in scene::names() {
        let stage = Stage::of(&name);
        let dir = match std::env::var_os("KEEP_SCENES") {
            Some(keep) => {
                let dir = std::path::Path::new(&keep).join(&name);
                stage.copy_to(&dir);
                dir
            }
            None => stage.dir.path().to_path_buf(),
        };
        for (file, result) in render_all(&stage.run(), &dir) {
            let path = result.unwrap_or_else(|why| panic!("{name}: {file}: {why}"));
            assert!(path.metadata().unwrap().len() > 0, "{name}: {file} is empty");
        }
    }
}
