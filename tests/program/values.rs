//! What a run's networks say of observations and actions: in programs, and of a dataset's rows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value as Json;
use yarak::checkpoint::gather;
use yarak::data::{DatasetFile, Reading, Transitions};
use yarak::policy::{Policy, PolicyError};
use yarak::prelude::bevy_app::Plugins;
use yarak::prelude::{
    Activation, App, Bc, Checkpoints, Cnn, ComputeDevice, Critic, Dqn, EncoderSettings,
    Environments, Iql, MinibatchSettings, MlpSettings, Net, Noise, OffPolicySettings, Ppo,
    Preprocessing, Random, Replay, Sac, Seed, Td3Bc, Tensor, TensorData, Value, default,
};

use crate::policies::{data, trained};
use crate::room::{Room, dataset, with_dataset};

fn app_with<M>(plugins: impl Plugins<M>) -> App {
    let add = |app: &mut App| {
        app.add_plugins(plugins);
    };
    trained(add, None)
}

fn tensor(values: &[f32], width: usize) -> Tensor<2> {
    let shape = [values.len() / width, width];
    let device = ComputeDevice::cpu().plain();
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &device)
}

fn numbers<const D: usize>(values: Tensor<D>) -> Vec<f32> {
    values.into_data().into_vec().unwrap()
}

#[track_caller]
fn assert_near(found: f32, expected: f32) {
    assert!(
        (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
        "{found} {expected}"
    );
}

/// The values of a policy that was loaded against the app's own networks, on observations and actions in the raw.
#[track_caller]
fn assert_values_alike(app: &App, discrete_actions: Option<usize>) {
    let mut policy = Policy::of(&gather(app.world(), 7).unwrap()).unwrap();
    let (rows, width) = (64, policy.observation_size());
    let mut random = Random::<Noise>::new(Seed(1));
    let raw = random.normals(rows * width);
    let count = policy.action_size();
    let action: Vec<f32> = match discrete_actions {
        Some(n) => random
            .indices(rows, n)
            .iter()
            .map(|it| *it as f32)
            .collect(),
        None => random.uniforms(rows * count, -2.0, 2.0),
    };
    let preprocessing = app.world().resource::<Preprocessing>();
    let (mut seen, mut scaled) = (raw.clone(), action.clone());
    preprocessing.observation.apply_to_row(&mut seen).unwrap();
    if discrete_actions.is_none() {
        preprocessing.action.to_unit(&mut scaled).unwrap();
    }
    let seen = tensor(&seen, width);
    let critic = app.world().get_resource::<Net<Critic>>();
    let value = app.world().get_resource::<Net<Value>>().map(|net| &**net);
    let mut checked = 0;
    match policy.q(&raw[..width], &action[..count]) {
        Ok(_) => {
            let expected = critic.unwrap().q(seen.clone(), tensor(&scaled, count));
            let [members, _] = expected.dims();
            let expected = numbers(expected);
            for row in 0..rows {
                let observation = &raw[row * width..][..width];
                let q = policy
                    .q(observation, &action[row * count..][..count])
                    .unwrap();
                assert_eq!(q.len(), members);
                for (member, found) in q.iter().enumerate() {
                    assert_near(*found, expected[member * rows + row]);
                }
            }
            checked += 1;
        }
        Err(error) => assert!(
            matches!(error, PolicyError::NoActionValues { .. }),
            "{error}"
        ),
    }
    match policy.v(&raw[..width]) {
        Ok(_) => {
            let net = value.unwrap_or_else(|| critic.unwrap());
            let expected = numbers(net.v(seen));
            for (row, expected) in expected.iter().enumerate() {
                assert_near(policy.v(&raw[row * width..][..width]).unwrap(), *expected);
            }
            checked += 1;
        }
        Err(error) => assert!(
            matches!(error, PolicyError::NoStateValues { .. }),
            "{error}"
        ),
    }
    assert!(checked > 0);
    // Asking changes nothing of how it acts.
    let before = policy.act(&raw[..width]).unwrap().to_vec();
    let _ = policy.q(&raw[..width], &action[..count]);
    assert_eq!(policy.act(&raw[..width]).unwrap(), before);
}

#[test]
fn values_of_a_loaded_policy_are_those_of_the_networks_that_were_trained() {
    let minibatch = MinibatchSettings::of(8);
    let mut td3_bc = Td3Bc {
        minibatch,
        ..default()
    };
    td3_bc.critic.ensemble.n = 3;
    td3_bc.critic.value_bounds = Some(yarak::nn::ValueBounds {
        low: -20.0,
        high: 3.0,
    });
    td3_bc.critic.encoder = EncoderSettings::new(MlpSettings {
        hidden_sizes: vec![33, 17],
        activation: Activation::Gelu,
        dropout: 0.1,
        layer_norm: true,
    });
    let iql = Iql {
        minibatch,
        ..default()
    };
    assert_values_alike(&app_with((data(), td3_bc)), None);
    assert_values_alike(&app_with((data(), iql)), None);
    let off_policy = OffPolicySettings {
        learning_starts: 20,
        ..default()
    };
    let world = |env: &str| Environments {
        env: env.to_owned(),
        ..default()
    };
    let sac = Sac {
        minibatch,
        off_policy,
        ..default()
    };
    let app = app_with((world("Pendulum-v1"), Replay::default(), sac));
    assert_values_alike(&app, None);
    for dueling in [false, true] {
        let dqn = Dqn {
            minibatch,
            off_policy,
            dueling,
            ..default()
        };
        let app = app_with((world("CartPole-v1"), Replay::default(), dqn));
        assert_values_alike(&app, Some(2));
    }
    let ppo = Ppo {
        steps: 16,
        minibatches: 2,
        ..default()
    };
    let app = app_with((world("CartPole-v1"), ppo));
    assert_values_alike(&app, Some(2));
}

#[test]
fn critics_with_an_encoder_of_their_own_value_alike_when_they_travel() {
    let mut ddpg = yarak::prelude::Ddpg {
        minibatch: MinibatchSettings::of(2),
        off_policy: OffPolicySettings {
            learning_starts: 36,
            ..default()
        },
        ..default()
    };
    ddpg.critic.encoder = EncoderSettings::new(Cnn::default());
    ddpg.actor.encoder = ddpg.critic.encoder.clone();
    let world = Environments {
        env: "PendulumPixels-v1".to_owned(),
        ..default()
    };
    let app = app_with((world, Replay::default(), ddpg));
    assert_values_alike(&app, None);
}

#[test]
fn a_policy_without_values_says_why_and_still_acts() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let minibatch = MinibatchSettings::of(8);
    let plugins = |app: &mut App| {
        let td3_bc = Td3Bc {
            minibatch,
            ..default()
        };
        app.add_plugins((data(), td3_bc, Checkpoints::default()));
    };
    let _ = trained(plugins, Some(run.clone()));
    let (observation, action) = ([0.5, 0.5, 1.0], [0.1]);
    let mut whole = Policy::load(&run).unwrap();
    assert_eq!(whole.q(&observation, &action).unwrap().len(), 2);
    let said = |error: PolicyError| error.to_string();
    assert!(
        said(whole.q(&observation, &[0.1, 0.2]).unwrap_err())
            .contains("has 1 number(s), this one has 2")
    );
    assert!(said(whole.q(&observation, &[f32::NAN]).unwrap_err()).contains("action[0] is NaN"));
    assert!(
        said(whole.q(&observation[..2], &action).unwrap_err())
            .contains("of 3 number(s), this one has 2")
    );
    assert!(
        said(whole.v(&observation).unwrap_err())
            .contains("no network of the role `Value` or `Critic`")
    );

    let file = folder.path().join("policy.safetensors");
    let mut exported = Policy::export(&run, &file, false).unwrap();
    assert!(
        exported.q(&observation, &action).is_ok(),
        "it was loaded from the run"
    );
    exported = Policy::load(&file).unwrap();
    let refused = exported.q(&observation, &action).unwrap_err();
    assert!(matches!(refused, PolicyError::NoActionValues { .. }));
    assert!(said(refused).contains("an exported file carries the policy alone"));

    // A robot may leave the critics behind, and acts.
    let checkpoint = run.join("checkpoints/step_000000040");
    fs::remove_file(checkpoint.join("critic.safetensors")).unwrap();
    let mut left = Policy::load(&run).unwrap();
    assert_eq!(
        left.act(&observation).unwrap(),
        whole.act(&observation).unwrap()
    );
    assert!(said(left.q(&observation, &action).unwrap_err()).contains("critic.safetensors"));

    let bc = Bc {
        minibatch,
        ..default()
    };
    let app = app_with((data(), bc));
    let mut cloned = Policy::of(&gather(app.world(), 1).unwrap()).unwrap();
    assert!(
        said(cloned.q(&observation, &action).unwrap_err())
            .contains("no network of the role `Critic`")
    );
}

/// The columns of a table, by their names.
fn columns(path: &Path) -> BTreeMap<String, Vec<f32>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut columns: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    for line in lines {
        let values = line.split(',').map(|it| it.parse().unwrap());
        for (name, value) in names.iter().zip(values) {
            columns.entry((*name).to_owned()).or_default().push(value);
        }
    }
    columns
}

fn raw(path: &Path) -> Transitions {
    let file = DatasetFile::open(path, &Reading::default()).unwrap();
    file.read().unwrap()
}

#[test]
fn eval_writes_what_the_critics_say_of_each_row_and_prints_how_it_is_spread() {
    let room = Room::new();
    room.yarak("train tiny.ron --steps 60 --run run")
        .ends_with(0);
    let data = dataset();
    let data = data.to_str().unwrap();
    let told = room.yarak(&format!("eval run --values {data} --out rows.csv --json"));
    let told: Json = serde_json::from_str(told.result()).unwrap();
    let columns = columns(&room.path("rows.csv"));
    let names: Vec<&str> = columns.keys().map(String::as_str).collect();
    let expected = [
        "episode",
        "policy_q_0",
        "policy_q_1",
        "q_0",
        "q_1",
        "reward",
        "step",
    ];
    assert_eq!(names, expected);

    // Row by row what the policy says as a product, of the best checkpoint alike.
    let transitions = raw(&dataset());
    let mut policy = Policy::load(room.path("run")).unwrap();
    let mut row = 0;
    for (number, episode) in transitions.episodes().iter().enumerate() {
        for step in 0..episode.rows.len() {
            let observation = &*transitions.observation().row(row);
            let q = policy
                .q(observation, transitions.action().row(row))
                .unwrap();
            assert_near(columns["q_0"][row], q[0]);
            assert_near(columns["q_1"][row], q[1]);
            let action = policy.act(observation).unwrap().to_vec();
            let q = policy.q(observation, &action).unwrap();
            assert!((columns["policy_q_1"][row] - q[1]).abs() < 1e-4);
            assert_eq!(columns["episode"][row], number as f32);
            assert_eq!(columns["step"][row], step as f32);
            assert_eq!(columns["reward"][row], transitions.reward()[row]);
            row += 1;
        }
    }
    assert_eq!(row, columns["q_0"].len());
    assert_eq!(told["rows"], row);
    let q = &columns["q_0"];
    let mean = q.iter().map(|it| f64::from(*it)).sum::<f64>() / q.len() as f64;
    let spread = &told["values"]["q_0"];
    assert!((spread["mean"].as_f64().unwrap() - mean).abs() < 1e-9);
    let least = q.iter().copied().fold(f32::INFINITY, f32::min);
    assert_eq!(spread["min"].as_f64().unwrap(), f64::from(least));
    let quarter = spread["quantiles"]["0.25"].as_f64().unwrap();
    let below = q.iter().filter(|it| f64::from(**it) < quarter).count();
    assert!(
        (below as f64 - 0.25 * q.len() as f64).abs() <= 1.0,
        "{below}"
    );

    let plain = room.yarak(&format!("eval run --values {data}"));
    assert!(plain.result().contains("policy_q_1") && plain.stdout.contains("95%"));
    room.yarak(&format!("eval run --values {data} --out rows.csv"))
        .refuses(&["rows.csv: there is something already", "--force"]);
    room.yarak(&format!("eval run --values {data} --out rows.csv --force"))
        .ends_with(0);
    room.yarak(&format!("eval run --values {data} --video a.gif"))
        .refuses(&["cannot be used with"]);
    room.yarak("eval run --values nowhere.hdf5")
        .refuses(&["nowhere.hdf5", "there is no such file"]);
}

#[test]
fn rows_are_valued_with_their_frames_and_their_goals() {
    let room = Room::new();
    let scene = r#"Scene(steps: 20, plugins: [
        Dataset(path: "DATASET", frame_stack: 3),
        Td3Bc(goal_mode: Last, minibatch: (batch_size: 8), critic: (encoder: Mlp(hidden_sizes: [8])), actor: (encoder: Mlp(hidden_sizes: [8]))),
        Checkpoints(every: 20),
    ])"#;
    room.write("frames.ron", &with_dataset(scene));
    room.yarak("train frames.ron --run run").ends_with(0);
    let data = dataset();
    room.yarak(&format!(
        "eval run --values {} --out rows.csv",
        data.display()
    ))
    .ends_with(0);
    let columns = columns(&room.path("rows.csv"));
    let transitions = raw(&dataset());
    let mut policy = Policy::load(room.path("run")).unwrap();
    assert!(policy.takes_goal() && policy.frames() == 3);
    for episode in transitions.episodes().iter().step_by(5) {
        let goal = &*transitions.next_observation().row(episode.rows.end - 1);
        for row in episode.rows.clone() {
            let mut seen = Vec::new();
            for back in [2, 1, 0] {
                let at = row.saturating_sub(back).max(episode.rows.start);
                seen.extend_from_slice(&transitions.observation().row(at));
            }
            seen.extend_from_slice(goal);
            let q = policy.q(&seen, transitions.action().row(row)).unwrap();
            assert_near(columns["q_0"][row], q[0]);
        }
    }
}

#[test]
fn states_discrete_actions_and_proposed_actions_are_valued_as_well() {
    let room = Room::new();
    let small = "(encoder: Mlp(hidden_sizes: [8]))";
    let offline = |algorithm: &str, networks: &[&str]| {
        let networks: String = networks
            .iter()
            .map(|it| format!("{it}: {small}, "))
            .collect();
        with_dataset(&format!(
            "Scene(steps: 20, plugins: [Dataset(path: \"DATASET\"), {algorithm}({networks}minibatch: (batch_size: 8)), Checkpoints(every: 20)])"
        ))
    };
    let data = dataset();
    let data = data.to_str().unwrap();
    let names = "episode,step,reward,q_0,q_1,policy_q_0,policy_q_1";
    let with_v = format!("{names},v");
    for (algorithm, networks, names) in [
        ("Iql", &["value", "critic", "actor"][..], with_v.as_str()),
        ("Cql", &["critic", "actor"], names),
    ] {
        room.write("run.ron", &offline(algorithm, networks));
        room.yarak(&format!("train run.ron --run {algorithm}"))
            .ends_with(0);
        let eval = format!("eval {algorithm} --values {data} --out {algorithm}.csv");
        room.yarak(&eval).ends_with(0);
        let text = fs::read_to_string(room.path(&format!("{algorithm}.csv"))).unwrap();
        assert_eq!(text.lines().next(), Some(names));
    }
    let columns_of_iql = columns(&room.path("Iql.csv"));
    let mut policy = Policy::load(room.path("Iql")).unwrap();
    let transitions = raw(&dataset());
    for row in (0..transitions.len()).step_by(97) {
        let v = policy.v(&transitions.observation().row(row)).unwrap();
        assert_near(columns_of_iql["v"][row], v);
    }
    // A policy that takes its algorithm to act is asked through it.
    let bcq = offline("Bcq", &["vae", "critic", "actor"]);
    room.write("run.ron", &bcq.replace("Bcq(", "Bcq(act_samples: 3, "));
    room.yarak("train run.ron --run bcq").ends_with(0);
    let told = room.yarak(&format!("eval bcq --values {data}"));
    assert!(told.result().contains("policy_q_1"), "{}", told.stdout);

    room.write("run.ron", &offline("Bc", &["actor"]));
    room.yarak("train run.ron --run bc").ends_with(0);
    room.yarak(&format!("eval bc --values {data}"))
        .refuses(&["no network of the role `Critic` or `Value`"]);

    let dqn = r#"Scene(steps: 60, plugins: [
        Environments(env: "CartPole-v1"), Replay(capacity: 1_000),
        Dqn(minibatch: (batch_size: 8), off_policy: (learning_starts: 20)), Checkpoints(every: 60),
    ])"#;
    room.write("dqn.ron", dqn);
    room.yarak("train dqn.ron --run dqn").ends_with(0);
    room.yarak("collect dqn --out poles.hdf5 --steps 50 --random 0.5")
        .ends_with(0);
    room.yarak("eval dqn --values poles.hdf5 --out poles.csv")
        .ends_with(0);
    let columns = columns(&room.path("poles.csv"));
    let transitions = raw(&room.path("poles.hdf5"));
    let mut policy = Policy::load(room.path("dqn")).unwrap();
    let mut differ = 0;
    for (row, q) in columns["q_0"].iter().enumerate() {
        let observation = &*transitions.observation().row(row);
        let action = transitions.action().row(row);
        assert_near(*q, policy.q(observation, action).unwrap()[0]);
        let best = columns["policy_q_0"][row];
        assert!(best >= *q);
        differ += usize::from(best > *q);
    }
    assert!(differ > 5, "{differ}");
    let refused = policy
        .q(&transitions.observation().row(0), &[2.0])
        .unwrap_err();
    assert!(
        refused.to_string().contains("the actions are 0 to 1"),
        "{refused}"
    );
    // Of another task.
    room.yarak(&format!("eval dqn --values {data}"))
        .refuses(&["an observation has", "learned from"]);
}

/// The data said how many actions there are, and what only acts or values has no data.
#[test]
fn a_run_of_discrete_actions_on_data_is_played_and_valued_without_an_evaluation_in_its_scene() {
    let room = Room::new();
    room.write(
        "collect.ron",
        "Scene(steps: 200, plugins: [Environments(env: \"CartPole-v1\"), ActRandomly()])",
    );
    room.yarak("collect collect.ron --out data.hdf5")
        .ends_with(0);
    let small = "(encoder: Mlp(hidden_sizes: [8]))";
    for (name, algorithm) in [
        (
            "dqn",
            format!("Dqn(minibatch: (batch_size: 16), critic: {small})"),
        ),
        (
            "ppo",
            format!("Ppo(minibatches: 1, actor: {small}, critic: {small})"),
        ),
    ] {
        let scene = format!(
            "Scene(steps: 20, plugins: [Dataset(path: \"data.hdf5\"), {algorithm}, Checkpoints(every: 20, best: None)])"
        );
        room.write("scene.ron", &scene);
        room.yarak(&format!("train scene.ron --run {name}"))
            .ends_with(0);
        let played = room.yarak(&format!("eval {name} --env CartPole-v1 --episodes 2"));
        assert!(played.result().contains("over 2 episodes"));
        let values = room.yarak(&format!("eval {name} --values data.hdf5 --json"));
        let values: Json = serde_json::from_str(values.result()).unwrap();
        assert_eq!(values["rows"], 200, "{values}");
    }
    // The data are never replaced by what is said of them.
    let before = fs::read(room.path("data.hdf5")).unwrap();
    room.yarak("eval dqn --values data.hdf5 --out data.hdf5 --force")
        .refuses(&["these are the data"]);
    assert!(fs::read(room.path("data.hdf5")).unwrap() == before);
}
