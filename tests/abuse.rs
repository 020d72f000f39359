//! What strangers, accidents and hard machines do to the program.

mod evidence;
mod outcomes;
