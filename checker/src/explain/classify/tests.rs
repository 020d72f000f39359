//! Every sentence once, exactly as users read it.

use super::*;
use crate::explain::sample::history;
use crate::op::F;

/// The sentence about a history. The counterexample is the whole history except for invocations and
/// completions after the completion of its line marked `!`.
fn said(subject: Subject, lines: &str) -> String {
    let ops = history(&lines.replace('!', ""));
    let part = Recorded::new(subject, &ops, |op| op.f == F::Read);
    let last = lines.lines().find(|line| line.contains('!')).map(|line| history(&line.replace('!', "")));
    let cut = last.and_then(|ops| ops[0].completed).unwrap_or(Nanos::MAX);
    let sub = Sub::whole(&part).cut_at(&part, cut);
    match Case::new(&part, &sub).classify() {
        Some(Finding { class, sentence, named, .. }) => {
            assert!(!named.is_empty(), "a sentence names operations");
            format!("{class}: {sentence}")
        }
        None => "no pattern".to_owned(),
    }
}

#[test]
fn registers() {
    let said = |lines| said(Subject::Register, lines);
    assert_eq!(
        said("1 write 4 @ 10..20\n 3 read -> 9 @ 30..40"),
        "never-written: process 3's `read → 9` on k returned 9, which nobody ever wrote"
    );
    assert_eq!(
        said("3 read -> 5 @ 30..40!\n 1 write 5 @ 81..90"),
        "from-the-future: process 3's `read → 5` on k returned 5 before it was written: process 1's \
         `write 5` began \
         41 ms after that"
    );
    assert_eq!(
        said("1 write 638 @ 10..20 fail\n 3 read -> 638 @ 30..40"),
        "aborted-read: process 3's `read → 638` on k returned 638, but process 1's `write 638` had been \
         reported as \
         failed 10 ms before it began"
    );
    assert_eq!(
        said("0 write 3 @ 31..40\n 1 write 4 @ 395..421\n 3 read -> 3 @ 470..481!\n 4 read -> 4 @ 490..495"),
        "stale-read: process 3's `read → 3` on k is stale: process 1's `write 4` had completed 49 ms \
         before this read \
         began, and nobody wrote 3 again in between; process 4's `read → 4` saw it, or a later change, \
         9.0 ms afterwards"
    );
    assert_eq!(
        said("1 write 4 @ 0..21\n 4 read -> 4 @ 30..36\n 3 read -> nil @ 70..81"),
        "missed-write: process 3's `read → nil` on k misses process 1's `write 4`, which had completed 49 \
         ms before this \
         read began, and nobody wrote nil again in between",
        "it was there before, but nobody looked afterwards"
    );
    assert_eq!(
        said(
            "0 write 3 @ 1..4\n 1 write 4 @ 9..20\n 2 read -> 4 @ 21..22\n 5 cas 3 7 -> true @ 25..30!\n \
             2 read -> 4 @ 31..32"
        ),
        "stale-read: process 5's `cas 3→7` on k found a stale value: process 1's `write 4` had completed \
         5.0 ms before \
         it began, and nobody wrote 3 again in between; process 2's `read → 4` saw it, or a later change, \
         1.0 ms afterwards"
    );
    assert_eq!(
        said(
            "0 write 3 @ 1..4\n 1 write 4 @ 9..20\n 2 read -> 3 @ 32..35!\n 3 read -> 3 @ 40..45\n 2 \
             write 5 @ 50.."
        ),
        "lost-write: process 1's `write 4` on k was acknowledged, but is lost: process 2's `read → 3`, 12 \
         ms later, does \
         not show it, and neither does the one later observation"
    );
    assert_eq!(
        said("0 write 3 @ 1..4\n 1 write 4 @ 9..\n 4 read -> 4 @ 11..20\n 3 read -> 3 @ 32..35"),
        "non-monotonic-reads: process 3's `read → 3` on k went back in time: process 4's `read → 4` had \
         completed \
         12 ms before it began, and nobody wrote 3 in between"
    );
    assert_eq!(
        said(
            "0 write 3 @ 1..90\n 1 write 4 @ 5..20\n 4 read -> 3 @ 4..9\n 4 read -> 4 @ 11..20\n 3 read \
             -> 3 @ 32..35"
        ),
        "non-monotonic-reads: process 3's `read → 3` on k went back in time: process 4's `read → 4` had \
         completed \
         12 ms before it began, and nobody wrote 3 in between"
    );
    assert_eq!(
        said("0 write 2 @ 1..4\n 1 cas 2 5 -> true @ 5..9\n 4 cas 2 6 -> true @ 7..11"),
        "split-brain: process 1's `cas 2→5` and process 4's `cas 2→6` on k both succeeded from the same \
         2, which was \
         there only once"
    );
    assert_eq!(
        said("0 write 1 @ 0..9\n 1 write 2 @ 0..9\n 2 read -> 1 @ 10..20\n 3 read -> 2 @ 15..25"),
        "diverging-reads: process 2's `read → 1` and process 3's `read → 2` on k saw different values \
         during the same 5.0 ms, and nobody wrote either value in that time"
    );
    assert_eq!(
        said("0 write 2 @ 1..4\n 3 cas 2 5 -> false @ 6..8\n 1 write 7 @ 2..30\n 4 read -> 2 @ 20..25"),
        "non-monotonic-reads: process 4's `read → 2` on k went back in time: process 3's `cas 2→5 ≠` had \
         found another \
         value 12 ms before it began, and nobody wrote 2 in between"
    );
    assert_eq!(
        said("0 write 2 @ 1..7\n 3 cas 2 5 -> false @ 6..8\n 1 write 7 @ 2..30\n 4 read -> 2 @ 20..25"),
        "no pattern",
        "2 may have been written after the comparison"
    );
    assert_eq!(
        said("0 write 1 @ 1..4\n 1 write 2 @ 5..9\n 3 cas 2 5 -> false @ 21..25"),
        "false-refusal: process 3's `cas 2→5 ≠` on k was refused although the register held 2: process \
         1's `write 2` \
         had completed 12 ms before it began, and nobody wrote anything else in between"
    );
    assert_eq!(
        said("7 cas 8 9 @ 1..\n 3 read -> 9 @ 30..40"),
        "never-written: process 3's `read → 9` on k returned 9, which nobody ever wrote"
    );
}

#[test]
fn counters() {
    let said = |lines| said(Subject::Counter, lines);
    assert_eq!(
        said("1 add 41 @ 1..2\n 1 add 1 @ 3..10\n 2 add 1 @ 4..20\n 3 read -> 41 @ 22..30"),
        "missed-increment: process 3's `read → 41` on k misses an increment: with process 1's `add 1`, the \
         acknowledged sum was 42, 12 ms before it began"
    );
    assert_eq!(
        said("1 add 5 @ 1..2\n 3 read -> 6 @ 4..9!\n 2 add 1 @ 12..20"),
        "phantom-increment: process 3's `read → 6` on k is too high: the additions invoked by the time it \
         returned sum to at most 5; the next, process 2's `add 1`, began 3.0 ms later"
    );
    assert_eq!(
        said("1 add 5 @ 1..2\n 2 add 1 @ 1..3 fail\n 3 read -> 6 @ 4..9"),
        "phantom-increment: process 3's `read → 6` on k is too high: the additions invoked by the time it \
         returned sum to at most 5; process 2's `add 1` was reported as failed"
    );
    assert_eq!(
        said("1 add 1 @ 1..\n 4 read -> 1 @ 2..3\n 3 read -> 0 @ 15..16"),
        "non-monotonic-reads: process 3's `read → 0` on k shows a smaller sum than process 4's `read → 1`, \
         which had completed \
         12 ms before \
         it began, and nobody subtracted anything"
    );
    assert_eq!(
        said("1 add 1 -> 5 @ 1..9\n 2 add 4 @ 1..9\n 3 add 1 -> 5 @ 2..9"),
        "split-brain: process 1's `add 1 → 5` and process 3's `add 1 → 5` on k both led to the sum 5, \
         though each added a positive amount"
    );
    assert_eq!(
        said("1 add 2 @ 1..\n 2 add 2 @ 1..9\n 3 read -> 3 @ 10..12"),
        "impossible-sum: process 3's `read → 3` on k returned an impossible sum: the nearest possible \
         sums are 2 and 4"
    );
    assert_eq!(
        said("1 add 1 -> 1 @ 1..2\n 2 add 1 -> 3 @ 1..20 !\n 3 add 1 -> 4 @ 1..21"),
        "impossible-sum: process 2's `add 1 → 3` on k saw 2, but no addition led to that sum: the nearest \
         smaller one is process \
         1's `add 1 → 1`"
    );
    assert_eq!(
        said("1 add 1 -> 1 @ 1..2\n 2 add 1 -> 3 @ 3..20\n 3 add 1 @ 4.."),
        "no pattern",
        "the unknown addition may have come to 2"
    );
}

#[test]
fn queues() {
    let said = |lines| said(Subject::Queue, lines);
    assert_eq!(
        said("1 dequeue -> 7 @ 10..20"),
        "never-written: process 1's `dequeue → 7` on k returned 7, which nobody ever enqueued"
    );
    assert_eq!(
        said("1 dequeue -> 7 @ 10..20!\n 2 enqueue 7 @ 25..30"),
        "from-the-future: process 1's `dequeue → 7` on k returned 7 before it was enqueued: process 2's \
         `enqueue 7` \
         began 5.0 ms after that"
    );
    assert_eq!(
        said("2 enqueue 7 @ 1..3\n 1 dequeue -> 7 @ 10..20\n 3 dequeue -> 7 @ 15..32"),
        "taken-twice: 7 was taken twice on k: process 1's `dequeue → 7` returned it, and 12 ms later so \
         did process \
         3's `dequeue → 7`, though it had been added only once by then"
    );
    assert_eq!(
        said("2 enqueue 7 @ 1..3\n 1 dequeue -> nil @ 15..20!\n 3 dequeue -> 7 @ 32..40"),
        "false-empty: process 1's `dequeue → nil` on k found nothing, but process 2's `enqueue 7` had \
         completed 12 ms before \
         it began, and 7 was not taken until 12 ms later, by process 3"
    );
    assert_eq!(
        said("2 enqueue 7 @ 1..3\n 1 dequeue -> nil @ 15..20"),
        "missed-element: process 1's `dequeue → nil` on k found nothing, but process 2's `enqueue 7` had \
         completed 12 ms \
         before it began, and 7 had not been taken"
    );
    assert_eq!(
        said("2 enqueue 7 @ 1..3\n 1 dequeue -> nil @ 15..20!\n 3 dequeue -> nil @ 21..22"),
        "lost-element: process 1's `dequeue → nil` on k found nothing, but process 2's `enqueue 7` had \
         completed 12 ms \
         before it began, and 7 was never taken"
    );
    assert_eq!(
        said("2 enqueue 1 @ 1..3\n 2 enqueue 2 @ 8..9\n 3 dequeue -> 2 @ 10..12\n 4 dequeue -> 1 @ 15..20"),
        "out-of-order: 2 overtook 1 on k: process 2's `enqueue 1` had completed 5.0 ms before process 2's \
         `enqueue 2` \
         began, yet process 3's `dequeue → 2` returned 3.0 ms before process 4's `dequeue → 1` began"
    );
    assert_eq!(
        said("2 enqueue 1 @ 1..3\n 2 enqueue 2 @ 8..9\n 3 dequeue -> 2 @ 10..12"),
        "missed-element: process 2's `enqueue 1` on k was acknowledged 5.0 ms before process 2's `enqueue \
         2` began, but \
         1 had not been taken when process 3's `dequeue → 2` took a later element"
    );
    assert_eq!(
        said(
            "2 enqueue 1 @ 1..3\n 2 enqueue 2 @ 8..9\n 3 dequeue -> 2 @ 10..12!\n 3 dequeue -> nil @ 13..14"
        ),
        "lost-element: process 2's `enqueue 1` on k was acknowledged 5.0 ms before process 2's `enqueue \
         2` began, but \
         1 is lost: nobody ever took it, though process 3's `dequeue → 2` took a later element"
    );
}

#[test]
fn sets() {
    let said = |lines| said(Subject::Set, lines);
    assert_eq!(
        said("1 read -> [7] @ 10..20"),
        "never-written: process 1's `read → [7]` on k shows 7, which nobody ever added"
    );
    assert_eq!(
        said("2 add 7 @ 1..3\n 1 read -> [] @ 15..20!\n 1 read -> [7] @ 32..40"),
        "stale-read: process 1's `read → []` on k misses 7: process 2's `add 7` had completed 12 ms \
         before it began, \
         and nobody deleted it; process 1's `read → [7]` saw it, or a later change, 12 ms afterwards"
    );
    assert_eq!(
        said("2 add 7 @ 1..3\n 1 contains 7 -> false @ 15..20"),
        "missed-element: process 1's `contains 7 → false` on k misses 7: process 2's `add 7` had \
         completed 12 ms before \
         it began, and nobody deleted it"
    );
    assert_eq!(
        said("2 add 7 @ 1..3\n 1 contains 7 -> false @ 15..20!\n 2 read -> [] @ 30..31"),
        "lost-element: process 1's `contains 7 → false` on k misses 7: process 2's `add 7` had completed \
         12 ms before \
         it began, and nobody deleted it; nobody has seen it since"
    );
    assert_eq!(
        said("2 add 7 @ 1..\n 1 read -> [7] @ 2..3\n 3 read -> [] @ 15..20"),
        "non-monotonic-reads: process 3's `read → []` on k does not show 7, which process 1's `read → \
         [7]` had shown \
         12 ms before it began; nobody deleted it"
    );
    assert_eq!(
        said("2 add 7 @ 1..2\n 2 delete 7 @ 3..4\n 1 read -> [7] @ 16..20"),
        "stale-read: process 1's `read → [7]` on k still shows 7: process 2's `delete 7` had completed 12 \
         ms before it \
         began, and nobody added it again"
    );
}

#[test]
fn logs() {
    let said = |lines| said(Subject::Log, lines);
    assert_eq!(
        said("1 read -> [7] @ 10..20"),
        "never-written: process 1's `read → [7]` on k shows 7, which nobody ever appended"
    );
    assert_eq!(
        said("2 append 7 @ 1..3\n 1 read -> [7 7] @ 10..20"),
        "duplicated-entry: process 1's `read → [7 7]` on k shows 7 2 times, but process 2's `append 7` \
         appended it \
         only once"
    );
    assert_eq!(
        said("2 append 7 @ 1..3\n 1 read -> [] @ 15..20"),
        "missed-entry: process 1's `read → []` on k misses 7: process 2's `append 7` had completed 12 ms \
         before it \
         began"
    );
    assert_eq!(
        said("2 append 7 @ 1..3\n 1 read -> [] @ 15..20!\n 2 read -> [] @ 25..26"),
        "lost-entry: process 1's `read → []` on k misses 7: process 2's `append 7` had completed 12 ms \
         before it \
         began; no read has shown it since"
    );
    assert_eq!(
        said("2 append 7 @ 1..3\n 2 append 8 @ 15..16\n 1 read -> [8 7] @ 17..20"),
        "out-of-order: process 1's `read → [8 7]` on k shows 8 before 7, but process 2's `append 7` had \
         completed \
         12 ms before process 2's `append 8` began"
    );
    assert_eq!(
        said("1 append 7 @ 1..9\n 2 append 8 @ 1..9\n 3 read -> [7] @ 2..5\n 4 read -> [8 7] @ 10..12"),
        "diverging-reads: process 3's `read → [7]` and process 4's `read → [8 7]` on k show diverging \
         histories: neither is a prefix of the other"
    );
    assert_eq!(
        said("1 append 7 -> 0 @ 1..9\n 2 append 8 -> 0 @ 1..9"),
        "split-brain: process 1's `append 7 → 0` and process 2's `append 8 → 0` on k both got the offset 0"
    );
    assert_eq!(
        said("1 append 7 -> 1 @ 1..9\n 2 append 8 -> 0 @ 21..30"),
        "out-of-order: process 2's `append 8 → 0` on k got an offset before that of process 1's `append 7 \
         → 1`, which \
         had completed 12 ms before it began"
    );
    assert_eq!(
        said("1 append 7 -> 1 @ 1..9\n 3 read -> [7] @ 21..30"),
        "moved-entry: process 3's `read → [7]` on k shows at 0 what process 1's `append 7 → 1` appended at 1"
    );
}

#[test]
fn texts() {
    assert_eq!(
        said(Subject::Text, "1 put a @ 1..2\n 2 append c @ 3..4\n 1 put b @ 5..6\n 3 get -> ac @ 18..20"),
        "stale-read: process 3's `get → ac` on k is stale: process 1's `put b` had completed 12 ms before \
         it began, and the value read does not begin with it"
    );
}

#[test]
fn locks() {
    let said = |lines| said(Subject::Lock, lines);
    assert_eq!(
        said("1 acquire @ 1..10\n 4 acquire @ 20..30\n 4 release @ 60..62\n 1 release @ 240..250"),
        "two-holders: process 1 and process 4 held the lock on k at the same time: process 4's \
         `acquire` succeeded \
         20 ms after process \
         1's `acquire` had, and both held it for 30 ms"
    );
    assert_eq!(
        said("1 acquire -> 5 @ 1..3\n 1 release @ 4..5\n 2 acquire -> 5 @ 15..20"),
        "stale-token: process 2's `acquire → 5` on k got a stale token: process 1's `acquire → 5` had got \
         the same \
         12 ms before it began"
    );
    assert_eq!(
        said("1 acquire @ 1..3\n 2 release @ 15..20"),
        "released-by-stranger: process 2's `release` on k succeeded, though it did not hold the lock: \
         process 1's \
         `acquire` had acquired it 12 ms before it began"
    );
    assert_eq!(
        said("2 release @ 15..20"),
        "released-by-stranger: process 2's `release` on k succeeded, though it did not hold the lock: it \
         had never acquired it"
    );
    assert_eq!(
        said("1 acquire @ 1..3\n 1 release -> false @ 15..20"),
        "false-refusal: process 1's `release → false` on k was refused, though the process held the lock: \
         process 1's \
         `acquire` had succeeded 12 ms before"
    );
    assert_eq!(
        said("1 acquire @ 1..2\n 1 release @ 2..3\n 2 acquire -> false @ 15..20"),
        "refused-though-free: process 2's `acquire → false` on k was refused, though the lock was free: \
         process 1's \
         `release`, the last to release it, had completed 12 ms before"
    );
}

#[test]
fn ids() {
    assert_eq!(
        said(Subject::Ids, "1 generate -> 9 @ 1..3\n 2 generate -> 9 @ 5..15"),
        "duplicate-id: process 2's `generate → 9` returned an id on k that process 1's `generate → 9` had \
         returned \
         12 ms before"
    );
}

#[test]
fn ids_out_of_order() {
    assert_eq!(
        said(Subject::Ids, "1 generate -> 9 @ 1..3\n 2 generate -> 8 @ 15..20"),
        "out-of-order-id: process 2's `generate → 8` on k is smaller than process 1's `generate → 9`, \
         which had \
         completed 12 ms before it began"
    );
}

#[test]
fn replicas() {
    let said = |lines| said(Subject::Replicas, lines);
    assert_eq!(
        said("2 add 7 @ 1..3\n 2 add 8 @ 4..5\n 1 read final -> [] @ 15..20"),
        "lost-element: process 1's final read on k lacks 2 acknowledged elements: 7 8; process 2's `add 7` had \
         completed 12 ms before it began, and no final read shows it"
    );
    assert_eq!(
        said("2 add 7 @ 1..3\n 1 read final -> [7 9] @ 15..20"),
        "never-written: process 1's `read final → [7 9]` on k shows 9, which nobody ever added"
    );
    assert_eq!(
        said("2 add 7 @ 1..\n 1 read final -> [7] @ 12..13\n 3 read final -> [] @ 15..20"),
        "diverged: process 1's `read final → [7]` and process 3's `read final → []` on k have not \
         converged: only the \
         first shows 7, whose addition was never acknowledged"
    );
}

#[test]
fn anything_else() {
    let ops = history("0 write 1 @ 0..9\n 1 write 2 @ 0..9");
    let part = Recorded::new(Subject::Other, &ops, |_| false);
    let case = Case::new(&part, &Sub::whole(&part));
    assert_eq!(
        case.no_order(1, Some((1, "the lock is held"))).sentence,
        "no legal order exists for these 2 operations on k: after 1 of them, process 1's `write 2` cannot \
         come next (the \
         lock is held)"
    );
}

/// The answer to the question whether the missing effect is lost, in a history whose line marked `!` is the
/// stale result. Odd processes use n1, even ones n2.
fn fate(subject: Subject, lines: &str) -> String {
    let mut ops = history(&lines.replace('!', ""));
    for op in &mut ops {
        op.node = Some(if op.process % 2 == 1 { "n1".into() } else { "n2".into() });
    }
    let part = Recorded::new(subject, &ops, |op| op.f == F::Read);
    let marked = lines.lines().find(|line| line.contains('!')).expect("an answer is marked");
    let cut = history(&marked.replace('!', ""))[0].completed.expect("it was answered");
    let sub = Sub::whole(&part).cut_at(&part, cut);
    let case = Case::new(&part, &sub);
    let missing = case.classify().and_then(|finding| finding.missing).expect("an effect is missing");
    let explanation = missing.question(&case).expect("it can be told, or why not");
    format!("{} {}", explanation.question, explanation.answer)
}

#[test]
fn later_observations_decide_between_lost_and_stale() {
    let written = "0 write 3 @ 1..4\n 1 write 4 @ 9..20\n 3 read -> 3 @ 32..35!";
    let said = |after: &str| fate(Subject::Register, &format!("{written}\n {after}"));
    let asked = "Is the effect of process 1's `write 4` lost?";
    let old = |by: &str| format!("{asked} no: {by} afterwards: the result was stale");
    assert_eq!(said("4 read -> 4 @ 40..45"), old("process 4's `read → 4` saw it, or a later change, 5.0 ms"));
    assert_eq!(
        fate(
            Subject::Register,
            "0 write 3 @ 1..4\n 1 write 4 @ 9..20\n 5 write 8 @ 22..25\n 3 read -> 3 @ 32..35!\n 2 read \
             -> 8 @ 40..41"
        ),
        old("process 2's `read → 8` saw it, or a later change, 5.0 ms"),
        "what came after it and before the answer was not lost either"
    );
    assert_eq!(
        said("7 cas 4 9 -> true @ 30..38\n 4 read -> 9 @ 40..45"),
        old("process 4's `read → 9` saw it, or a later change, 5.0 ms"),
        "nobody can make 9 of a 4 that is gone"
    );
    assert_eq!(
        said("4 read -> 3 @ 40..45\n 2 read -> 3 @ 46..47"),
        format!("{asked} yes, as far as was observed: none of 2 later observations shows it")
    );
    assert_eq!(
        said("5 read -> 3 @ 40..45"),
        format!(
            "{asked} unknown: later, only n1 still lacked it, the node that had returned the stale result"
        ),
        "the same node may be behind for long"
    );
    assert_eq!(
        said("7 write 9 @ 36..38\n 4 read -> 9 @ 40..45"),
        format!("{asked} unknown: later observations show only newer values")
    );
    assert_eq!(
        said("4 read -> 3 @ 36..37\n 7 write 9 @ 36..38\n 4 read -> 9 @ 40..45\n 2 read -> 9 @ 46..47"),
        format!(
            "{asked} unknown: the last observation shows a newer value, which hides whether the effect \
             was there"
        ),
        "both nodes may have asked a leader that had not caught up"
    );
    assert_eq!(said("7 write 9 @ 36..38"), format!("{asked} unknown: nothing was observed after that"));
    assert_eq!(
        said("4 read -> 4 @ 34..45"),
        format!("{asked} unknown: nothing was observed after that"),
        "it overlaps"
    );
}

#[test]
fn an_element_of_a_queue_is_lost_once_others_have_passed_it() {
    let put = "1 enqueue 1 @ 0..2\n 1 enqueue 2 @ 3..4\n 4 dequeue -> nil @ 5..6!";
    let said = |after: &str| fate(Subject::Queue, &format!("{put}\n {after}"));
    assert!(said("3 dequeue -> 1 @ 8..9\n 3 dequeue -> 2 @ 10..11").contains("no: process 3's"));
    assert!(said("3 dequeue -> nil @ 8..9").contains("yes, as far as was observed"));
    assert!(
        said("3 dequeue @ 8..")
            .contains("unknown: process 3's `dequeue`, which was not answered, may have taken it")
    );
}

#[test]
fn a_cas_from_an_overwritten_value_is_a_fork_or_a_loss() {
    let forked = "0 write 72 @ 1..4\n 1 cas 72 77 -> true @ 5..8\n 4 cas 72 315 -> true @ 80..90!";
    let said = |after: &str| fate(Subject::Register, &format!("{forked}\n {after}"));
    assert!(said("3 read -> 315 @ 95..96").contains("yes, as far as was observed"));
    assert!(said("3 read -> 77 @ 95..96").contains("no: process 3's `read → 77`"));
}
