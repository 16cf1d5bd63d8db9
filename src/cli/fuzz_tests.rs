//! Mutants of the scenes that come along, and of what `--set` is given.

use std::path::Path;

use super::{For, Program, check_scene, registry};
use crate::fuzzing::{hold, mutant_of_text};
use crate::scene::Scene;

/// Edits that are good where the scene has the plugin.
const EDITS: [&str; 14] = [
    "steps=20_000",
    "epochs=3",
    "seeds=[0, 1]",
    "device=cpu",
    "Dataset.path=a.hdf5",
    "Dataset.action_bounds=(-1.0, 1.0)",
    "Td3Bc.critic.encoder=Mlp(hidden_sizes: [256, 256], dropout: 0.1)",
    "Td3Bc.actor.optimizer.learning_rate=Cosine(initial: 1e-3, over: Epochs(3), warm_up: 5)",
    "Ppo.actor.encoder=Combined()",
    "Sac.temperature.target_entropy=-1",
    "Replay.capacity=1_000",
    "Evaluation.also=[\"Hopper-v5\"]",
    "Environments.kwargs={\"a\": [1, null, {\"b\": true}]}",
    "Checkpoints.also_at=[Epochs(1), 7]",
];

#[test]
fn no_mutant_of_a_scene_or_of_an_edit_panics_and_what_is_read_reads_the_same_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes");
    let mut texts = Vec::new();
    for folder in [folder.clone(), folder.join("templates")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "ron") {
                texts.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    texts.sort();
    let program = Program::new(|_| {});
    let app = program.bare_app();
    hold("scenes and edits", 400, |numbers| {
        let mut text = texts[numbers.below(texts.len())].clone();
        if numbers.below(3) > 0 {
            text = mutant_of_text(&text, numbers);
        }
        let edits: Vec<String> = (0..numbers.below(3))
            .map(|_| mutant_of_text(numbers.of(&EDITS), numbers))
            .collect();
        let scene = match Scene::parse("mutant.ron", &text, registry(&app), &edits) {
            Ok(scene) => scene,
            Err(problems) => return assert!(!problems.to_string().is_empty()),
        };
        let resolved = scene.to_ron();
        let again = Scene::parse("again.ron", &resolved, registry(&app), &[]);
        assert_eq!(again.unwrap().to_ron(), resolved);
        if check_scene(&app, &scene, &program.schedules(&scene)).is_ok() {
            let _ = program.app(&scene, scene.seed, Vec::new(), For::Looking);
        }
    });
}
