//! A residual network, twice: as an encoder, which any network of any algorithm may have, and as a network with a role, here a model
//! of the environment that learns next to any algorithm.
//!
//! He et al. 2016, "Deep Residual Learning for Image Recognition", <https://arxiv.org/abs/1512.03385>, in layers for vectors.
//!
//! `cargo run --release --example residual -- train examples/residual.ron`

use burn::nn::{Linear, LinearConfig};
use yarak::prelude::*;

/// Residual blocks: each adds to its input what two layers make of it.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub struct Residual {
    /// Features, and the width of the blocks.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub width: usize,
    /// How many blocks.
    #[reflect(@Bounds::within(0.0, 100.0))]
    pub blocks: usize,
}

impl Default for Residual {
    fn default() -> Self {
        let (width, blocks) = (128, 2);
        Residual { width, blocks }
    }
}

/// The module: a layer to the blocks' width, and the blocks.
#[derive(Module, Debug)]
pub struct ResidualModule {
    first: Linear,
    blocks: Vec<Block>,
}

/// x + W₂ relu(W₁ x).
#[derive(Module, Debug)]
pub struct Block {
    inner: Linear,
    outer: Linear,
}

impl ResidualModule {
    fn new(settings: &Residual, input: usize, device: &Device) -> Self {
        let width = settings.width;
        let layer = |input| LinearConfig::new(input, width).init(device);
        let block = |_| Block {
            inner: layer(width),
            outer: layer(width),
        };
        ResidualModule {
            first: layer(input),
            blocks: (0..settings.blocks).map(block).collect(),
        }
    }

    /// Features `[batch, width]` of rows `[batch, input]`.
    fn features(&self, rows: Tensor<2>) -> Tensor<2> {
        let mut x = self.first.forward(rows);
        for block in &self.blocks {
            let hidden = block.inner.forward(x.clone());
            x = x + block.outer.forward(hidden.clamp_min(0.0));
        }
        x
    }
}

impl Encoder for Residual {
    type Module = ResidualModule;

    fn init(&self, input: &EncoderInput, device: &Device) -> Result<ResidualModule> {
        Ok(ResidualModule::new(self, input.width(), device))
    }

    fn forward(module: &ResidualModule, observation: Tensor<2>) -> Tensor<2> {
        module.features(observation)
    }
}

/// Learns what an action leads to, s' − s from s and a, next to whatever algorithm the scene has.
#[derive(Clone, Debug, Default, Resource, Reflect)]
pub struct LearnModel {
    /// The model's layers.
    pub network: Residual,
    /// How it is trained.
    pub optimizer: OptimizerSettings,
}

/// The role, and the slot in which it is trained.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Model;

impl Role for Model {
    type Network = ModelNetwork;
    const NAME: &'static str = "model";
}

/// The residual blocks, and a layer to the difference.
#[derive(Module, Debug)]
pub struct ModelNetwork {
    body: ResidualModule,
    last: Linear,
}

impl Network for ModelNetwork {}

impl ModelNetwork {
    /// s' − s, `[batch, observation]`, for observations and actions of a batch.
    fn difference(&self, observation: Tensor<2>, action: Tensor<2>) -> Tensor<2> {
        let rows = Tensor::cat(vec![observation, action], 1);
        // In training the weights are tracked, and a batch is not.
        let rows = rows.constant_of(&self.last.weight.val());
        self.last.forward(self.body.features(rows))
    }
}

impl Settings for LearnModel {
    fn check(&self, problems: &mut FieldProblems) {
        self.optimizer.check("optimizer", problems);
    }
}

impl Plugin for LearnModel {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_learner::<Model>(self.optimizer.clone())
            .add_systems(Startup, build_model)
            .insert_after(Learn, LearnSystems::Sample, Model, update_model);
    }
}

fn build_model(settings: Res<LearnModel>, mut networks: Networks) {
    let (s, a) = (networks.input().width(), networks.action());
    let model = networks.module(|device| ModelNetwork {
        body: ResidualModule::new(&settings.network, s + a, device),
        last: LinearConfig::new(settings.network.width, s).init(device),
    });
    networks.insert::<Model>(model);
}

/// mean((f(s, a) − (s' − s))²).
pub fn update_model(
    batch: Res<Batch>,
    mut model: Learning<Model>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let (s, next) = (batch.observation.clone(), batch.next_observation.clone());
    let difference = model.difference(s.clone(), batch.action.clone());
    let loss = losses::mse(difference, next - s);
    metrics.record("model/loss", loss.clone());
    model.descend(loss)?;
    Ok(())
}

fn main() -> AppExit {
    yarak::cli::run(|app| {
        app.register_encoder::<Residual>()
            .register_for_scenes::<LearnModel>();
    })
}
