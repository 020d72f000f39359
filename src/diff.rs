//! `tribunal diff`: compares two runs: their trials, their outcomes and their figures.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;
use tribunal_reports::judgement::Judgement;
use tribunal_reports::run_dir::{load_info, load_judgement};
use tribunal_reports::run_info::RunInfo;
use tribunal_reports::stats::Latency;
use tribunal_reports::summary;
use tribunal_reports::wording::{count, duration, elide, millis, percent};

use crate::exit;
use crate::list::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The first run directory
    #[arg(value_name = "RUN")]
    before: PathBuf,

    /// The second run directory
    #[arg(value_name = "RUN")]
    after: PathBuf,
}

/// `tribunal diff`. It exits with 0 whatever the runs say.
pub(crate) fn run(args: &Args) -> ExitCode {
    match compared(args) {
        Ok(text) => {
            exit::print_text(&text);
            ExitCode::SUCCESS
        }
        Err(error) => exit::usage(error),
    }
}

/// What a run says of itself.
struct Side {
    info: RunInfo,
    judgement: Judgement,
}

impl Side {
    fn load(dir: &Path) -> Result<Side> {
        Ok(Side { info: load_info(dir)?, judgement: load_judgement(dir)? })
    }
}

fn compared(args: &Args) -> Result<String> {
    let (a, b) = (Side::load(&args.before)?, Side::load(&args.after)?);
    let name = |path: &Path| path.display().to_string();
    let mut rows = vec![[String::new(), name(&args.before), name(&args.after), String::new()]];
    rows.extend(trial(&a, &b));
    rows.extend(outcome(&a, &b));
    rows.extend(figures(&a, &b));
    Ok(table(&rows))
}

type Row = [String; 4];

fn row(what: &str, a: String, b: String) -> Row {
    [what.to_string(), a, b, String::new()]
}

/// The keys of the trials that differ; the seed always.
fn trial(a: &Side, b: &Side) -> Vec<Row> {
    let keys = |side: &Side| side.info.spec.as_ref().map(|spec| spec.to_map()).unwrap_or_default();
    let (of_a, of_b) = (keys(a), keys(b));
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "–".to_string(),
        Some(Value::String(text)) => elide(text, 40),
        Some(other) => elide(&other.to_string(), 40),
    };
    let differs = |key: &&String| key.as_str() == "seed" || of_a.get(*key) != of_b.get(*key);
    let mut rows: Vec<Row> =
        of_a.keys().filter(differs).map(|key| row(key, text(of_a.get(key)), text(of_b.get(key)))).collect();
    let version = |side: &Side| side.info.system_version.clone().unwrap_or_default();
    if version(a) != version(b) {
        rows.push(row("system version", elide(&version(a), 40), elide(&version(b), 40)));
    }
    rows
}

fn outcome(a: &Side, b: &Side) -> Vec<Row> {
    let outcome = |side: &Side| {
        let judgement = &side.judgement;
        format!("{} {}", summary::sign(judgement.outcome), summary::headed_by(judgement, &side.info.model))
    };
    let class = |side: &Side| side.judgement.class().map_or("–".to_string(), |class| elide(class, 40));
    let faults = |side: &Side| {
        let faults = side.judgement.coverage.faults.iter().filter(|fault| fault.effective > 0);
        let each: Vec<String> =
            faults.map(|fault| format!("{} {}", elide(&fault.fault, 30), count(fault.effective))).collect();
        if each.is_empty() { "none".to_string() } else { each.join(", ") }
    };
    vec![
        row("outcome", outcome(a), outcome(b)),
        row("violation", class(a), class(b)),
        row("faults that took effect", faults(a), faults(b)),
    ]
}

fn figures(a: &Side, b: &Side) -> Vec<Row> {
    let rate = |side: &Side| {
        let stats = &side.judgement.stats;
        stats.tally.ok as f64 / (stats.span_ns.max(1) as f64 / 1e9)
    };
    let success = |side: &Side| percent(side.judgement.stats.tally.ok, side.judgement.stats.tally.all());
    let per_second = |side: &Side| format!("{:.0}", rate(side));
    let mut rows = vec![
        row("operations", count(a.judgement.stats.tally.all()), count(b.judgement.stats.tally.all())),
        row("success rate", success(a), success(b)),
        ["ok per second".into(), per_second(a), per_second(b), change(rate(a), rate(b))],
    ];
    for per_f in &a.judgement.stats.by_f {
        let other = b.judgement.stats.by_f.iter().find(|it| it.f == per_f.f);
        let (Some(of_a), Some(of_b)) = (per_f.latency, other.and_then(|it| it.latency)) else { continue };
        let quantiles = |it: Latency| [("p50", it.p50_ns), ("p99", it.p99_ns)];
        for ((name, x), (_, y)) in quantiles(of_a).into_iter().zip(quantiles(of_b)) {
            let what = format!("{} {name}", elide(per_f.f.name(), 20));
            rows.push([what, duration(x), duration(y), change(x as f64, y as f64)]);
        }
    }
    let check =
        |side: &Side| side.judgement.check_cost.map_or("–".to_string(), |cost| millis(cost.took_ms));
    rows.push(row("check", check(a), check(b)));
    rows
}

/// A change in percent; empty if it is below one.
fn change(a: f64, b: f64) -> String {
    match (b / a - 1.0) * 100.0 {
        percent if percent.is_finite() && percent.abs() >= 1.0 => format!("{percent:+.0} %"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_in_percent() {
        assert_eq!([change(100.0, 150.0), change(100.0, 25.0)], ["+50 %", "-75 %"]);
        assert_eq!([change(100.0, 100.5), change(0.0, 5.0)], ["", ""]);
    }
}
