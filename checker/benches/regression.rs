//! Detects performance regressions of the checker: `cargo bench -p tribunal-checker`. The example
//! `bench_table` prints the whole table of benchmarks, with a rival checker.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tribunal_checker::check::{Options, check};
use tribunal_checker::fast::FastPath;
use tribunal_checker::formats::{self, Format};
use tribunal_checker::generate::{Object, Plan, generate};
use tribunal_checker::model::ModelKind;
use tribunal_checker::op::Op;

/// Exact algorithms on 100,000 operations of 10 clients, 30 of them indeterminate.
fn fast_paths(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fast");
    for (path, object) in [
        (FastPath::UniqueRegister, Object::UniqueRegister),
        (FastPath::Counter, Object::Counter),
        (FastPath::Queue, Object::Queue),
        (FastPath::Set, Object::GrowingSet),
        (FastPath::Mutex, Object::Mutex),
        (FastPath::Log, Object::Log),
    ] {
        let plan = Plan { clients: 10, indeterminate: 30, ..Plan::new(object, 100_000) };
        let history = generate(&plan).history;
        let ops: Vec<&Op> = history.ops.iter().collect();
        group.throughput(Throughput::Elements(ops.len() as u64));
        group.bench_function(path.name(), |bencher| bencher.iter(|| path.decide(black_box(&ops))));
    }
    group.finish();
}

/// The search, without a fast path: five values, a legal history and one with a stale read.
fn search(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("search");
    group.sample_size(20);
    for (name, stale_at) in [("legal", None), ("stale", Some(0.5))] {
        let plan = Plan { clients: 10, stale_at, ..Plan::new(Object::Register, 10_000) };
        let history = generate(&plan).history;
        let options = Options { explain: false, ..Options::default() };
        group.throughput(Throughput::Elements(history.ops.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| check(black_box(&history), ModelKind::CasRegister, &options));
        });
    }
    group.finish();
}

/// Reading Tribunal's own format.
fn parse(criterion: &mut Criterion) {
    let history = generate(&Plan { clients: 10, ..Plan::new(Object::Register, 10_000) }).history;
    let mut text = Vec::new();
    formats::write(&mut text, &history, Format::Jsonl).expect("a vector takes any bytes");
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("jsonl", |bencher| {
        bencher.iter(|| formats::read(black_box(&text[..]), None, &formats::Options::default()));
    });
    group.finish();
}

criterion_group!(benches, fast_paths, search, parse);
criterion_main!(benches);
