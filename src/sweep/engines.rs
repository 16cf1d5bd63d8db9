//! The same sweep for engines that run processes elsewhere: lines for GNU parallel and the like, Slurm's scripts, Kubernetes' Jobs, a
//! command for Ray.
//!
//! Slurm and Kubernetes start as many `yarak sweep work DIR` as trials may ever run at once; each of them takes one trial after the other.
//! Nothing is run here.

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

/// Slurm's file by name: an array of workers.
///
/// A job that Slurm is about to end gets SIGTERM a minute before, saves, and is queued again.
pub(crate) fn slurm(folder: &Path, state: &State) -> Vec<(String, String)> {
    let at = quoted(&folder.display().to_string());
    let last = state.workers().saturating_sub(1);
    let needs = &state.settings.needs;
    let workers = format!(
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
         # Workers, each of which takes one trial after the other. Submit it where yarak is to run: scenes and data are relative to there.\n\
         # Partition, account and time are this cluster's: add them above. A smaller array is slower, and comes to the same.\n\
         srun yarak sweep work {at} --threads {}\n\
         status=$?\n\
         # 130: interrupted and saved.\n\
         if [ \"$status\" -eq 130 ]; then\n    \
             scontrol requeue \"${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}\"\n\
         fi\n\
         exit \"$status\"\n",
        needs.cores,
        mebibytes(needs.memory),
        needs.cores
    );
    vec![("workers.sh".to_owned(), workers)]
}

/// Where Kubernetes finds the program and the sweep.
pub(crate) struct Cluster<'a> {
    /// An image with `yarak` in its path.
    pub image: &'a str,
    /// The claim of a volume with the sweep's folder and the data, which is mounted as the working directory.
    pub claim: &'a str,
}

/// Kubernetes' file by name: an Indexed Job of workers.
///
/// Exit status 2, wrong input, fails a worker's index at once; a disruption and 130 (interrupted and saved) are no failures.
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
    let workers = state.workers();
    let (retries, cores, memory) = (state.settings.retries, needs.cores, mebibytes(needs.memory));
    let job = format!(
        "# Workers, each of which takes one trial after the other. Fewer are slower, and come to the same.\n\
         apiVersion: batch/v1\n\
         kind: Job\n\
         metadata:\n  name: yarak-sweep\n\
         spec:\n  completions: {workers}\n  parallelism: {workers}\n  completionMode: Indexed\n  \
           backoffLimitPerIndex: {retries}\n  maxFailedIndexes: {workers}\n  \
           podFailurePolicy:\n    rules:\n    \
             - action: FailIndex\n      onExitCodes: {{ containerName: worker, operator: In, values: [2] }}\n    \
             - action: Ignore\n      onPodConditions: [{{ type: DisruptionTarget }}]\n    \
             - action: Ignore\n      onExitCodes: {{ containerName: worker, operator: In, values: [130] }}\n  \
           template:\n    spec:\n      restartPolicy: Never\n      terminationGracePeriodSeconds: 60\n      \
               containers:\n      - name: worker\n        image: {image}\n        workingDir: /sweep\n        \
                 command: [\"yarak\", \"sweep\", \"work\", {at}, \"--threads\", \"{cores}\"]\n        \
                 resources:\n          requests: {{ cpu: \"{cores}\", memory: \"{memory}Mi\" }}\n          limits: {{ memory: \"{memory}Mi\" }}\n        \
                 volumeMounts: [{{ name: sweep, mountPath: /sweep }}]\n      \
               volumes:\n      - name: sweep\n        persistentVolumeClaim: {{ claimName: {claim} }}\n"
    );
    vec![("workers.yaml".to_owned(), job)]
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
