#!/usr/bin/env bash
# The check by hand for a machine with a card. It is no part of `.ci/run`.
#
#   benches/gpu.sh [STEPS] [FEATURE]      2,000 steps and `cuda` if not given; `vulkan` is the other
#
# It needs cargo, a C compiler and the card's driver, and no CUDA toolkit. It builds the program with the feature into a folder of its
# own, so that the ordinary build stays, and then
#   1. lists the devices: the card must be there;
#   2. asks for a card that is not there: a clear error and exit status 2, no panic;
#   3. runs the tests (parity fixtures included) with the feature compiled in: the CPU's numbers must not change;
#   4. runs `tests/device.sh` on the card: parity, checkpoints that travel, runs that repeat, what is copied, launches;
#   5. trains TD3+BC on the card and on the CPU from one seed, and prints steps/s and returns of both. They agree as two float32
#      machines do: the same at first, and in the end only as two seeds do.
# A machine without a card passes 2 and 3, says so, and stops.
set -euo pipefail
cd "$(dirname "$0")/.."
steps="${1:-2000}"
feature="${2:-cuda}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target/$feature}"

step() {
    echo
    echo "== $*"
    "$@"
}

step cargo build --release --features "$feature"
yarak="$CARGO_TARGET_DIR/release/yarak"
step "$yarak" list devices

status=0
step "$yarak" train scenes/pendulum_td3_bc.ron --device "$feature:99" --run "$CARGO_TARGET_DIR/no_such_card" || status=$?
if [ "$status" -ne 2 ]; then
    echo "a card that is not there ended with status $status instead of 2" >&2
    exit 1
fi

step cargo test --release --features "$feature"

# A driver that computes on the processor is no card.
if ! "$yarak" list devices | grep "^ *$feature:0 .*usable" | grep -qv 'never takes it'; then
    echo "no card: nothing more to try here; tests/device.sh takes a software driver" >&2
    exit 0
fi
YARAK_TEST_FEATURE="$feature" YARAK_TEST_DEVICE="$feature" step tests/device.sh
runs="$(mktemp -d)"
trap 'rm -rf "$runs"' EXIT
for device in "$feature" cpu; do
    step "$yarak" train scenes/pendulum_td3_bc.ron --device "$device" --steps "$steps" --run "$runs/$device"
    tail -n 1 "$runs/$device/metrics.jsonl"
done
