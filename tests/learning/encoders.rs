//! An encoder of somebody's own is in every algorithm: it trains, repeats and resumes bit for bit, drops in training and nowhere
//! else, and leaves with the policy.

use yarak::checkpoint::gather;
use yarak::evaluate::Acting;
use yarak::nn::{Cnn, Pooling, register_encoder};
use yarak::observation::EncoderInput;
use yarak::policy;
use yarak::prelude::*;
use yarak::scene::{Scene, SceneRegistry};
use yarak::testing::{Mistake, Trial};

use crate::small_run::{device, fed, file, some_rows, step, step_metrics, trial};

#[allow(dead_code)] // Its `main` is the example's.
#[path = "../../examples/custom_encoder.rs"]
mod custom_encoder;
use custom_encoder::Fourier;

fn encoder(dropout: f32) -> EncoderSettings {
    EncoderSettings::new(Fourier {
        frequencies: 1,
        width: 24,
        dropout,
    })
}

fn network(dropout: f32) -> NetworkSettings {
    NetworkSettings {
        encoder: encoder(dropout),
        head_sizes: Some(vec![24]),
        optimizer: OptimizerSettings::at(3e-3),
    }
}

fn td3_bc(dropout: f32) -> Td3Bc {
    let mut td3 = Td3Bc {
        minibatch: MinibatchSettings::of(32),
        ..default()
    };
    (td3.actor.encoder, td3.critic.encoder) = (encoder(dropout), encoder(dropout));
    (td3.actor.head_sizes, td3.critic.head_sizes) = (Some(vec![24]), Some(vec![24]));
    td3.actor.optimizer = OptimizerSettings::at(3e-3);
    td3.critic.optimizer = OptimizerSettings::at(3e-3);
    td3
}

fn ensemble(dropout: f32) -> CriticSettings {
    CriticSettings {
        encoder: encoder(dropout),
        head_sizes: Some(vec![24]),
        optimizer: OptimizerSettings::at(3e-3),
        ..default()
    }
}

fn policy_settings() -> on_policy::PolicySettings {
    on_policy::PolicySettings {
        encoder: encoder(0.0),
        head_sizes: Some(vec![24]),
        ..default()
    }
}

fn value_settings() -> on_policy::ValueSettings {
    on_policy::ValueSettings {
        encoder: encoder(0.0),
        head_sizes: Some(vec![24]),
        ..default()
    }
}

/// What is asked of any plugin, whatever its networks are.
fn stands(trial: impl Fn() -> Trial) -> Result<(), Mistake> {
    trial().losses_are_finite()?;
    trial().one_writer_for_each_network()?;
    trial().looking_changes_nothing()?;
    trial().same_seed_same_bits()?;
    trial().resumes_exactly()
}

#[test]
fn every_algorithm_takes_it_without_a_line_of_its_own() -> Result<(), Mistake> {
    for dropout in [0.0, 0.2] {
        let network = || network(dropout);
        stands(|| trial(td3_bc(dropout)))?;
        stands(|| {
            trial(Bc {
                minibatch: MinibatchSettings::of(32),
                actor: network(),
                head: Some(PolicyHead::Mixture),
                ..default()
            })
        })?;
        stands(|| {
            trial(Sac {
                minibatch: MinibatchSettings::of(32),
                critic: ensemble(dropout),
                actor: network(),
                ..default()
            })
        })?;
        stands(|| {
            trial(Iql {
                minibatch: MinibatchSettings::of(32),
                value: network(),
                critic: ensemble(dropout),
                actor: network(),
                ..default()
            })
        })?;
        stands(|| {
            trial(Cql {
                minibatch: MinibatchSettings::of(32),
                actions: 2,
                imitation_steps: 4,
                critic: ensemble(dropout),
                actor: network(),
                ..default()
            })
        })?;
        stands(|| {
            trial(Bcq {
                minibatch: MinibatchSettings::of(32),
                act_samples: 4,
                vae: network(),
                critic: ensemble(dropout),
                actor: network(),
                ..default()
            })
        })?;
        stands(|| {
            let dqn = Dqn {
                minibatch: MinibatchSettings::of(32),
                critic: network(),
                dueling: true,
                ..default()
            };
            trial(dqn).with_discrete_actions(3)
        })?;
    }
    stands(|| {
        trial(Ppo {
            steps: 8,
            minibatches: 2,
            actor: policy_settings(),
            critic: value_settings(),
            ..default()
        })
    })
}

#[test]
fn it_learns() -> Result<(), Mistake> {
    trial(td3_bc(0.0)).learns_to_imitate(600)?;
    trial(td3_bc(0.0)).targets_follow(0.005)?;
    trial(td3_bc(0.1)).changes(&[
        (LearnSystems::Critic, &["critic"]),
        (LearnSystems::Actor, &["actor"]),
        (LearnSystems::Targets, &["target_actor", "target_critic"]),
    ])
}

#[test]
fn its_tensors_are_saved_by_their_names_for_each_member() {
    let app = fed(td3_bc(0.0), vec![some_rows(8, [3, 2])]);
    let actor = file(&app, "actor");
    let names: Vec<&str> = actor.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "0.bias",
            "0.weight",
            "1.bias",
            "1.weight",
            "encoder.layer.bias",
            "encoder.layer.weight"
        ]
    );
    let critic = file(&app, "critic");
    assert_eq!(critic["0.encoder.layer.weight"].shape, [6, 24]);
    // The critics see the action behind the encoder.
    assert_eq!(critic["1.0.weight"].shape, [24 + 2, 24]);
    assert_ne!(
        critic["0.encoder.layer.weight"], critic["1.encoder.layer.weight"],
        "members begin alike"
    );
}

#[test]
fn burns_dropout_is_on_in_the_step_that_trains_and_nowhere_else() {
    let losses = |critic: f32, actor: f32| {
        let mut td3 = td3_bc(0.0);
        td3.actor.update_freq = 1;
        (td3.critic.encoder, td3.actor.encoder) = (encoder(critic), encoder(actor));
        let mut app = fed(td3, vec![some_rows(16, [3, 2])]);
        step_metrics(&mut app)
    };
    let without = losses(0.0, 0.0);
    let critic = losses(0.5, 0.0);
    let actor = losses(0.0, 0.5);
    assert_ne!(without["critic/loss"], critic["critic/loss"]);
    assert_ne!(without["actor/loss"], actor["actor/loss"]);
    // Targets never drop, and a critic does not in the actor's loss.
    assert_eq!(without["critic/q_target"], critic["critic/q_target"]);
    assert_eq!(without["critic/q_target"], actor["critic/q_target"]);
    assert_eq!(without["critic/loss"], actor["critic/loss"]);
}

#[test]
fn a_policy_with_it_is_written_and_loaded_and_acts_alike() {
    register_encoder::<Fourier>().unwrap();
    let mut app = fed(td3_bc(0.2), vec![some_rows(8, [3, 2])]);
    step(&mut app);
    app.persist::<Preprocessing>();
    let snapshot = gather(app.world(), 1).unwrap();
    let mut loaded = policy::Policy::of(&snapshot).unwrap();
    let observation = [0.3, -0.2, 0.9];
    let acting = *app.world().resource::<Acting>();
    let device = device().plain();
    let row = Tensor::<2>::from_floats([observation], &device);
    let acted = acting.act(app.world(), row).unwrap().into_data();
    let acted: Vec<f32> = acted.into_vec().unwrap();
    let alike = loaded.act(&observation).unwrap();
    for (ours, theirs) in alike.iter().zip(&acted) {
        assert!((ours - theirs).abs() < 1e-5, "{alike:?} {acted:?}");
    }
}

#[test]
fn an_encoder_that_cannot_be_made_is_an_error_with_its_name() {
    /// Never fits.
    #[derive(Clone, Debug, Default, Reflect)]
    struct Picky {}
    impl Encoder for Picky {
        type Module = burn::nn::Linear;
        fn init(&self, input: &EncoderInput, _: &Device) -> Result<burn::nn::Linear> {
            Err(format!("{} numbers are no picture", input.width()).into())
        }
        fn forward(module: &burn::nn::Linear, observation: Tensor<2>) -> Tensor<2> {
            module.forward(observation)
        }
    }
    /// Keeps running statistics.
    #[derive(Clone, Debug, Default, Reflect)]
    struct Running {}
    #[derive(Module, Debug)]
    struct RunningModule {
        norm: burn::nn::BatchNorm,
    }
    impl Encoder for Running {
        type Module = RunningModule;
        fn init(&self, input: &EncoderInput, device: &Device) -> Result<RunningModule> {
            let norm = burn::nn::BatchNormConfig::new(input.width()).init(device);
            Ok(RunningModule { norm })
        }
        fn forward(module: &RunningModule, observation: Tensor<2>) -> Tensor<2> {
            module.norm.forward(observation)
        }
    }
    let device = device().plain();
    let init = &mut Random::<Init>::new(Seed(0));
    let mut refused = |encoder: EncoderSettings| {
        let head = ActorHead::Deterministic;
        let actor = ActorNetwork::new(encoder, head, 3, 1, &device, init);
        actor.unwrap_err().to_string()
    };
    let said = refused(EncoderSettings::new(Picky {}));
    assert!(
        said.contains("`Picky` cannot be made: 3 numbers are no picture"),
        "{said}"
    );
    let said = refused(EncoderSettings::new(Running {}));
    assert!(said.contains("BatchNorm"), "{said}");
}

fn parse(td3_bc: &str, overrides: &[&str]) -> Result<Td3Bc, String> {
    register_encoder::<Fourier>().unwrap();
    let mut registry = SceneRegistry::new();
    registry.register::<Td3Bc>().unwrap();
    let text = format!("Scene(steps: 1, plugins: [Td3Bc({td3_bc})])");
    let overrides: Vec<String> = overrides.iter().map(|it| (*it).to_owned()).collect();
    let scene = Scene::parse("a.ron", &text, &registry, &overrides);
    let scene = scene.map_err(|problems| problems.to_string())?;
    // What a run's folder keeps reads back to the same.
    let back = Scene::parse("a.ron", &scene.to_ron(), &registry, &[]).unwrap();
    assert!(scene.differences(&back).is_empty());
    Ok(scene.settings::<Td3Bc>().unwrap().clone())
}

#[test]
fn a_scene_names_an_encoder_and_leaves_out_what_it_likes() {
    let read = parse("actor: (encoder: Fourier(width: 7))", &[]).unwrap();
    let expected = Fourier {
        width: 7,
        ..default()
    };
    assert_eq!(read.actor.encoder, EncoderSettings::new(expected));
    assert_eq!(read.critic.encoder, EncoderSettings::default());
    // An `Mlp` keeps the algorithm's own default, with the name and without it.
    for text in ["Mlp(activation: Tanh)", "(activation: Tanh)"] {
        let read = parse(&format!("actor: (encoder: {text})"), &[]).unwrap();
        let mlp = read.actor.encoder.as_mlp().unwrap();
        assert_eq!(mlp.activation, Activation::Tanh);
        assert_eq!(mlp.hidden_sizes, [256, 256]);
    }
    let set = [
        "Td3Bc.actor.encoder.hidden_sizes=[5]",
        "Td3Bc.critic.encoder=Fourier(width: 3)",
    ];
    let read = parse("", &set).unwrap();
    assert_eq!(read.actor.encoder, EncoderSettings::from(&[5]));
    assert_eq!(read.critic.encoder.name(), "Fourier");
    // A type that one encoder has and no algorithm.
    let set = ["Td3Bc.actor.encoder.pooling=Average"];
    let read = parse("actor: (encoder: Cnn(features: 7))", &set).unwrap();
    let expected = Cnn {
        features: 7,
        pooling: Pooling::Average,
        ..default()
    };
    assert_eq!(read.actor.encoder, EncoderSettings::new(expected));
}

#[test]
fn an_encoder_that_is_not_known_or_has_no_such_setting_is_refused_with_those_that_there_are() {
    for (text, said) in [
        ("Forier(width: 7)", "did you mean `Fourier`?"),
        ("Fourier(widht: 7)", "no field is called `widht`"),
        (
            "Fourier(width: 0)",
            "expected a whole number from 1 to 65536, found 0",
        ),
        ("[256, 256]", "expected an encoder, found"),
    ] {
        let refused = parse(&format!("actor: (encoder: {text})"), &[]).unwrap_err();
        assert!(refused.contains(said), "{refused}");
    }
}

#[test]
fn schemas_and_templates_name_every_encoder() {
    register_encoder::<Fourier>().unwrap();
    let mut registry = SceneRegistry::new();
    registry.register::<Td3Bc>().unwrap();
    let entry = registry.entry("Td3Bc").unwrap();
    let schema = entry.schema_text();
    assert!(
        schema.contains("| Fourier(frequencies: .., ..)"),
        "{schema}"
    );
    assert!(
        schema.contains("width: a whole number from 1 to 65536 = 128"),
        "{schema}"
    );
    let template = entry.template();
    assert!(
        template.contains("encoder: Mlp(hidden_sizes: [256, 256]"),
        "{template}"
    );
    assert!(entry.json_schema().to_string().contains("Fourier"));
}
