//! Jobs on several threads, with results that do not depend on scheduling.
//!
//! Jobs start in the order of their numbers, which is the caller's order of importance. A *final* result
//! makes all jobs with higher numbers unnecessary: they are stopped or never started, and their finished
//! results are discarded. Jobs with lower numbers run to their end. So the results are always the same: every
//! result up to the first final one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Runs the jobs 0 to `jobs` - 1. Each gets a flag that becomes true when its result is no longer needed.
pub(crate) fn run_until_final<T: Send>(
    jobs: usize,
    threads: usize,
    job: impl Fn(usize, &AtomicBool) -> T + Sync,
    is_final: impl Fn(&T) -> bool + Sync,
) -> Vec<Option<T>> {
    let results: Vec<Mutex<Option<T>>> = (0..jobs).map(|_| Mutex::new(None)).collect();
    let unwanted: Vec<AtomicBool> = (0..jobs).map(|_| AtomicBool::new(false)).collect();
    let (next, first_final) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let work = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= jobs || i > first_final.load(Ordering::Relaxed) {
                return;
            }
            let result = job(i, &unwanted[i]);
            if is_final(&result) && i < first_final.fetch_min(i, Ordering::Relaxed) {
                unwanted[i + 1..].iter().for_each(|flag| flag.store(true, Ordering::Relaxed));
            }
            *results[i].lock().expect("nobody panics while holding it") = Some(result);
        }
    };
    // The caller's thread works too: with one thread, none is started.
    thread::scope(|scope| {
        (1..threads.min(jobs)).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let kept = first_final.into_inner();
    let result = |(i, result): (usize, Mutex<Option<T>>)| {
        result.into_inner().expect("nobody panicked while holding it").filter(|_| i <= kept)
    };
    results.into_iter().enumerate().map(result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_end_with_the_first_final_one() {
        for threads in [1, 2, 8] {
            let results = run_until_final(100, threads, |i, _| i, |&i| i % 30 == 29);
            let expected: Vec<_> = (0..100).map(|i| (i <= 29).then_some(i)).collect();
            assert_eq!(results, expected, "with {threads} threads");
        }
    }

    #[test]
    fn unneeded_jobs_are_notified() {
        let started = AtomicBool::new(false);
        let wait = |flag: &AtomicBool| {
            while !flag.load(Ordering::Relaxed) {
                thread::yield_now();
            }
        };
        let job = |i: usize, unwanted: &AtomicBool| {
            if i == 0 {
                wait(&started);
            } else {
                started.store(true, Ordering::Relaxed);
                wait(unwanted);
            }
            i
        };
        assert_eq!(run_until_final(2, 2, job, |&i| i == 0), [Some(0), None]);
    }
}
