//! What strangers' files, bad servers and hard machines do to a judge: each ends as the documentation says, and nothing is left.

mod daemons;
mod evidence;
mod outcomes;
mod unearned;
