//! Diffusion Policy: chunks of actions, made out of noise by a network that learned what noise is.
//!
//! Chi et al. 2023, "Diffusion Policy: Visuomotor Policy Learning via Action Diffusion", <https://arxiv.org/abs/2303.04137>. The file
//! reads from top to bottom: settings, network, the step, the average that acts. `docs/diffusion.md` lists every difference from the
//! authors' code.

use yarak::prelude::*;

/// Diffusion Policy: imitation by a denoising diffusion over chunks of actions (Chi et al. 2023,
/// <https://arxiv.org/abs/2303.04137>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Diffusion {
    /// The minibatches.
    pub minibatch: MinibatchSettings,
    /// Where the goal comes from that is appended to every observation. None: no goal.
    pub goal_mode: Option<GoalMode>,
    /// How many actions the policy predicts at once, and how they are executed.
    pub action_chunk: data::ActionChunk,
    /// Steps of the diffusion, over which actions become noise.
    #[reflect(@Bounds::within(1.0, 10_000.0))]
    pub diffusion_steps: usize,
    /// Steps from noise to actions where it acts, evenly spread over those of the diffusion.
    #[reflect(@Bounds::within(1.0, 10_000.0))]
    pub sampling_steps: usize,
    /// How they are taken.
    pub sampler: policy::denoising::Sampler,
    /// Numbers that the diffusion step becomes for the network, an even number.
    #[reflect(@Bounds::within(2.0, 65_536.0))]
    pub time_features: usize,
    /// What is behind the encoder.
    pub body: policy::denoising::DenoiserBody,
    /// The network.
    pub actor: NetworkSettings,
    /// How the weights that act follow those that are trained.
    pub averaging: policy::denoising::WeightAveraging,
}

impl Default for Diffusion {
    /// The authors' for observations that are no pictures, with a perceptron and few steps where it acts.
    fn default() -> Self {
        Diffusion {
            minibatch: MinibatchSettings::of(256),
            goal_mode: None,
            action_chunk: data::ActionChunk {
                execution: data::ChunkExecution::First(8),
                ..data::ActionChunk::of(16)
            },
            diffusion_steps: 100,
            sampling_steps: 10,
            sampler: policy::denoising::Sampler::Ddim,
            time_features: 64,
            body: policy::denoising::DenoiserBody::Mlp,
            actor: NetworkSettings {
                encoder: EncoderSettings::from(&[512, 512, 512]),
                optimizer: OptimizerSettings {
                    rule: Optimizer::AdamW {
                        betas: Some((0.95, 0.999)),
                        epsilon: None,
                    },
                    weight_decay: 1e-6,
                    ..OptimizerSettings::at(1e-4)
                },
                ..default()
            },
            averaging: policy::denoising::WeightAveraging::default(),
        }
    }
}

impl Settings for Diffusion {
    fn check(&self, problems: &mut FieldProblems) {
        if self.sampling_steps > self.diffusion_steps {
            problems.refuse(
                "sampling_steps",
                "are steps of the diffusion: give at most `diffusion_steps`",
            );
        }
        if !self.time_features.is_multiple_of(2) {
            problems.refuse(
                "time_features",
                "are sines and cosines: give an even number",
            );
        }
        self.action_chunk.check("action_chunk", problems);
        self.body
            .check(self.action_chunk.prediction_horizon, "body", problems);
        self.actor.check("actor", problems);
    }
}

/// The policy: what noise is in a chunk of actions.
pub struct DiffusionActor;

impl Role for DiffusionActor {
    type Network = policy::denoising::Denoiser;
    const NAME: &'static str = "actor";
}

impl Plugin for Diffusion {
    fn build(&self, app: &mut App) {
        let minibatches = self.minibatch.plugin(0.0, 1, false);
        app.insert_resource(self.clone())
            .add_plugins(minibatches.in_chunks(self.action_chunk))
            .add_plugins(GoalPlugin {
                mode: self.goal_mode,
            })
            .add_learner::<DiffusionActor>(self.actor.optimizer.clone())
            .add_target::<DiffusionActor>()
            .acts_with_target::<DiffusionActor>()
            .trains_on(TrainsOn::Continuous)
            .learns_from(LearnsFrom::Actions)
            .add_random::<Noise>()
            .add_systems(Startup, build_network)
            .add_systems(
                Learn,
                (
                    denoise.in_set(LearnSystems::Actor),
                    average_weights.in_set(LearnSystems::Targets),
                ),
            )
            .add_systems(Validate, validate.in_set(ValidateSystems::Losses));
    }
}

fn build_network(diffusion: Res<Diffusion>, mut networks: Networks) -> Result {
    let form = policy::denoising::DenoiserForm {
        horizon: networks.prediction_horizon(),
        action: networks.action(),
        time_features: diffusion.time_features,
        body: diffusion.body.clone(),
        process: policy::denoising::Process::Diffusion {
            diffusion_steps: diffusion.diffusion_steps,
            sampling_steps: diffusion.sampling_steps,
            sampler: diffusion.sampler,
        },
    };
    let actor = networks.denoiser(diffusion.actor.layers(), form)?;
    networks.insert_with_target::<DiffusionActor>(actor);
    Ok(())
}

/// How far the network is from the noise ε in actions of random diffusion steps t, `[1]`: mean((ε_θ(√ᾱ_t a + √(1 − ᾱ_t) ε, t, s) − ε)²)
/// over the batch and the chunk's numbers.
fn denoising_loss(
    diffusion: &Diffusion,
    actor: &policy::denoising::Denoiser,
    batch: &Batch,
    random: &mut Random<Noise>,
) -> Tensor<1> {
    let schedule = policy::denoising::NoiseSchedule::squared_cosine(diffusion.diffusion_steps);
    let steps = random.uniforms(batch.rows(), 0.0, schedule.steps() as f32);
    // What is just below the end is rounded to it.
    let steps: Vec<usize> = steps
        .into_iter()
        .map(|step| (step as usize).min(schedule.steps() - 1))
        .collect();
    let times: Vec<f32> = steps.iter().map(|step| *step as f32).collect();
    let noise = random.normal_like(&batch.action);
    let noisy = schedule.add_noise(batch.action.clone(), noise.clone(), &steps);
    let seen = actor.condition(batch.observation.clone());
    losses::mse(actor.estimate(seen, noisy, &times), noise)
}

/// One step of the network towards the noise in the data's actions.
pub fn denoise(
    diffusion: Res<Diffusion>,
    batch: Res<Batch>,
    mut noise: ResMut<Random<Noise>>,
    mut actor: Learning<DiffusionActor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let loss = denoising_loss(&diffusion, &actor, &batch, &mut noise);
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The weights that act follow those that are trained.
pub fn average_weights(
    diffusion: Res<Diffusion>,
    tick: Res<Tick<DiffusionActor>>,
    mut actor: Tracking<DiffusionActor>,
) {
    if tick.active {
        actor.follow(diffusion.averaging.tau(tick.count));
    }
}

/// The same loss of the averaged weights on held-out rows, with noise of its own.
fn validate(
    diffusion: Res<Diffusion>,
    batch: Res<Batch>,
    actor: Res<Target<DiffusionActor>>,
    mut metrics: ResMut<Metrics>,
) {
    let mut noise = batch.stream::<Noise>();
    let loss = denoising_loss(&diffusion, &actor, &batch, &mut noise);
    metrics.record("validate/actor/loss", loss);
}

#[cfg(test)]
mod tests {
    use super::*;
    use yarak::testing::{Mistake, Trial};

    fn small(edit: impl Fn(&mut Diffusion)) -> Trial {
        let mut diffusion = Diffusion {
            minibatch: MinibatchSettings::of(64),
            action_chunk: data::ActionChunk::of(4),
            sampling_steps: 5,
            time_features: 16,
            ..default()
        };
        diffusion.actor.encoder.set_hidden_sizes(&[32]);
        diffusion.actor.optimizer.learning_rate = Schedule::Constant(3e-3);
        edit(&mut diffusion);
        Trial::of(diffusion)
    }

    #[test]
    fn one_step_changes_the_network_and_the_other_the_average() -> Result<(), Mistake> {
        let plain = || small(|_| ());
        plain().networks_exist(&["actor"])?;
        plain().one_writer_for_each_network()?;
        plain().changes(&[
            (LearnSystems::Actor, &["actor"]),
            (LearnSystems::Targets, &["target_actor"]),
        ])
    }

    #[test]
    fn runs_repeat_resume_and_are_not_moved_by_looking() -> Result<(), Mistake> {
        let averaged = |it: &mut Diffusion| {
            it.action_chunk.execution = data::ChunkExecution::Averaged(0.01);
            it.sampler = policy::denoising::Sampler::Ddpm;
        };
        let unet = |it: &mut Diffusion| {
            it.minibatch = MinibatchSettings::of(8);
            it.body = policy::denoising::DenoiserBody::Unet {
                channels: vec![8, 16],
                kernel_size: 3,
                groups: 4,
            };
        };
        for trial in [small(|_| ()), small(averaged), small(unet)] {
            trial.looking_changes_nothing()?;
            trial.same_seed_same_bits()?;
            trial.resumes_exactly()?;
        }
        Ok(())
    }

    #[test]
    fn it_learns_to_imitate() -> Result<(), Mistake> {
        let single = |it: &mut Diffusion| {
            it.action_chunk = data::ActionChunk::default();
            it.actor.encoder.set_hidden_sizes(&[64, 64]);
        };
        small(single).learns_to_imitate(1_500)
    }
}
