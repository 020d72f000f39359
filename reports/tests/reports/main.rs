//! Reports of whole run directories.
//!
//! With `KEEP_SCENES=DIR` set, every scene is rendered into that directory, to be looked at. With
//! `UPDATE_SNAPSHOTS=1` the snapshots are written anew; read the difference before you keep it.

mod broken;
mod checked;
mod hostile;
mod scale;
mod scene;
mod schema;
mod snapshots;
