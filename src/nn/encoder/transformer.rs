//! The encoder that attends to all steps it has seen.

use bevy_ecs::prelude::Result;
use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;
use burn::module::{Initializer, Module, Param};
use burn::nn::LayerNorm;
use burn::tensor::{Device, Tensor, TensorData};

use super::steps::{self, Steps};
use super::{Encoder, EncoderSettings};
use crate::memory;
use crate::nn::attention::attend;
use crate::nn::dropout::Mask;
use crate::nn::layer_norm::{layer_norm, normalized};
use crate::nn::{Activation, Mlp, MlpShape};
use crate::observation::EncoderInput;
use crate::scene::{Bounds, FieldProblems};
use crate::transfer::upload;

/// A causal transformer over the steps that `frame_stack` lays side by side, the context: `encoder: Transformer(layers: 4)`.
///
/// GPT's blocks with the normalization in front (Radford et al. 2019), as robomimic's `BC_Transformer` has them: the features of each
/// step and its position, normalized; blocks of attention and a perceptron, each added to what it reads; a last normalization.
#[derive(Clone, Debug, PartialEq, Reflect)]
#[reflect(Default)]
pub struct Transformer {
    /// What encodes the observation of each step, in front of the embedding. An `Mlp` without hidden layers leaves it as it is.
    pub each: EncoderSettings,
    /// Numbers in the embedding of a step, and in the features; divisible by `heads`.
    #[reflect(@Bounds::within(1.0, 16_384.0))]
    pub embedding: usize,
    /// Blocks.
    #[reflect(@Bounds::within(1.0, 256.0))]
    pub layers: usize,
    /// Heads of attention in a block.
    #[reflect(@Bounds::within(1.0, 256.0))]
    pub heads: usize,
    /// How a step's position is known.
    pub positions: Positions,
    /// The share of the embeddings that a training step drops.
    #[reflect(@Bounds::at_least(0.0).under(1.0))]
    pub embedding_dropout: f32,
    /// The share of the attention that a training step drops.
    #[reflect(@Bounds::at_least(0.0).under(1.0))]
    pub attention_dropout: f32,
    /// The share of what a block adds that a training step drops.
    #[reflect(@Bounds::at_least(0.0).under(1.0))]
    pub block_dropout: f32,
}

/// How a transformer knows where in the context a step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum Positions {
    /// A vector for each position is learned.
    #[default]
    Learned,
    /// Sines and cosines (Vaswani et al. 2017, section 3.5, <https://arxiv.org/abs/1706.03762>).
    Sinusoidal,
}

impl Default for Transformer {
    /// robomimic's: six blocks of eight heads, 512 wide, with a tenth dropped.
    fn default() -> Self {
        Transformer {
            each: steps::as_it_is(),
            embedding: 512,
            layers: 6,
            heads: 8,
            positions: Positions::Learned,
            embedding_dropout: 0.1,
            attention_dropout: 0.1,
            block_dropout: 0.1,
        }
    }
}

/// Why a transformer cannot be made.
#[derive(Debug, thiserror::Error)]
#[error(
    "its `embedding` of {embedding} cannot be divided among {heads} heads: make it a multiple of `heads`"
)]
struct Undivided {
    embedding: usize,
    heads: usize,
}

/// The module of a [`Transformer`].
#[derive(Module, Debug)]
pub struct TransformerModule {
    steps: Steps,
    embed: Mlp,
    /// Those that are learned, `[steps, embedding]`.
    learned: Option<Param<Tensor<2>>>,
    embedded: LayerNorm,
    blocks: Vec<Block>,
    last: LayerNorm,
    #[module(skip)]
    embedding: usize,
    #[module(skip)]
    dropout: f32,
}

#[derive(Module, Debug)]
struct Block {
    before_attention: LayerNorm,
    /// Queries, keys and values of a step.
    attend: Mlp,
    join: Mlp,
    before_perceptron: LayerNorm,
    perceptron: Mlp,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    attention_dropout: f32,
    #[module(skip)]
    block_dropout: f32,
}

/// GPT's: weights from a normal distribution, biases of 0.
const DEVIATION: f64 = 0.02;

/// A perceptron of these widths with GPT's initial weights.
fn perceptron(sizes: &[usize], device: &Device) -> Mlp {
    let shape = MlpShape {
        sizes: sizes.to_vec(),
        hidden: Activation::Gelu,
        ..MlpShape::default()
    };
    let normal = burn::tensor::Distribution::Normal(0.0, DEVIATION);
    let plain = device.clone().inner();
    let pieces = sizes.windows(2).flat_map(|pair| {
        let weight = Tensor::<2>::random([1, pair[0] * pair[1]], normal, &plain);
        [weight, Tensor::zeros([1, pair[1]], &plain)]
    });
    let parameters = Tensor::cat(pieces.collect(), 1);
    Mlp::from_parameters(shape, parameters, device)
}

impl Transformer {
    fn divided(&self) -> Result<(), Undivided> {
        let (embedding, heads) = (self.embedding, self.heads);
        match embedding.is_multiple_of(heads.max(1)) {
            true => Ok(()),
            false => Err(Undivided { embedding, heads }),
        }
    }
}

impl Encoder for Transformer {
    type Module = TransformerModule;

    const HAS_MEMORY: bool = true;

    fn init(&self, input: &EncoderInput, device: &Device) -> Result<TransformerModule> {
        let Transformer {
            embedding, heads, ..
        } = *self;
        self.divided()?;
        let (steps, features) = Steps::new(&self.each, input, device)?;
        let wide = embedding as u64;
        let of_blocks = self.layers as u64 * 12 * wide.saturating_mul(wide);
        let parameters = of_blocks.saturating_add(wide.saturating_mul(features as u64));
        let what = format!("a transformer of {} blocks, {embedding} wide,", self.layers);
        // The weights, their gradients and two moments.
        memory::check(&what, parameters.saturating_mul(16), "lower `embedding`")?;
        let norm = || layer_norm(embedding, device);
        let block = |_| Block {
            before_attention: norm(),
            attend: perceptron(&[embedding, 3 * embedding], device),
            join: perceptron(&[embedding, embedding], device),
            before_perceptron: norm(),
            perceptron: perceptron(&[embedding, 4 * embedding, embedding], device),
            heads,
            attention_dropout: self.attention_dropout,
            block_dropout: self.block_dropout,
        };
        let normal = Initializer::Normal {
            mean: 0.0,
            std: DEVIATION,
        };
        let learned = self.positions == Positions::Learned;
        Ok(TransformerModule {
            embed: perceptron(&[features, embedding], device),
            learned: learned.then(|| normal.init([steps.count(), embedding], device)),
            embedded: norm(),
            blocks: (0..self.layers).map(block).collect(),
            last: norm(),
            steps,
            embedding,
            dropout: self.embedding_dropout,
        })
    }

    fn check(&self, field: &str, problems: &mut FieldProblems) {
        if let Err(error) = self.divided() {
            problems.refuse(format!("{field}.embedding"), error.to_string());
        }
        steps::check_each(&self.each, field, problems);
    }

    fn forward(module: &TransformerModule, observation: Tensor<2>) -> Tensor<2> {
        steps::last(module.known(observation))
    }

    fn forward_each(module: &TransformerModule, observation: Tensor<2>) -> Tensor<2> {
        steps::each(module.known(observation))
    }

    fn values_per_row(module: &TransformerModule) -> usize {
        let (wide, count) = (module.embedding, module.steps.count());
        let blocks = module.blocks.iter();
        // Two normalizations, queries, keys and values, what is joined, and a perceptron four times as wide, twice.
        let of_blocks = blocks.map(|block| 18 * wide + 3 * block.heads * count);
        module.steps.values_per_row() + count * (3 * wide + of_blocks.sum::<usize>())
    }
}

impl TransformerModule {
    /// What is known at each step, `[batch, steps, embedding]`.
    fn known(&self, observation: Tensor<2>) -> Tensor<3> {
        let features = self.steps.features(observation);
        let [batch, steps, width] = features.dims();
        let rows = features.reshape([batch * steps, width]);
        let embedded = self.embed.forward_member(0, rows);
        let embedded = embedded.reshape([batch, steps, self.embedding]);
        let positions = match &self.learned {
            Some(learned) => learned.val(),
            None => sinusoids(steps, self.embedding, &embedded.device()),
        };
        let x = normalized(&self.embedded, embedded + positions.unsqueeze::<3>());
        let x = dropped(x, self.dropout, &self.embed);
        let blocks = self.blocks.iter();
        let x = blocks.fold(x, |x, block| block.forward(x));
        normalized(&self.last, x)
    }
}

impl Block {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let attended = self.attention(normalized(&self.before_attention, x.clone()));
        let x = x + dropped(attended, self.block_dropout, &self.join);
        let [batch, steps, wide] = x.dims();
        let rows = normalized(&self.before_perceptron, x.clone());
        let rows = rows.reshape([batch * steps, wide]);
        let added = self.perceptron.forward_member(0, rows);
        let added = added.reshape([batch, steps, wide]);
        x + dropped(added, self.block_dropout, &self.perceptron)
    }

    /// Attention to the steps that are not in the future, `[batch, steps, embedding]` of as many.
    fn attention(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, steps, wide] = x.dims();
        let rows = x.reshape([batch * steps, wide]);
        let all = self.attend.forward_member(0, rows);
        let shares = [batch, self.heads, steps, steps];
        let mask = Mask::of_training(shares, self.attention_dropout, &self.attend.parameters());
        let seen = attend(all.reshape([batch, steps, 3 * wide]), self.heads, mask);
        let joined = self
            .join
            .forward_member(0, seen.reshape([batch * steps, wide]));
        joined.reshape([batch, steps, wide])
    }
}

/// What is left of `x`, which a network made, where that is in training.
fn dropped(x: Tensor<3>, rate: f32, of: &Mlp) -> Tensor<3> {
    match Mask::of_training(x.dims(), rate, &of.parameters()) {
        Some(mask) => {
            let mask = mask.tensor(x.dims(), &x.device());
            x * mask
        }
        None => x,
    }
}

/// Vaswani et al.'s positions, `[steps, width]`: sin and cos of position / 10000^(2i / width) in turn.
fn sinusoids(steps: usize, width: usize, device: &Device) -> Tensor<2> {
    let value = |position: usize, place: usize| {
        let pace = 10_000_f64.powf(-((place - place % 2) as f64) / width as f64);
        let angle = position as f64 * pace;
        let value = if place.is_multiple_of(2) {
            angle.sin()
        } else {
            angle.cos()
        };
        value as f32
    };
    let rows = (0..steps).flat_map(|position| (0..width).map(move |place| value(position, place)));
    upload(
        TensorData::new(rows.collect::<Vec<f32>>(), [steps, width]),
        device,
    )
}
