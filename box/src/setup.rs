//! `tribunal box setup`: brings QEMU and a kernel, without root.
//!
//! On Debian, packages are downloaded and unpacked below the cache directory; nothing is installed.
//! Elsewhere, and if the user prefers, an installed QEMU and a named kernel are used.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::BoxError;
use crate::elf::on_path;
use crate::modules;
use crate::parts::{Parts, PartsError, directory};

/// The program, and the Debian package that contains it.
const QEMU: (&str, &str) = ("qemu-system-x86_64", "qemu-system-x86");
/// The package that depends on the current kernel for virtual machines.
const KERNEL: &str = "linux-image-cloud-amd64";

/// Where a kernel for x86 says that it is one: Documentation/x86/boot.rst.
const LINUX_MAGIC: (usize, &[u8]) = (0x202, b"HdrS");

/// What the user chose instead of the packages.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// QEMU's executable.
    pub qemu: Option<PathBuf>,
    /// A kernel (`vmlinuz`).
    pub kernel: Option<PathBuf>,
    /// The directory of its modules.
    pub modules: Option<PathBuf>,
}

impl Chosen {
    /// Checks that the chosen files are what they have to be.
    ///
    /// # Errors
    /// The flag, and what was expected.
    pub fn check(&self) -> Result<(), String> {
        if let Some(qemu) = &self.qemu {
            let answer = Command::new(qemu).arg("--version").stdin(Stdio::null()).output();
            let answer = answer.map_err(|why| format!("--qemu: {}: {why}", qemu.display()))?;
            if !String::from_utf8_lossy(&answer.stdout).starts_with("QEMU emulator version") {
                return Err(format!("--qemu: {}: expected {}", qemu.display(), QEMU.0));
            }
        }
        if let Some(kernel) = &self.kernel {
            let bytes =
                std::fs::read(kernel).map_err(|why| format!("--kernel: {}: {why}", kernel.display()))?;
            if bytes.get(LINUX_MAGIC.0..).is_none_or(|rest| !rest.starts_with(LINUX_MAGIC.1)) {
                return Err(format!("--kernel: {}: expected a kernel of Linux (vmlinuz)", kernel.display()));
            }
        }
        match &self.modules {
            Some(modules) if !modules.join("modules.dep").is_file() => {
                let why = "expected the directory of its modules, with modules.dep";
                Err(format!("--modules: {}: {why}", modules.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Brings all parts, tries them, and remembers where they are. `say` gets a line for each step.
///
/// # Errors
/// Which step failed, and what helps.
pub fn set_up(chosen: &Chosen, say: &mut dyn FnMut(&str)) -> Result<Parts, BoxError> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Err(PartsError::Architecture.into());
    }
    let directory = directory()?;
    std::fs::create_dir_all(&directory).map_err(|why| BoxError::file(&directory, why))?;
    let apt = Apt { directory: directory.clone() };
    let (qemu, libraries, firmware) = qemu(chosen, &apt, say)?;
    let (kernel, modules) = kernel(chosen, &apt, say)?;
    let parts = Parts { qemu, libraries, firmware, kernel, modules };
    say(&format!("QEMU     {}: {}", parts.qemu.display(), parts.version()?));
    let has_modules = !modules::in_order(&parts.modules, &["tcp_diag"])?.is_empty();
    let modules = if has_modules { "with modules" } else { "without modules" };
    say(&format!("kernel   {}, {modules}", parts.kernel.display()));
    parts.save()?;
    Ok(parts)
}

type Qemu = (PathBuf, Vec<PathBuf>, Vec<PathBuf>);

fn qemu(chosen: &Chosen, apt: &Apt, say: &mut dyn FnMut(&str)) -> Result<Qemu, BoxError> {
    let (program, package) = QEMU;
    if let Some(qemu) = chosen.qemu.clone().or_else(|| on_path(program.as_ref())) {
        return Ok((qemu, Vec::new(), Vec::new()));
    }
    apt.ensure(program, "name one with --qemu")?;
    let packages = apt.missing(package)?;
    say(&format!("packages {} of {package}", packages.len()));
    let root = apt.unpack(&packages, "qemu")?;
    let found = |places: &[&str]| {
        let all = places.iter().map(|place| root.join(place));
        all.filter(|place| place.is_dir()).collect::<Vec<_>>()
    };
    let libraries = found(&["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"]);
    let firmware = found(&["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"]);
    Ok((root.join("usr/bin").join(program), libraries, firmware))
}

fn kernel(chosen: &Chosen, apt: &Apt, say: &mut dyn FnMut(&str)) -> Result<(PathBuf, PathBuf), BoxError> {
    match (&chosen.kernel, &chosen.modules) {
        (Some(kernel), Some(modules)) => return Ok((kernel.clone(), modules.clone())),
        (None, None) => {}
        _ => return Err(PartsError::Other("--kernel and --modules belong together".into()).into()),
    }
    apt.ensure("a kernel", "name one with --kernel and --modules")?;
    let package = apt.kernel()?;
    say(&format!("package  {package}"));
    let root = apt.unpack(std::slice::from_ref(&package), "kernel")?;
    let version = package.trim_start_matches("linux-image-");
    let places = [root.join("lib/modules"), root.join("usr/lib/modules")];
    let modules = places.into_iter().map(|place| place.join(version)).find(|place| place.is_dir());
    let modules = modules.ok_or_else(|| PartsError::Other(format!("{package} contains no modules")))?;
    Ok((root.join("boot").join(format!("vmlinuz-{version}")), modules))
}

/// Debian's packages, as any user may fetch them.
struct Apt {
    /// Below it, packages are unpacked.
    directory: PathBuf,
}

impl Apt {
    /// # Errors
    /// When this is no Debian: what to do instead.
    fn ensure(&self, wanted: &str, instead: &str) -> Result<(), PartsError> {
        let has = |program: &str| on_path(program.as_ref()).is_some();
        match has("apt-get") && has("dpkg-deb") {
            true => Ok(()),
            false => Err(PartsError::Other(format!(
                "{wanted} is missing, and this system has no Debian packages to take it from: {instead}"
            ))),
        }
    }

    /// The packages that are not installed among a package and those it depends on.
    fn missing(&self, package: &str) -> Result<Vec<String>, BoxError> {
        let words = ["install", "--print-uris", "--no-install-recommends", "-y", package];
        let answer = self.apt("apt-get", &words)?;
        // 'http://.../name_version_amd64.deb' name_version_amd64.deb 12345 SHA256:...
        let text = String::from_utf8_lossy(&answer.stdout);
        let files =
            text.lines().filter(|line| line.starts_with('\'')).filter_map(|line| line.split(' ').nth(1));
        Ok(files.filter_map(|file| file.split('_').next()).map(str::to_owned).collect())
    }

    /// The package of the current kernel.
    fn kernel(&self) -> Result<String, BoxError> {
        let answer = self.apt("apt-cache", &["show", KERNEL])?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let depends = text.lines().find_map(|line| line.strip_prefix("Depends: "));
        let mut names = depends.unwrap_or_default().split([',', ' ']);
        let name = names.find(|name| name.starts_with("linux-image-")).map(str::to_owned);
        let none = || PartsError::Other(format!("{KERNEL} depends on no kernel: name one with --kernel"));
        Ok(name.ok_or_else(none)?)
    }

    /// Downloads packages and unpacks them into a fresh directory.
    fn unpack(&self, packages: &[String], name: &str) -> Result<PathBuf, BoxError> {
        let (root, archives) = (self.directory.join(name), self.directory.join("archives"));
        for directory in [&root, &archives] {
            let _ = std::fs::remove_dir_all(directory);
            std::fs::create_dir_all(directory).map_err(|why| BoxError::file(directory, why))?;
        }
        let words = ["download"].into_iter().chain(packages.iter().map(String::as_str));
        self.apt_in("apt-get", &words.collect::<Vec<_>>(), &archives)?;
        let found = std::fs::read_dir(&archives).map_err(|why| BoxError::file(&archives, why))?;
        for archive in found.flatten().map(|entry| entry.path()) {
            let words: [OsString; 3] = ["-x".into(), archive.into(), root.clone().into()];
            run(Command::new("dpkg-deb").args(words))?;
        }
        let _ = std::fs::remove_dir_all(&archives);
        Ok(root)
    }

    fn apt(&self, program: &str, words: &[&str]) -> Result<Output, BoxError> {
        self.apt_in(program, words, &self.directory)
    }

    /// Runs a command of apt with the lists of the system; if that fails, once more with lists of its own, which any
    /// user may fetch.
    fn apt_in(&self, program: &str, words: &[&str], directory: &Path) -> Result<Output, BoxError> {
        let state = self.directory.join("apt");
        let command = |own: bool| {
            let mut command = Command::new(program);
            command.current_dir(directory).env("LC_ALL", "C");
            command.args(["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]);
            if own {
                for (key, place) in [("Dir::State", "state"), ("Dir::Cache", "cache")] {
                    command.arg("-o").arg(format!("{key}={}", state.join(place).display()));
                }
                command.args(["-o", "Dir::State::status=/var/lib/dpkg/status"]);
            }
            command
        };
        if let Ok(answer) = run(command(false).args(words)) {
            return Ok(answer);
        }
        if !state.exists() {
            for place in ["state/lists/partial", "cache/archives/partial"] {
                let place = state.join(place);
                std::fs::create_dir_all(&place).map_err(|why| BoxError::file(&place, why))?;
            }
            let mut update = command(true);
            if program != "apt-get" {
                update = apt_get(&update);
            }
            run(update.arg("update"))?;
        }
        run(command(true).args(words))
    }
}

/// The same options, for `apt-get`.
fn apt_get(other: &Command) -> Command {
    let mut command = Command::new("apt-get");
    command.args(other.get_args()).env("LC_ALL", "C");
    command
}

fn run(command: &mut Command) -> Result<Output, BoxError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |why: String| PartsError::Setup { command: name.clone(), why };
    let answer = command.output().map_err(|why| failed(why.to_string()))?;
    match answer.status.success() {
        true => Ok(answer),
        false => Err(failed(last_line(&answer.stderr)).into()),
    }
}

fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it failed without a word").trim().into()
}
