//! Compiles the library that is loaded into QEMU (src/preload/clock.rs).

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    let source = "src/preload/clock.rs";
    println!("cargo::rerun-if-changed={source}");
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let library = Path::new(&variable("OUT_DIR")).join("clock.so");
    if variable("CARGO_CFG_TARGET_OS") != "linux" || variable("CARGO_CFG_TARGET_ARCH") != "x86_64" {
        // There is no box on this machine.
        std::fs::write(library, "").expect("OUT_DIR can be written");
        return;
    }
    // QEMU is a program of the host, whatever libc Tribunal is built for.
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition", "2024", "--crate-type", "cdylib", "-C", "opt-level=1", "-C", "panic=abort"]);
    rustc.args(["-C", "strip=symbols", "-o"]).arg(&library).arg(source);
    let compiled = rustc.status().expect("rustc starts");
    assert!(compiled.success(), "cannot compile {source}");
}
