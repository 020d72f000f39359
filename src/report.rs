//! `tribunal report`: renders the reports of a run again, from its stored evidence and verdict. Nothing is
//! checked.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tribunal_reports::render::{RENDERERS, Renderer, render};
use tribunal_reports::run_dir::RunDir;

use crate::exit;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run directory, such as store/latest
    #[arg(value_name = "RUN_DIR")]
    dir: PathBuf,

    /// Only these reports, separated by commas: file names such as trace.json, or extensions such as html,svg
    #[arg(long, value_name = "FORMATS", value_delimiter = ',')]
    format: Vec<String>,
}

/// `tribunal report`: prints the paths of the files it wrote.
pub(crate) fn run(args: &Args) -> ExitCode {
    let (run, renderers) = match prepare(args) {
        Ok(prepared) => prepared,
        Err(error) => return exit::usage(error),
    };
    let mut code = ExitCode::SUCCESS;
    for (name, rendered) in render(&run, &args.dir, &renderers) {
        match rendered {
            Ok(path) => exit::print_text(&format!("{}\n", path.display())),
            Err(error) => code = exit::harness(anyhow::Error::new(error).context(format!("no {name}"))),
        }
    }
    code
}

fn prepare(args: &Args) -> Result<(RunDir, Vec<Renderer>)> {
    let chosen = |run: &RunDir| -> Result<Vec<Renderer>> {
        if args.format.is_empty() {
            return Ok(RENDERERS.iter().filter(|renderer| renderer.is_made_for(run)).copied().collect());
        }
        let mut renderers = Vec::new();
        for wanted in &args.format {
            let named = RENDERERS.iter().filter(|renderer| is_meant(renderer.name, wanted));
            let before = renderers.len();
            renderers.extend(named.filter(|renderer| renderer.can_be_made_for(run)).copied());
            if renderers.len() == before && cfg!(not(feature = "png")) && wanted.ends_with("png") {
                bail!("--format {wanted}: {}", tribunal_records::features::left_out("png"));
            }
            if renderers.len() == before {
                let names: Vec<&str> = RENDERERS.iter().map(|renderer| renderer.name).collect();
                bail!(
                    "--format: no report of this run is called `{wanted}`: expected one of {}",
                    names.join(", ")
                );
            }
        }
        Ok(renderers)
    };
    if !args.dir.join("verdict.json").is_file() && args.dir.join("history.jsonl").is_file() {
        bail!("{}: not judged yet: `tribunal check` judges what is there", args.dir.display());
    }
    let run = RunDir::load(&args.dir)
        .with_context(|| format!("{}: expected a run directory", args.dir.display()))?;
    let renderers = chosen(&run)?;
    Ok((run, renderers))
}

/// Whether `wanted` means this report: `report.html` is meant by `report.html`, `report` and `html`.
fn is_meant(name: &str, wanted: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let (stem, ending) = file.rsplit_once('.').unwrap_or((file, ""));
    [name, file, stem, ending].contains(&wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_selected_by_its_name_or_extension() {
        for wanted in ["html", "report.html", "report"] {
            assert!(is_meant("report.html", wanted), "{wanted}");
        }
        for wanted in ["plots/rate.svg", "rate.svg", "rate", "svg"] {
            assert!(is_meant("plots/rate.svg", wanted), "{wanted}");
        }
        assert!(!is_meant("report.html", "htm"));
    }
}
