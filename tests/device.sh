#!/usr/bin/env bash
# Everything that a card does, without a card: on Mesa's driver that computes on the processor, by the kernels that cards run.
#
#   tests/device.sh             all of it
#   tests/device.sh short       parity with the references and with the processor, and what is copied
#
# It needs cargo, a C compiler and Mesa's driver (`apt-get install mesa-vulkan-drivers`), and builds with the feature `vulkan` into a
# folder of its own, so that the ordinary build stays. YARAK_TEST_DEVICE names another device, such as `vulkan:1`; `benches/gpu.sh` runs
# this file on a real card. Without a driver it says so and ends with status 77.
set -euo pipefail
cd "$(dirname "$0")/.."
part="${1:-all}"
feature="${YARAK_TEST_FEATURE:-vulkan}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target/$feature}"
if [ -z "${YARAK_TEST_DEVICE:-}" ]; then
    export YARAK_TEST_DEVICE=vulkan
    if [ -z "${VK_ICD_FILENAMES:-}" ]; then
        driver="$(find /usr/share/vulkan/icd.d -name 'lvp_icd*.json' 2>/dev/null | head -n 1)"
        if [ -z "$driver" ]; then
            echo "skipped: no software driver for Vulkan is here (apt-get install mesa-vulkan-drivers)"
            exit 77
        fi
        export VK_ICD_FILENAMES="$driver"
    fi
fi
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

step() {
    echo
    echo "== $* (after $SECONDS s)"
    "$@"
}

# CARGO_ARGUMENTS: more of them, such as `--config`.
# shellcheck disable=SC2086
build() {
    step cargo "$@" ${CARGO_ARGUMENTS:-} --release --features "$feature"
}

build build --bin yarak
yarak="$CARGO_TARGET_DIR/release/yarak"
step "$yarak" list devices
"$yarak" list devices | grep -q "^ *$feature:0 .*usable" || {
    echo "skipped: $feature has no device here"
    exit 77
}

# The path of the tests that were built, of this name.
built() {
    realpath "$(sed -n "s/.*(\\(.*$1-[^)]*\\)).*/\\1/p" "$work/built" | tail -n 1)"
}
build test --lib --no-run 2>&1 | tee "$work/built"
kernels="$(built yarak)"
build test --test learning --no-run 2>&1 | tee "$work/built"
tests="$(built learning)"

# Our kernels, against Burn's operations and the processor's; and modules that are moved to a device.
step "$kernels" the_kernels_of_a_card a_step_of_adam values_are_added_up the_costs_of_errors products_on_a_card a_layer_of_burns \
    a_module_keeps_its_values the_gradient_of_gelu

# The references, for every algorithm that has one.
step "$tests" parity:: offline_family:: --nocapture
# Ten steps of every algorithm as on the processor; saved here and loaded there, and the reverse; repeated and resumed, bit for bit.
step "$tests" trials:: devices:: --nocapture

if [ "$part" = short ]; then
    echo
    echo "the short part passed in $SECONDS s; skipped: the other tests of learning, runs of the program, launches"
    exit 0
fi

# All other tests of what is learned.
step "$tests"

# A run of the program: twice, resumed in the middle, and played on the processor.
train() {
    step "$yarak" train scenes/pendulum_td3_bc.ron --device "$YARAK_TEST_DEVICE" --run "$work/$1" --steps "$2" \
        --set Checkpoints.every=100 "${@:3}"
}
train once 200
train again 200
train cut 100
train cut 200 --resume auto
for other in again cut; do
    for file in "$work"/once/checkpoints/step_000000200/*.safetensors; do
        cmp "$file" "$work/$other/checkpoints/step_000000200/$(basename "$file")"
    done
done
echo "the same bits twice, and resumed"
step "$yarak" eval "$work/once" --device cpu --json
step "$yarak" eval "$work/once" --device "$YARAK_TEST_DEVICE" --json

# Launches of a gradient step, out of CubeCL's log: of 64 steps, by two runs that differ in them alone.
cat > "$work/cubecl.toml" <<EOF
[profiling]
logger = { level = "minimal", file = "$work/launches.log" }
EOF
launches() {
    rm -f "$work/launches.log"
    (cd "$work" && YARAK_TEST_ALGORITHM="$1" YARAK_TEST_STEPS="$2" "$tests" --ignored --exact \
        devices::steps_whose_launches_are_counted > "$work/said" 2>&1) || { cat "$work/said"; return 1; }
    grep -c Executing "$work/launches.log"
}
echo
echo "kernels launched by a gradient step, the mean of 64:"
for algorithm in "TD3+BC" SAC PPO; do
    few="$(launches "$algorithm" 21)"
    many="$(launches "$algorithm" 85)"
    awk -v name="$algorithm" -v n="$((many - few))" 'BEGIN { printf "  %-8s %.1f\n", name, n / 64 }'
done
echo
echo "all passed in $SECONDS s"
