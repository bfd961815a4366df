//! A client's verification of a validation bundle, beside the bare sum of the signature checks in it.
//!
//! Each group has two functions, measured in the same run: `ours`, which is [`verify()`] from bytes to belief, and `bare`,
//! the same checks by the same crates on the same inputs, with every key and signature read beforehand. Only their ratio
//! means something on another machine; `scripts/bench` prints it.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops at that line")]

mod signer;
mod world;

use std::hint::black_box;

use countermark_bundle::validation_bundle::TAIL_MAX;
use countermark_bundle::verify::verify;
use criterion::Criterion;
use signer::Check;
use world::{Handed, bundle_with_tail, now};

fn main() {
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    bundle(&mut criterion, 0);
    bundle(&mut criterion, TAIL_MAX);
    criterion.final_summary();
}

/// A bundle whose tail is so many certified statements that are not active: the dearest entries that a tail can have.
fn bundle(criterion: &mut Criterion, tail: usize) {
    let Handed { bundle, trust, checks } = bundle_with_tail(tail);
    let (floor, now) = (trust.initial_floor(), now());
    let ours = || verify(black_box(&bundle), None, &trust, &floor, now).unwrap();
    let verified = ours().store(|_| Ok::<_, ()>(())).unwrap();
    assert_eq!(verified.statement().statement().fleets[0].members.len(), 3);
    assert_eq!(verified.witnesses().len(), 3);

    let subject = format!("bundle of {} bytes, tail of {tail}, {} signatures", bundle.len(), checks.len());
    let mut group = criterion.benchmark_group(subject);
    group.bench_function("ours", |bencher| bencher.iter(ours));
    group.bench_function("bare", |bencher| bencher.iter(|| checks.iter().for_each(Check::verify)));
    group.finish();
}
