//! Flow matching: chunks of actions, along straight ways from noise that a network learned.
//!
//! Lipman et al. 2023, "Flow Matching for Generative Modeling", <https://arxiv.org/abs/2210.02747>, as the imitation of Park, Li & Levine
//! 2025, "Flow Q-Learning", <https://arxiv.org/abs/2502.02538>. The file reads from top to bottom: settings, network, the step, the
//! average that acts. `docs/flow_bc.md` lists every difference from the authors' code.

use yarak::prelude::*;

/// Behavior cloning by flow matching (Lipman et al. 2023, <https://arxiv.org/abs/2210.02747>; Park et al. 2025,
/// <https://arxiv.org/abs/2502.02538>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct FlowBc {
    /// The minibatches.
    pub minibatch: MinibatchSettings,
    /// Where the goal comes from that is appended to every observation. None: no goal.
    pub goal_mode: Option<GoalMode>,
    /// How many actions the policy predicts at once, and how they are executed.
    pub action_chunk: data::ActionChunk,
    /// Euler steps from noise to actions where it acts.
    #[reflect(@Bounds::within(1.0, 10_000.0))]
    pub flow_steps: usize,
    /// Numbers that the time becomes for the network, an even number.
    #[reflect(@Bounds::within(2.0, 65_536.0))]
    pub time_features: usize,
    /// What is behind the encoder.
    pub body: policy::denoising::DenoiserBody,
    /// The network.
    pub actor: NetworkSettings,
    /// How the weights that act follow those that are trained.
    pub averaging: policy::denoising::WeightAveraging,
}

impl Default for FlowBc {
    /// Flow Q-learning's, with averaged weights.
    fn default() -> Self {
        FlowBc {
            minibatch: MinibatchSettings::of(256),
            goal_mode: None,
            action_chunk: data::ActionChunk::default(),
            flow_steps: 10,
            time_features: 64,
            body: policy::denoising::DenoiserBody::Mlp,
            actor: NetworkSettings {
                encoder: EncoderSettings::new(MlpSettings {
                    hidden_sizes: vec![512; 4],
                    activation: Activation::Gelu,
                    ..default()
                }),
                ..default()
            },
            averaging: policy::denoising::WeightAveraging::default(),
        }
    }
}

impl Settings for FlowBc {
    fn check(&self, problems: &mut FieldProblems) {
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

/// The policy: the velocity from noise to actions.
pub struct FlowActor;

impl Role for FlowActor {
    type Network = policy::denoising::Denoiser;
    const NAME: &'static str = "actor";
}

impl Plugin for FlowBc {
    fn build(&self, app: &mut App) {
        let minibatches = self.minibatch.plugin(0.0, 1, false);
        app.insert_resource(self.clone())
            .add_plugins(minibatches.in_chunks(self.action_chunk))
            .add_plugins(GoalPlugin {
                mode: self.goal_mode,
            })
            .add_learner::<FlowActor>(self.actor.optimizer.clone())
            .add_target::<FlowActor>()
            .acts_with_target::<FlowActor>()
            .trains_on(TrainsOn::Continuous)
            .learns_from(LearnsFrom::Actions)
            .add_random::<Noise>()
            .add_systems(Startup, build_network)
            .add_systems(
                Learn,
                (
                    match_flow.in_set(LearnSystems::Actor),
                    average_weights.in_set(LearnSystems::Targets),
                ),
            )
            .add_systems(Validate, validate.in_set(ValidateSystems::Losses));
    }
}

fn build_network(flow: Res<FlowBc>, mut networks: Networks) -> Result {
    let form = policy::denoising::DenoiserForm {
        horizon: networks.prediction_horizon(),
        action: networks.action(),
        time_features: flow.time_features,
        body: flow.body.clone(),
        process: policy::denoising::Process::Flow {
            flow_steps: flow.flow_steps,
        },
    };
    let actor = networks.denoiser(flow.actor.layers(), form)?;
    networks.insert_with_target::<FlowActor>(actor);
    Ok(())
}

/// How far the network is from the velocity of straight ways from noise x to actions a, at random times t of them, `[1]`:
/// mean((v_θ((1 − t) x + t a, t, s) − (a − x))²) over the batch and the chunk's numbers.
fn flow_loss(
    actor: &policy::denoising::Denoiser,
    batch: &Batch,
    random: &mut Random<Noise>,
) -> Tensor<1> {
    let rows = batch.rows();
    let action = batch.action.clone();
    let shares = random.uniforms(rows, 0.0, 1.0);
    let times: Vec<f32> = shares
        .iter()
        .map(|share| policy::denoising::Process::flow_time(*share))
        .collect();
    let noise = random.normal_like(&action);
    let velocity = action - noise.clone();
    let on_the_way = policy::denoising::Process::on_the_way(noise, velocity.clone(), &shares);
    let seen = actor.condition(batch.observation.clone());
    losses::mse(actor.estimate(seen, on_the_way, &times), velocity)
}

/// One step of the network towards the velocity from noise to the data's actions.
pub fn match_flow(
    batch: Res<Batch>,
    mut noise: ResMut<Random<Noise>>,
    mut actor: Learning<FlowActor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let loss = flow_loss(&actor, &batch, &mut noise);
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The weights that act follow those that are trained.
pub fn average_weights(
    flow: Res<FlowBc>,
    tick: Res<Tick<FlowActor>>,
    mut actor: Tracking<FlowActor>,
) {
    if tick.active {
        actor.follow(flow.averaging.tau(tick.count));
    }
}

/// The same loss of the averaged weights on held-out rows, with noise of its own.
fn validate(batch: Res<Batch>, actor: Res<Target<FlowActor>>, mut metrics: ResMut<Metrics>) {
    let mut noise = batch.stream::<Noise>();
    let loss = flow_loss(&actor, &batch, &mut noise);
    metrics.record("validate/actor/loss", loss);
}

#[cfg(test)]
mod tests {
    use super::*;
    use yarak::testing::{Mistake, Trial};

    fn small(edit: impl Fn(&mut FlowBc)) -> Trial {
        let mut flow = FlowBc {
            minibatch: MinibatchSettings::of(64),
            flow_steps: 5,
            time_features: 16,
            ..default()
        };
        flow.actor.encoder.set_hidden_sizes(&[32]);
        flow.actor.optimizer.learning_rate = Schedule::Constant(3e-3);
        edit(&mut flow);
        Trial::of(flow)
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
        for chunk in [1, 4] {
            let trial = small(|it| it.action_chunk = data::ActionChunk::of(chunk));
            trial.looking_changes_nothing()?;
            trial.same_seed_same_bits()?;
            trial.resumes_exactly()?;
        }
        Ok(())
    }

    #[test]
    fn it_learns_to_imitate() -> Result<(), Mistake> {
        small(|it| it.actor.encoder.set_hidden_sizes(&[64, 64])).learns_to_imitate(1_500)
    }
}
