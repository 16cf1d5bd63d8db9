//! A policy that was loaded acts as the run's own does at evaluation, bit for bit; what cannot be loaded says why.

use std::fs;
use std::path::{Path, PathBuf};

use yarak::checkpoint::{gather, load};
use yarak::data::{ActionChunk, ChunkExecution, FrameStack};
use yarak::env::registry;
use yarak::evaluate::{Acting, Games, watch};
use yarak::nn::{Gru, Lstm, Transformer};
use yarak::plugins::{Diffusion, FlowBc};
use yarak::policy::denoising::DenoiserBody;
use yarak::policy::{Policy, PolicyError};
use yarak::prelude::{
    Activation, App, Bc, Bcq, Checkpoints, ComputeDevice, Cql, Dataset, Ddpg, Dqn, EncoderSettings,
    Environments, Iql, MinibatchSettings, MlpSettings, NetworkSettings, Noise, OffPolicySettings,
    Plugin, PluginGroup, PolicyHead, Ppo, Preprocessing, Random, Replay, RunPlugin, Sac, Schedule,
    ScheduleRunnerPlugin, Seed, Td3, Td3Bc, Tensor, TensorData, World, YarakPlugins, default,
};

use crate::room::{run_to_the_end, yarak};

const DATA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/assets/pendulum-medium-expert.hdf5"
);

/// An app that took a few steps with the plugins.
pub fn trained(plugins: impl FnOnce(&mut App), folder: Option<PathBuf>) -> App {
    let mut app = App::new();
    let run = RunPlugin {
        steps: 40,
        folder,
        ..default()
    };
    app.add_plugins(YarakPlugins.set(run).disable::<ScheduleRunnerPlugin>());
    plugins(&mut app);
    app.finish();
    app.cleanup();
    run_to_the_end(&mut app);
    app
}

pub fn data() -> Dataset {
    Dataset {
        path: DATA.into(),
        normalize: true,
        ..default()
    }
}

fn offline(algorithm: impl Plugin) -> App {
    let plugins = |app: &mut App| {
        app.add_plugins((data(), algorithm));
    };
    trained(plugins, None)
}

fn online(env: &str, algorithm: impl Plugin) -> App {
    let plugins = |app: &mut App| {
        let env = env.to_owned();
        app.add_plugins((
            Environments { env, ..default() },
            Replay::default(),
            algorithm,
        ));
    };
    trained(plugins, None)
}

/// The policy of the app's own snapshot against the app's own network, on observations in the raw.
#[track_caller]
fn assert_acts_alike(app: &App) {
    let policy = Policy::of(&gather(app.world(), 7).unwrap()).unwrap();
    assert_eq!(policy.step(), 7);
    assert_acts_as(app, policy);
}

/// A policy that was loaded against the app's own network.
#[track_caller]
fn assert_acts_as(app: &App, mut policy: Policy) {
    let (rows, width) = (64, policy.observation_size());
    let raw = Random::<Noise>::new(Seed(1)).normals(rows * width);
    let preprocessing = app.world().resource::<Preprocessing>();
    let mut seen = raw.clone();
    preprocessing.observation.apply_to_row(&mut seen).unwrap();
    let device = ComputeDevice::cpu().plain();
    let seen = Tensor::from_data(TensorData::new(seen, [rows, width]), &device);
    let acting = *app.world().resource::<Acting>();
    let expected = acting.act(app.world(), seen).unwrap().into_data();
    let mut expected: Vec<f32> = expected.into_vec().unwrap();
    preprocessing.action.from_unit(&mut expected).unwrap();

    let mut found = vec![0.0; rows * policy.action_size()];
    policy.act_each(&raw, &mut found).unwrap();
    assert_eq!(found, expected);
    let first = found[..policy.action_size()].to_vec();
    assert!(
        found.chunks(first.len()).any(|it| it != first),
        "not all alike"
    );
}

fn with_memory() -> [EncoderSettings; 3] {
    [
        Lstm {
            hidden_size: 20,
            ..default()
        }
        .into(),
        Gru {
            hidden_size: 20,
            layers: 1,
            ..default()
        }
        .into(),
        Transformer {
            embedding: 12,
            layers: 2,
            heads: 3,
            ..default()
        }
        .into(),
    ]
}

/// One observation at a time, a policy acts as on the frames of the episode that evaluation shows.
#[track_caller]
fn assert_remembers(app: &App) {
    let mut policy = Policy::of(&gather(app.world(), 7).unwrap()).unwrap();
    let mut other = policy.clone();
    let width = policy.observation_parts().width();
    let raw = Random::<Noise>::new(Seed(2)).normals(9 * width);
    for episode in [&raw[..], &raw[2 * width..]] {
        policy.begin();
        let mut frames = FrameStack::new(policy.frames());
        for observation in episode.chunks_exact(width) {
            frames.push(observation);
            let expected = other.act(frames.values()).unwrap();
            assert_eq!(policy.next_action(observation).unwrap(), expected);
            let refused = policy.next_action(&[f32::NAN].repeat(width)).unwrap_err();
            assert!(matches!(refused, PolicyError::ObservationNotFinite { .. }));
        }
    }
    let refused = policy.next_action(&raw[..width - 1]).unwrap_err();
    assert!(matches!(refused, PolicyError::ObservationLength { .. }));
}

#[test]
fn every_policy_that_learns_from_data_acts_alike_when_it_travels() {
    let mut td3_bc = Td3Bc {
        minibatch: MinibatchSettings::of(8),
        ..default()
    };
    assert_acts_alike(&offline(td3_bc.clone()));
    td3_bc.actor.encoder.set_hidden_sizes(&[33, 70]);
    let mlp = td3_bc.actor.encoder.as_mlp_mut().unwrap();
    (mlp.layer_norm, mlp.activation) = (true, Activation::Gelu);
    assert_acts_alike(&offline(td3_bc));
    for head in [None, Some(PolicyHead::Gaussian), Some(PolicyHead::Mixture)] {
        assert_acts_alike(&offline(Bc {
            minibatch: MinibatchSettings::of(8),
            head,
            ..default()
        }));
    }
    assert_acts_alike(&offline(Iql {
        minibatch: MinibatchSettings::of(8),
        ..default()
    }));
    for encoder in with_memory() {
        let mut bc = Bc {
            minibatch: MinibatchSettings::of(8),
            supervise_all_steps: true,
            head: Some(PolicyHead::Mixture),
            ..default()
        };
        bc.actor.encoder = encoder;
        let remembering = |app: &mut App| {
            app.add_plugins((
                Dataset {
                    frame_stack: 4,
                    ..data()
                },
                bc,
            ));
        };
        let app = trained(remembering, None);
        assert_acts_alike(&app);
        assert_remembers(&app);
    }
    assert_acts_alike(&offline(Cql {
        minibatch: MinibatchSettings::of(8),
        ..default()
    }));
}

/// Adds an algorithm whose policy has the settings.
type WithActor = fn(&mut App, NetworkSettings);

#[test]
fn an_exported_policy_has_the_activation_and_the_normalization_of_its_settings() {
    let network = || NetworkSettings {
        encoder: EncoderSettings::new(MlpSettings {
            hidden_sizes: vec![17, 9],
            activation: Activation::Tanh,
            dropout: 0.2,
            layer_norm: true,
        }),
        ..default()
    };
    let algorithms: [(&str, WithActor); 4] = [
        ("sac", |app, actor| {
            let minibatch = MinibatchSettings::of(8);
            app.add_plugins(Sac {
                minibatch,
                actor,
                ..default()
            });
        }),
        ("iql", |app, actor| {
            let minibatch = MinibatchSettings::of(8);
            app.add_plugins(Iql {
                minibatch,
                actor,
                ..default()
            });
        }),
        ("cql", |app, actor| {
            let minibatch = MinibatchSettings::of(8);
            app.add_plugins(Cql {
                minibatch,
                actor,
                ..default()
            });
        }),
        ("ddpg", |app, actor| {
            let minibatch = MinibatchSettings::of(8);
            app.add_plugins(Ddpg {
                minibatch,
                actor,
                ..default()
            });
        }),
    ];
    for (name, algorithm) in algorithms {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let plugins = |app: &mut App| {
            app.add_plugins((data(), Checkpoints::default()));
            algorithm(app, network());
        };
        let app = trained(plugins, Some(run.clone()));
        let file = folder.path().join("policy.safetensors");
        Policy::export(&run, &file, false).unwrap();
        // As its note says, which whoever reads the file elsewhere goes by.
        let note = String::from_utf8_lossy(&fs::read(&file).unwrap()).replace('\\', "");
        for word in ["\"hidden\":\"Tanh\"", "0.gain", "1.offset"] {
            assert!(note.contains(word), "{name}: {word}");
        }
        assert_acts_as(&app, Policy::load(&file).unwrap());
    }
    let mut dqn = Dqn {
        minibatch: MinibatchSettings::of(8),
        off_policy: OffPolicySettings {
            learning_starts: 20,
            ..default()
        },
        dueling: true,
        ..default()
    };
    dqn.critic = network();
    assert_acts_alike(&online("CartPole-v1", dqn));
}

#[test]
fn every_policy_that_learns_in_environments_acts_alike_when_it_travels() {
    let minibatch = MinibatchSettings::of(8);
    let off_policy = OffPolicySettings {
        learning_starts: 20,
        ..default()
    };
    assert_acts_alike(&online(
        "Pendulum-v1",
        Td3 {
            minibatch,
            off_policy,
            ..default()
        },
    ));
    assert_acts_alike(&online(
        "MountainCarContinuous-v0",
        Ddpg {
            minibatch,
            off_policy,
            ..default()
        },
    ));
    assert_acts_alike(&online(
        "Pendulum-v1",
        Sac {
            minibatch,
            off_policy,
            ..default()
        },
    ));
    for dueling in [false, true] {
        let mut dqn = Dqn {
            minibatch,
            off_policy,
            ..default()
        };
        dqn.dueling = dueling;
        let app = online("CartPole-v1", dqn);
        assert_acts_alike(&app);
        let mut policy = Policy::of(&gather(app.world(), 7).unwrap()).unwrap();
        assert_eq!(policy.discrete_actions(), Some(2));
        assert!(policy.choose(&[0.1, -0.2, 0.3, 0.4]).unwrap() < 2);
    }
}

#[test]
fn every_policy_that_learns_from_its_own_rounds_acts_alike_when_it_travels() {
    for (env, discrete_actions) in [("CartPole-v1", Some(2)), ("Pendulum-v1", None)] {
        let mut ppo = Ppo {
            steps: 16,
            minibatches: 2,
            ..default()
        };
        // Far enough to clip.
        ppo.actor.optimizer.learning_rate = Schedule::Constant(0.3);
        let app = trained(
            |app| {
                let env = env.to_owned();
                app.add_plugins((Environments { env, ..default() }, ppo));
            },
            None,
        );
        assert_acts_alike(&app);
        let policy = Policy::of(&gather(app.world(), 7).unwrap()).unwrap();
        assert_eq!(policy.discrete_actions(), discrete_actions);
    }
}

#[test]
fn a_policy_that_takes_its_algorithm_to_act_says_so() {
    let app = offline(Bcq {
        minibatch: MinibatchSettings::of(8),
        ..default()
    });
    let error = Policy::of(&gather(app.world(), 0).unwrap()).unwrap_err();
    assert!(matches!(error, PolicyError::NotPortable { .. }));
    let said = error.to_string();
    assert!(
        said.contains("more than one network") && said.contains("yarak eval"),
        "{said}"
    );
    // Nothing acts at all.
    let error = Policy::of(&gather(&World::new(), 3).unwrap()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("does not say which network acts"),
        "{error}"
    );
}

/// A run of some steps in its folder.
fn run_in(folder: &Path) -> PathBuf {
    let run = folder.join("run");
    let plugins = |app: &mut App| {
        app.add_plugins((
            data(),
            Td3Bc {
                minibatch: MinibatchSettings::of(8),
                ..default()
            },
            Checkpoints {
                every: 20.into(),
                ..default()
            },
        ));
    };
    let _ = trained(plugins, Some(run.clone()));
    run
}

#[test]
fn a_run_or_a_checkpoint_loads_with_its_own_files_alone_and_damage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_in(folder.path());
    let observation = [0.5, 0.5, 1.0];
    let mut latest = Policy::load(&run).unwrap();
    assert_eq!(latest.step(), 40);
    let checkpoint = run.join("checkpoints/step_000000020");
    let mut earlier = Policy::load(&checkpoint).unwrap();
    assert_eq!(earlier.step(), 20);
    let action = earlier.act(&observation).unwrap().to_vec();
    assert_ne!(latest.act(&observation).unwrap(), action);
    let mut clone = earlier.clone();
    assert_eq!(clone.act(&observation).unwrap(), action);

    // The best goes before the latest.
    fs::write(run.join("checkpoints/best"), "step_000000020\n").unwrap();
    assert_eq!(Policy::load(&run).unwrap().step(), 20);

    // What a robot does not need may be missing.
    assert!(load(&checkpoint).is_ok());
    for entry in fs::read_dir(&checkpoint).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !["actor.safetensors", "state.ron", "checksums.ron"].contains(&&*name) {
            fs::remove_file(path).unwrap();
        }
    }
    assert!(load(&checkpoint).is_err());
    let mut slim = Policy::load(&checkpoint).unwrap();
    assert_eq!(slim.act(&observation).unwrap(), action);

    // As one file, and out of a program.
    let file = folder.path().join("policy.safetensors");
    Policy::export(&checkpoint, &file, false).unwrap();
    let again = Policy::export(&checkpoint, &file, false).unwrap_err();
    assert!(matches!(again, PolicyError::Exists { .. }));
    let mut alone = Policy::load(&file).unwrap();
    assert_eq!(
        (alone.step(), alone.act(&observation).unwrap()),
        (20, &action[..])
    );
    let mut inside = Policy::from_bytes(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(inside.act(&observation).unwrap(), action);

    let refused = |path: &Path| Policy::load(path).unwrap_err().to_string();
    let weights = checkpoint.join("actor.safetensors");
    let bytes = fs::read(&weights).unwrap();
    let mut wrong = bytes.clone();
    *wrong.last_mut().unwrap() ^= 1;
    fs::write(&weights, wrong).unwrap();
    let error = refused(&checkpoint);
    assert!(error.contains("`actor.safetensors` is damaged"), "{error}");
    // The best is damaged: nobody silently gets another.
    assert_eq!(refused(&run), error);
    fs::write(&weights, bytes).unwrap();
    fs::remove_file(checkpoint.join("state.ron")).unwrap();
    assert!(refused(&checkpoint).contains("`state.ron` is damaged: it is missing"));
    assert!(refused(&run.join("nowhere")).contains("there is no such run or checkpoint"));
    assert!(refused(folder.path()).contains("not a checkpoint"));
}

#[test]
fn weights_that_have_diverged_are_refused() {
    let app = offline(Td3Bc {
        minibatch: MinibatchSettings::of(8),
        ..default()
    });
    let mut snapshot = gather(app.world(), 1).unwrap();
    let actor = snapshot.files.get_mut("actor").unwrap();
    actor.get_mut("1.bias").unwrap().values[3] = f32::NAN;
    let error = Policy::of(&snapshot).unwrap_err().to_string();
    assert!(error.contains("network holds NaN"), "{error}");
}

#[test]
fn episodes_of_a_loaded_policy_return_what_eval_says() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let path = run.to_str().unwrap();
    let few = [
        "--steps",
        "30",
        "--set",
        "Evaluation.episodes=1",
        "--run",
        path,
    ];
    yarak(&[&["train", "scenes/pendulum_td3_bc.ron"][..], &few].concat()).result();
    let said = yarak(&["eval", path, "--episodes", "3", "--seed", "5", "--json"]);
    let said: serde_json::Value = serde_json::from_str(said.result()).unwrap();

    let file = folder.path().join("pendulum.safetensors");
    let said_of_file = yarak(&["export", path, file.to_str().unwrap()]);
    let said_of_file = said_of_file.result();
    assert!(said_of_file.contains("the policy of step 30, from 3 observation(s) to 1 action(s)"));
    let mut policy = Policy::load(&file).unwrap();
    for episode in 0..3 {
        let mut pendulum = registry::make("Pendulum-v1").unwrap();
        let mut observation = [0.0; 3];
        pendulum.reset(Some(5 + episode), &mut observation).unwrap();
        let mut total = 0.0;
        loop {
            let action = policy.act(&observation).unwrap();
            let outcome = pendulum.step(action, &mut observation).unwrap();
            total += outcome.reward;
            if outcome.ended() {
                break;
            }
        }
        assert_eq!(said["returns"][episode as usize], total);
    }
}

/// A policy that travels plays an episode as an evaluation does, step by step.
#[track_caller]
fn assert_plays_alike(app: &App) {
    let games = Games::of("Pendulum-v1", 3, 40);
    let mut watched = vec![Vec::new(); 3];
    watch(app.world(), &games, |episode, environment| {
        watched[episode].push(environment.snapshot());
    })
    .unwrap();
    let mut policy = Policy::of(&gather(app.world(), 7).unwrap()).unwrap();
    let frames = policy.frames();
    for (episode, states) in watched.iter().enumerate() {
        let mut environment = registry::make("Pendulum-v1").unwrap();
        let mut observation = vec![0.0; 3];
        let seed = 40 + episode as u64;
        environment.reset(Some(seed), &mut observation).unwrap();
        let mut seen = FrameStack::new(frames);
        seen.begin(&observation);
        policy.begin();
        for (step, expected) in states.iter().enumerate().skip(1) {
            let action = policy.act(seen.values()).unwrap().to_vec();
            environment.step(&action, &mut observation).unwrap();
            seen.push(&observation);
            assert_eq!(environment.snapshot(), *expected, "step {step}");
        }
    }
}

#[test]
fn policies_that_predict_chunks_act_and_play_alike_when_they_travel() {
    let minibatch = MinibatchSettings::of(8);
    let whole = ActionChunk::of(4);
    for execution in [
        ChunkExecution::Whole,
        ChunkExecution::First(3),
        ChunkExecution::Averaged(0.01),
    ] {
        let app = offline(Bc {
            minibatch,
            action_chunk: ActionChunk { execution, ..whole },
            head: Some(PolicyHead::Mixture),
            ..default()
        });
        assert_acts_alike(&app);
        assert_plays_alike(&app);
    }
    let small = || NetworkSettings {
        encoder: EncoderSettings::from(&[33, 17]),
        ..default()
    };
    for body in [
        DenoiserBody::Mlp,
        DenoiserBody::Unet {
            channels: vec![8, 16],
            kernel_size: 5,
            groups: 4,
        },
    ] {
        let app = offline(Diffusion {
            minibatch,
            action_chunk: whole,
            sampling_steps: 3,
            body: body.clone(),
            actor: small(),
            ..default()
        });
        assert_acts_alike(&app);
        assert_plays_alike(&app);
        let app = offline(FlowBc {
            minibatch,
            action_chunk: whole,
            flow_steps: 3,
            body,
            actor: small(),
            ..default()
        });
        assert_acts_alike(&app);
    }
}

#[test]
fn an_exported_denoising_policy_is_the_average_of_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let diffusion = Diffusion {
        minibatch: MinibatchSettings::of(8),
        action_chunk: ActionChunk::of(4),
        sampling_steps: 3,
        body: DenoiserBody::Unet {
            channels: vec![8],
            kernel_size: 3,
            groups: 2,
        },
        ..default()
    };
    let plugins = |app: &mut App| {
        app.add_plugins((data(), Checkpoints::default(), diffusion));
    };
    let app = trained(plugins, Some(run.clone()));
    let file = folder.path().join("policy.safetensors");
    Policy::export(&run, &file, false).unwrap();
    assert_acts_as(&app, Policy::load(&file).unwrap());
    // Nobody needs the weights that are trained to act.
    let checkpoints = fs::read_dir(run.join("checkpoints")).unwrap();
    let checkpoint = checkpoints
        .map(|it| it.unwrap().path())
        .find(|it| it.is_dir());
    let checkpoint = checkpoint.unwrap();
    fs::remove_file(checkpoint.join("actor.safetensors")).unwrap();
    assert!(Policy::load(&checkpoint).is_ok());
    fs::remove_file(checkpoint.join("target_actor.safetensors")).unwrap();
    assert!(Policy::load(&checkpoint).is_err());
}
