//! What decides everything that happens in a box: a virtual machine in which a run repeats.

use serde::{Deserialize, Serialize};

/// The identity of a box: two boots with the same identity do the same, instruction by instruction. Hashes are
/// SHA-256, in hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BoxIdentity {
    /// QEMU's version, as it prints it.
    pub qemu_version: String,
    /// Hash of QEMU's executable.
    pub qemu: String,
    /// Hash of the kernel.
    pub kernel: String,
    /// Hash of the image: all files of the guest, with the trial and its seeds.
    pub image: String,
    /// QEMU's arguments, without descriptors and paths of the host.
    pub command: String,
}

impl BoxIdentity {
    /// The names of the parts in which two identities differ.
    pub fn differences(&self, other: &BoxIdentity) -> Vec<&'static str> {
        let parts = [
            ("the version of QEMU", &self.qemu_version, &other.qemu_version),
            ("QEMU's executable", &self.qemu, &other.qemu),
            ("the kernel", &self.kernel, &other.kernel),
            ("the image", &self.image, &other.image),
            ("QEMU's arguments", &self.command, &other.command),
        ];
        parts.iter().filter(|(_, here, there)| here != there).map(|(name, ..)| *name).collect()
    }
}
