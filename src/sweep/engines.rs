//! The same sweep for engines that run processes elsewhere: lines for GNU parallel and the like, Slurm's scripts, Kubernetes' Jobs, a
//! command for Ray.
//!
//! Each of them calls `yarak sweep trial DIR N` for every trial once a round, and a round after the other: a trial that was decided
//! against ends at once. Nothing is run here.

use std::path::Path;

use super::state::State;

/// A line for each trial that may go on now.
pub(crate) fn commands(folder: &Path, state: &State) -> Vec<String> {
    let folder = quoted(&folder.display().to_string());
    let line = |trial: usize| format!("yarak sweep trial {folder} {trial}");
    state.ready().into_iter().map(line).collect()
}

/// The command that starts the trials on a Ray cluster, with the package in `python/yarak_ray`.
pub(crate) fn ray(folder: &Path, state: &State) -> String {
    let folder = quoted(&folder.display().to_string());
    let needs = &state.settings.needs;
    format!(
        "python -m yarak_ray {folder} --cpus {} --memory {}",
        needs.cores, needs.memory
    )
}

/// An argument as a shell takes it whole.
pub(crate) fn quoted(argument: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_-./=:,+@%".contains(it);
    match !argument.is_empty() && argument.chars().all(is_plain) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
}

/// Slurm's files by name: an array of trials for each round, and a script that submits them one after the other.
///
/// A job that Slurm is about to end gets SIGTERM a minute before, saves, and is queued again.
pub(crate) fn slurm(folder: &Path, state: &State) -> Vec<(String, String)> {
    let at = quoted(&folder.display().to_string());
    let last = state.progress.len().saturating_sub(1);
    let needs = &state.settings.needs;
    let round = format!(
        "#!/bin/bash\n\
         #SBATCH --job-name=yarak-sweep\n\
         #SBATCH --array=0-{last}\n\
         #SBATCH --ntasks=1\n\
         #SBATCH --cpus-per-task={}\n\
         #SBATCH --mem={}M\n\
         #SBATCH --requeue\n\
         #SBATCH --signal=TERM@60\n\
         #SBATCH --open-mode=append\n\
         #SBATCH --output=slurm-%A_%a.log\n\
         # One round: each trial is brought to its next rung. Partition, account and time are this cluster's: add them above.\n\
         srun yarak sweep trial {at} \"$SLURM_ARRAY_TASK_ID\" --threads {}\n\
         status=$?\n\
         # 130: interrupted and saved; 75: another process is still at this trial.\n\
         if [ \"$status\" -eq 130 ] || [ \"$status\" -eq 75 ]; then\n    \
             scontrol requeue \"${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}\"\n\
         fi\n\
         exit \"$status\"\n",
        needs.cores,
        mebibytes(needs.memory),
        needs.cores
    );
    let rounds = state.plan.rounds.len();
    let submit = format!(
        "#!/bin/bash\n\
         # Submits {rounds} rounds, each when the one before it has ended.\n\
         set -e\n\
         cd \"$(dirname \"$0\")\"\n\
         job=$(sbatch --parsable --chdir=\"$OLDPWD\" round.sh)\n\
         for _ in $(seq 2 {rounds}); do\n    \
             job=$(sbatch --parsable --chdir=\"$OLDPWD\" --dependency=\"afterany:$job\" round.sh)\n\
         done\n\
         echo \"the last round is job $job\"\n"
    );
    vec![
        ("round.sh".to_owned(), round),
        ("submit.sh".to_owned(), submit),
    ]
}

/// Where Kubernetes finds the program and the sweep.
pub(crate) struct Cluster<'a> {
    /// An image with `yarak` in its path.
    pub image: &'a str,
    /// The claim of a volume with the sweep's folder and the data, which is mounted as the working directory.
    pub claim: &'a str,
}

/// Kubernetes' files by name: an Indexed Job for each round, and a script that applies them one after the other.
///
/// Exit status 2, wrong input, fails the trial's index at once; a disruption, 130 (interrupted and saved) and 75 (another process is at
/// it) are no failures.
pub(crate) fn kubernetes(
    folder: &Path,
    state: &State,
    Cluster { image, claim }: &Cluster,
) -> Vec<(String, String)> {
    let at = serde_json::Value::from(folder.display().to_string());
    let (image, claim) = (
        serde_json::Value::from(*image),
        serde_json::Value::from(*claim),
    );
    let needs = &state.settings.needs;
    let trials = state.progress.len();
    let (retries, cores, memory) = (state.settings.retries, needs.cores, mebibytes(needs.memory));
    let job = |round: usize| {
        format!(
            "apiVersion: batch/v1\n\
             kind: Job\n\
             metadata:\n  name: yarak-sweep-round-{round}\n\
             spec:\n  completions: {trials}\n  parallelism: {trials}\n  completionMode: Indexed\n  \
               backoffLimitPerIndex: {retries}\n  maxFailedIndexes: {trials}\n  \
               podFailurePolicy:\n    rules:\n    \
                 - action: FailIndex\n      onExitCodes: {{ containerName: trial, operator: In, values: [2] }}\n    \
                 - action: Ignore\n      onPodConditions: [{{ type: DisruptionTarget }}]\n    \
                 - action: Ignore\n      onExitCodes: {{ containerName: trial, operator: In, values: [75, 130] }}\n  \
               template:\n    spec:\n      restartPolicy: Never\n      terminationGracePeriodSeconds: 60\n      \
                   containers:\n      - name: trial\n        image: {image}\n        workingDir: /sweep\n        \
                     command: [\"yarak\", \"sweep\", \"trial\", {at}, \"$(JOB_COMPLETION_INDEX)\", \"--threads\", \"{cores}\"]\n        \
                     resources:\n          requests: {{ cpu: \"{cores}\", memory: \"{memory}Mi\" }}\n          limits: {{ memory: \"{memory}Mi\" }}\n        \
                     volumeMounts: [{{ name: sweep, mountPath: /sweep }}]\n      \
                   volumes:\n      - name: sweep\n        persistentVolumeClaim: {{ claimName: {claim} }}\n"
        )
    };
    let rounds = state.plan.rounds.len();
    let apply = format!(
        "#!/bin/bash\n\
         # Applies {rounds} rounds, each when the one before it has ended. A round in which a trial failed has ended, too.\n\
         set -e\n\
         cd \"$(dirname \"$0\")\"\n\
         for round in $(seq 0 {}); do\n    \
             kubectl apply -f \"round_$round.yaml\"\n    \
             until kubectl get job \"yarak-sweep-round-$round\" -o 'jsonpath={{.status.conditions[*].type}}' | grep -Eqw 'Complete|Failed'; do\n        \
                 sleep 10\n    \
             done\n\
         done\n",
        rounds - 1
    );
    let mut files: Vec<(String, String)> = (0..rounds)
        .map(|round| (format!("round_{round}.yaml"), job(round)))
        .collect();
    files.push(("apply.sh".to_owned(), apply));
    files
}

fn mebibytes(gibibytes: f64) -> u64 {
    (gibibytes * 1024.0).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_cut_is_quoted() {
        assert_eq!(quoted("runs/a_1"), "runs/a_1");
        assert_eq!(
            quoted("A.b=Mlp(hidden_sizes: [8])"),
            "'A.b=Mlp(hidden_sizes: [8])'"
        );
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
