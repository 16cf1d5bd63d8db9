#!/bin/bash
# A million offline steps and 300,000 online ones, by hand on Linux: whether memory, time a step and the files grow with the steps.
#
#     tests/long_run.sh [yarak] [offline steps] [online steps]
#
# Both evaluate before their tenth, so that its memory is counted there too. It trains small networks and looks once a second at memory, CPU time and files. Compared are a tenth of the run and its end; CPU time is
# the process's own, so that others on the machine do not count. What it prints is the table of docs/reliability.md.
set -euo pipefail
cd "$(dirname "$0")/.."
yarak=$(realpath "${1:-target/release/yarak}")
data=$PWD/assets/pendulum-medium-expert.hdf5
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
ticks=$(getconf CLK_TCK)

networks='minibatch: (batch_size: 32), actor: (encoder: Mlp(hidden_sizes: [16])), critic: (encoder: Mlp(hidden_sizes: [16]))'
kept='Checkpoints(every: 10_000, keep: 3, best: None), Reports(every: 1_000), TensorBoard()'
cat > offline.ron <<SCENE
Scene(steps: ${2:-1_000_000}, plugins: [
    Dataset(path: "$data"), Td3Bc($networks), Evaluation(env: "Pendulum-v1", every: 15_000, episodes: 2), $kept
])
SCENE
cat > online.ron <<SCENE
Scene(steps: ${3:-300_000}, plugins: [
    Environments(env: "Pendulum-v1"), Replay(capacity: 20_000), Sac($networks, off_policy: (learning_starts: 1_000)),
    Evaluation(env: "Pendulum-v1", every: 15_000, episodes: 2), $kept
])
SCENE

# step, memory in KiB, CPU ticks, bytes of metrics.jsonl, of TensorBoard's files, of the checkpoints
look() {
    local step memory cpu
    step=$(tail -n 1 "$2/metrics.jsonl" 2>/dev/null | sed -n 's/^{"step": \([0-9]*\).*/\1/p')
    memory=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$1/status" 2>/dev/null)
    cpu=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 12,13 | tr ' ' +)
    if [ -z "$step" ] || [ -z "$memory" ] || [ -z "$cpu" ]; then return; fi
    echo "$step $memory $((cpu)) $(stat -c %s "$2/metrics.jsonl") \
$(cat "$2"/events.out.tfevents.* 2>/dev/null | wc -c) $(du -sb "$2/checkpoints" 2>/dev/null | cut -f 1)"
}

for run in offline online; do
    "$yarak" train "$run.ron" --run "$run" > "$run.log" 2>&1 &
    process=$!
    while kill -0 "$process" 2>/dev/null; do
        look "$process" "$run" >> "$run.txt" || true
        sleep 1
    done
    wait "$process" || { cat "$run.log"; exit 1; }
    steps=$(tail -n 1 "$run/metrics.jsonl" | sed -n 's/^{"step": \([0-9]*\).*/\1/p')
    awk -v run="$run" -v steps="$steps" -v ticks="$ticks" '
        function rate(a, b) { return 1e6 * (cpu[b] - cpu[a]) / ticks / (at[b] - at[a]) }
        function change(a, b) { return sprintf("%+.1f%%", 100 * (b - a) / a) }
        { n++; at[n] = $1; memory[n] = $2; cpu[n] = $3; metrics[n] = $4; events[n] = $5; kept[n] = $6
          if (!early && $1 >= steps / 20) early = n
          if (!tenth && $1 >= steps / 10) tenth = n
          if (!later && $1 >= steps * 3 / 20) later = n
          if (!last && $1 >= steps * 9 / 10) last = n }
        END {
            first = rate(early, later); end = rate(last, n); share = at[n] / at[tenth]
            printf "%s, %d steps: memory %.1f MiB at step %d and %.1f MiB at step %d (%s); ", run, steps, memory[tenth] / 1024, at[tenth], memory[n] / 1024, at[n], change(memory[tenth], memory[n])
            printf "CPU time a step %.1f us around a tenth and %.1f us in the last one (%s); ", first, end, change(first, end)
            printf "metrics.jsonl %d bytes, from a tenth expected %d (%s); TensorBoard %d, expected %d (%s); checkpoints %d bytes at a tenth and %d at the end\n", metrics[n], metrics[tenth] * share, change(metrics[tenth] * share, metrics[n]), events[n], events[tenth] * share, change(events[tenth] * share, events[n]), kept[tenth], kept[n]
        }' "$run.txt"
done
