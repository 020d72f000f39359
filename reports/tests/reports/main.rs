//! Reports of whole run directories.
//!
//! With `KEEP_SCENES=DIR`, every scene is rendered into that directory for inspection. With
//! `UPDATE_SNAPSHOTS=1`, the snapshots are rewritten; read the difference before you keep it.

mod advice;
mod broken;
mod checked;
mod hostile;
mod next;
mod scale;
mod scene;
mod schema;
mod snapshots;
mod terminal;
