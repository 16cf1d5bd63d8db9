#!/usr/bin/env bash
# The CPU kernels' tests under AddressSanitizer, and those that end in a while under Miri. By hand: it needs rustup's nightly toolchain
# with the components miri and rust-src.
#
#     tests/sanitize.sh            # both
#     tests/sanitize.sh address    # or miri
set -euo pipefail
cd "$(dirname "$0")/kernels_alone"
cp ../../Cargo.lock .
trap 'rm -f Cargo.lock' EXIT
export CARGO_TARGET_DIR=../../target/kernels_alone

address() {
    # A target of its own, so that build scripts run without the sanitizer.
    RUSTFLAGS="-Zsanitizer=address" cargo +nightly test --release --lib \
        --target "$(rustc +nightly -vV | sed -n 's/^host: //p')"
}

# Miri runs a few million times slower than the processor, without vector instructions: tests of large shapes would take days.
miri() {
    for tests in disjoint transpose sums norm flat::tests shape single workers::tests::a_panic; do
        cargo +nightly miri test --lib -- "nn::cpu::$tests"
    done
}

for what in "${@:-address miri}"; do
    for one in $what; do
        "$one"
    done
done
