#!/bin/bash
# What a sweep's driver costs: steps a second of two trials side by side, once as two pinned `yarak train` and once as a sweep of the
# same two trials with `--jobs` as it is by default. Needs two idle cores, which are the first two that this shell may run on.
#
#     benches/sweep_local.sh [PROGRAM] [STEPS] [ROUNDS]
#
# With as many steps as by default a run takes about a minute, so that starting up is below 2% of it. Claimed: at least 0.95.
set -e
cd "$(dirname "$0")/.."
yarak=$(realpath "${1:-target/release/yarak}")
steps=${2:-20000}
rounds=${3:-3}
cores=($(taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' | sed 's/^\([0-9]*\)-\([0-9]*\)$/seq \1 \2/; t; s/^/echo /' | sh | head -2))
[ "${#cores[@]}" -eq 2 ] || { echo "two cores are needed"; exit 2; }
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cat > "$place/sweep.ron" <<EOF
Sweep(
    scene: "$PWD/scenes/pendulum_td3_bc.ron",
    set: ["steps=$steps", "Evaluation.every=$steps", "Evaluation.episodes=1", "Checkpoints.every=$steps"],
    space: { "Td3Bc.alpha": Grid([2.0, 3.0]) },
    needs: (cores: 1, memory: 0.5),
)
EOF
now() { date +%s.%N; }
rate() { awk "BEGIN { printf \"%.0f\", 2 * $steps / ($2 - $1) }"; }
for round in $(seq "$rounds"); do
    began=$(now)
    for trial in 0 1; do
        taskset -c "${cores[$trial]}" "$yarak" train scenes/pendulum_td3_bc.ron --run "$place/alone_${round}_$trial" --threads 1 \
            --set "steps=$steps" --set "Evaluation.every=$steps" --set Evaluation.episodes=1 --set "Checkpoints.every=$steps" \
            --set "Td3Bc.alpha=$((2 + trial)).0" --set seed=0 > /dev/null 2>&1 &
    done
    wait
    alone=$(rate "$began" "$(now)")
    "$yarak" sweep new "$place/sweep.ron" --dir "$place/sweep_$round" > /dev/null
    began=$(now)
    taskset -c "${cores[0]},${cores[1]}" "$yarak" sweep run "$place/sweep_$round" > /dev/null 2>&1
    swept=$(rate "$began" "$(now)")
    echo "two pinned runs $alone steps/s, a sweep of them $swept steps/s: $(awk "BEGIN { printf \"%.3f\", $swept / $alone }")"
done
