//! Pictures: an algorithm sees them by naming a `Cnn`, in a world and in a file, and its policy sees them wherever it acts.

use std::fs;

use yarak::data::{FrameStack, load};
use yarak::env::registry;
use yarak::policy::Policy;

use crate::resume::kill_again_and_again;
use crate::room::{Room, checkpoints, files};

/// SAC on pictures, in networks that are small enough for a test.
const SAC: &str = r#"Scene(
    steps: 60,
    plugins: [
        Environments(env: "PendulumPixels-v1", frame_stack: 2),
        Replay(capacity: 500),
        Sac(
            minibatch: (batch_size: 8),
            off_policy: (learning_starts: 30),
            critic: (encoder: Cnn(features: 8), head_sizes: Some([8])),
            actor: (encoder: Cnn(features: 8), head_sizes: Some([8])),
        ),
        Checkpoints(every: 20, keep: 10),
    ],
)
"#;

/// An algorithm on the pictures of a file.
fn on_file(algorithm: &str) -> String {
    format!(
        r#"Scene(
    steps: 20,
    plugins: [
        Dataset(path: "pictures.hdf5", validation: 0.4),
        {algorithm},
        Validation(every: 10),
        Evaluation(env: "PendulumPixels-v1", every: 20, episodes: 1),
        Checkpoints(every: 10, keep: 10),
    ],
)
"#
    )
}

const BC: &str = r#"Bc(
            minibatch: (batch_size: 8),
            actor: (encoder: Cnn(features: 8), head_sizes: Some([8])),
        )"#;

const TD3_BC: &str = r#"Td3Bc(
            minibatch: (batch_size: 8),
            critic: (encoder: Cnn(features: 8), head_sizes: Some([8])),
            actor: (encoder: Cnn(features: 8), head_sizes: Some([8])),
        )"#;

const PPO: &str = r#"Scene(
    steps: 64,
    plugins: [
        Environments(env: "CartPolePixels-v1", num_envs: 2),
        Ppo(
            steps: 16,
            minibatches: 2,
            actor: (encoder: Cnn(features: 8), head_sizes: Some([8])),
            critic: (encoder: Cnn(features: 8), head_sizes: Some([8])),
        ),
        Checkpoints(every: 32, keep: 10),
    ],
)
"#;

/// Trains a scene at once, and again in two parts, and demands the same networks and the same replay buffer. Gives the run's name.
#[track_caller]
fn resumes_exactly(room: &Room, scene: &str, half: &str) -> String {
    let (whole, parts) = (format!("{scene}_whole"), format!("{scene}_parts"));
    room.yarak(&format!("train {scene}.ron --run {whole}"))
        .result();
    room.yarak(&format!("train {scene}.ron --run {parts} --steps {half}"))
        .result();
    room.yarak(&format!("train {scene}.ron --run {parts} --resume auto"))
        .result();
    let networks = |run: &str| {
        let run = room.path(run);
        let last = checkpoints(&run).pop().unwrap();
        let mut files = files(&run.join("checkpoints").join(last));
        files.retain(|name, _| name.ends_with(".safetensors") || name.ends_with(".blob"));
        files
    };
    let (one, other) = (networks(&whole), networks(&parts));
    assert!(one.contains_key("actor.safetensors"));
    assert_eq!(
        one.keys().collect::<Vec<_>>(),
        other.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &one {
        assert!(bytes == &other[name], "{scene}: {name} differs");
    }
    whole
}

#[test]
fn a_file_of_pictures_is_collected_learned_from_and_acted_on() {
    let room = Room::new();
    room.write("sac.ron", SAC);
    let said = room.yarak(
        "collect sac.ron --steps 1000 --set Sac.off_policy.learning_starts=2000 --out pictures.hdf5",
    );
    assert!(said.result().contains("`pixels`"), "{}", said.stdout);
    let info = room.yarak("data info pictures.hdf5");
    assert!(info.result().contains("u8 [32, 32, 1]"), "{}", info.stdout);
    assert!(
        info.result().contains("PendulumPixels-v1"),
        "{}",
        info.stdout
    );
    room.yarak("data plot pictures.hdf5 --out plot.svg")
        .result();
    let plot = fs::read_to_string(room.path("plot.svg")).unwrap();
    assert!(plot.contains("pixels") && !plot.contains("observation 0"));
    // Torques up to 2 are within the bounds of the environment that it names, and the picture's edges may stand still.
    let checked = room.yarak("data check pictures.hdf5");
    assert!(
        checked.result().contains("nothing to complain of"),
        "{}",
        checked.stdout
    );
    // Pictures come back as they were shown.
    let transitions = load(room.path("pictures.hdf5")).unwrap();
    assert_eq!(
        (transitions.len(), transitions.observation().width()),
        (1000, 1024)
    );
    let mut world = registry::make("PendulumPixels-v1").unwrap();
    let mut shown = vec![0.0; 1024];
    world.reset(Some(0), &mut shown).unwrap();
    assert_eq!(*transitions.observation().row(0), shown);

    room.write("td3_bc.ron", &on_file(TD3_BC));
    resumes_exactly(&room, "td3_bc", "10");
    room.write("bc.ron", &on_file(BC));
    let run = resumes_exactly(&room, "bc", "10");
    // 1,000 rows of two pictures of 1,024 bytes are more than that.
    let said = room.yarak("train bc.ron --run in_file --set Dataset.memory=0.0015");
    assert!(
        said.stderr.contains("more than the 1.5 MB"),
        "{}",
        said.stderr
    );
    let actor = |run: &str| {
        let last = room.path(run).join("checkpoints/step_000000020");
        fs::read(last.join("actor.safetensors")).unwrap()
    };
    assert!(actor("in_file") == actor(&run));
    let said = room.yarak(&format!("eval {run} --episodes 1 --seed 5 --json"));
    let said: serde_json::Value = serde_json::from_str(said.result()).unwrap();
    room.yarak(&format!("export {run} policy.safetensors"))
        .result();
    let mut policy = Policy::load(room.path("policy.safetensors")).unwrap();
    world.reset(Some(5), &mut shown).unwrap();
    let mut total = 0.0;
    for _ in 0..200 {
        let action = policy.act(&shown).unwrap().to_vec();
        total += world.step(&action, &mut shown).unwrap().reward;
    }
    let told = said["returns"][0].as_f64().unwrap();
    assert_eq!(told, total);
}

#[test]
fn what_acts_in_a_world_of_pictures_resumes_exactly_and_sees_its_frames() {
    let room = Room::new();
    room.write("sac.ron", SAC);
    room.write("ppo.ron", PPO);
    resumes_exactly(&room, "ppo", "32");
    let run = resumes_exactly(&room, "sac", "40");
    let mut policy = Policy::load(room.path(&run)).unwrap();
    assert_eq!((policy.frames(), policy.observation_size()), (2, 2048));
    let mut world = registry::make("PendulumPixels-v1").unwrap();
    let mut shown = vec![0.0; 1024];
    world.reset(Some(1), &mut shown).unwrap();
    let mut stack = FrameStack::new(policy.frames());
    stack.begin(&shown);
    assert!(policy.act(stack.values()).unwrap()[0].abs() <= 2.0);
}

/// The shipped scene in small: random crops, three frames, and a buffer of bytes that goes around.
fn sac_from_pixels_in_small() -> String {
    let mut scene = include_str!("../../scenes/pendulum_pixels_sac.ron").to_owned();
    for (shipped, small) in [
        ("capacity: 50_000", "capacity: 64"),
        ("batch_size: 64", "batch_size: 4"),
        ("learning_starts: 1_000", "learning_starts: 20"),
        ("features: 64", "features: 8"),
        ("Some([64])", "Some([8])"),
        (" steps: 50_000", " steps: 96"),
        ("every: 2_500, episodes: 50", "every: 48, episodes: 1"),
        ("every: 10_000, keep: 2", "every: 16, keep: 100"),
    ] {
        assert!(scene.contains(shipped), "{shipped}");
        scene = scene.replace(shipped, small);
    }
    scene
}

#[test]
fn sac_from_a_buffer_of_bytes_takes_the_memory_that_it_says_and_resumes_exactly() {
    let room = Room::new();
    let scene = sac_from_pixels_in_small();
    room.write("sac.ron", &scene);
    resumes_exactly(&room, "sac", "50");
    room.write(
        "large.ron",
        &scene.replace("capacity: 64", "capacity: 50_000"),
    );
    let said = room.yarak("train large.ron --steps 1");
    // 56,250 rows of two pictures of 1,024 bytes, an action, a reward and the flags.
    assert_eq!(56_250 * (2 * 1_024 + 4 + 4 + 1), 115_706_250);
    assert!(
        said.stderr.contains("115.7 MB in memory once"),
        "{}",
        said.stderr
    );
}

/// Behavior cloning of robomimic's demonstrations from two cameras and the hand's place, with `agentview` as that camera's encoder.
fn from_cameras(steps: usize, every: usize, agentview: &str) -> String {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/layouts/robomimic/images.hdf5");
    let file = file.display();
    format!(
        r#"Scene(
    steps: {steps},
    plugins: [
        Dataset(path: "{file}", validation: 0.4),
        Bc(
            minibatch: (batch_size: 4),
            actor: (
                encoder: Combined(encoders: [
                    (part: "agentview_image", encoder: {agentview}),
                    (part: "robot0_eye_in_hand_image", encoder: Cnn(
                        pooling: SpatialSoftmax(keypoints: 4),
                        features: 96,
                        transforms: [Noise(std: 0.02), Crop(height: 29, width: 30)],
                    )),
                ]),
                head_sizes: Some([96, 96]),
            ),
        ),
        Validation(every: {every}),
        Reports(every: {every}),
        Checkpoints(every: {every}, keep: 100, best: "validate/actor/loss", goal: Smallest),
    ],
)
"#
    )
}

#[test]
fn cameras_and_a_robots_state_train_with_transforms_and_are_killed_and_resumed_bit_for_bit() {
    let room = Room::new();
    let agentview = "Cnn(
        features: 96,
        transforms: [
            Crop(height: 20, width: 20),
            ColorJitter(brightness: 0.3, contrast: 0.3, saturation: 0.3),
        ],
    )";
    room.write("tiny.ron", &from_cameras(36, 6, agentview));
    kill_again_and_again(&room);
}

/// The shipped scene in small, on the fixture: `steps` and how often it saves, and fewer numbers wherever it has many.
fn robomimics_bc_rnn_gmm_in_small() -> String {
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/layouts/robomimic/images.hdf5");
    let fixture = fixture.display().to_string();
    let mut scene = include_str!("../../scenes/robomimic_bc_rnn_gmm.ron").to_owned();
    for (shipped, small) in [
        ("image_v141.hdf5\",\n", &*format!("{fixture}\",\n")),
        ("filter: \"train\",", "validation: 0.4,"),
        ("validation_filter: \"valid\",", ""),
        ("\"robot0_eef_quat\",", ""),
        ("\"robot0_gripper_qpos\",", ""),
        ("frame_stack: 10", "frame_stack: 3"),
        ("Crop(height: 76, width: 76)", "Crop(height: 34, width: 33)"),
        ("batch_size: 16", "batch_size: 2"),
        ("hidden_size: 1_000", "hidden_size: 16"),
        ("steps: 300_000", "steps: 8"),
        ("Validation(every: 1_000", "Validation(every: 2"),
        ("Reports(every: 500", "Reports(every: 2"),
        ("every: 5_000, keep: 5", "every: 2, keep: 100"),
    ] {
        assert!(scene.contains(shipped), "{shipped}");
        scene = scene.replace(shipped, small);
    }
    scene
}

#[test]
fn robomimics_bc_rnn_gmm_from_pictures_is_killed_and_resumed_bit_for_bit() {
    let room = Room::new();
    room.write("tiny.ron", &robomimics_bc_rnn_gmm_in_small());
    kill_again_and_again(&room);
}

#[test]
fn a_residual_network_sees_a_camera_and_resumes_exactly() {
    let room = Room::new();
    let agentview = "ResNet18(features: 8, transforms: [Crop(height: 34, width: 33)])";
    room.write("resnet.ron", &from_cameras(2, 1, agentview));
    let run = resumes_exactly(&room, "resnet", "1");
    let mut policy = Policy::load(room.path(&run)).unwrap();
    // It acts the same on what it has seen before: nothing is drawn.
    let shown: Vec<f32> = (0..policy.observation_size())
        .map(|it| (it % 256) as f32)
        .collect();
    let first = policy.act(&shown).unwrap().to_vec();
    assert_eq!(first, policy.act(&shown).unwrap());
    for (agentview, said) in [
        (
            "Cnn(transforms: [Crop(height: 37, width: 20)])",
            ["`Crop(height: 37, width: 20)` does not fit", "36x36 pixels"],
        ),
        (
            "ResNet18(transforms: [Crop(height: 32, width: 32)])",
            ["one place", "pictures with 33 pixels"],
        ),
    ] {
        room.write("refused.ron", &from_cameras(2, 1, agentview));
        room.yarak("train refused.ron").refuses(&said);
    }
}

#[test]
fn a_perceptron_that_would_see_a_picture_is_refused_with_the_remedy() {
    let room = Room::new();
    room.write("sac.ron", &SAC.replace("Cnn(features: 8)", "Mlp()"));
    room.yarak("train sac.ron")
        .refuses(&["write `encoder: Cnn()`"]);
    room.write("vector.ron", &SAC.replace("PendulumPixels", "Pendulum"));
    room.yarak("train vector.ron").refuses(&["take `Mlp()`"]);
    room.write(
        "nature.ron",
        &SAC.replace("features: 8", "convolutions: Nature"),
    );
    room.yarak("train nature.ron")
        .refuses(&["take 36x36 or more; take `Small`"]);
}
