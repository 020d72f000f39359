//! Reports of whole run directories.

mod scene;

use scene::Stage;

#[test]
fn look() {
    let stage = Stage::of("register-stale-read");
    println!("{}", tribunal_reports::text::render(&stage.run()));
}
