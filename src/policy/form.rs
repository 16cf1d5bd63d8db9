//! What a checkpoint says of the network that acts: enough to act with it, without the algorithm that trained it.

use serde::{Deserialize, Serialize};

use crate::nn::{Activation, Mlp, MlpShape};

/// The key of a checkpoint's state under which it stands.
pub(crate) const KEY: &str = "policy";

/// A network that acts, as a [`Policy`](super::Policy) can: one perceptron, and what becomes of its outputs.
///
/// A network of one's own that is built on [`Mlp`] travels when its [`Act::form`](crate::evaluate::Act::form) says this.
///
/// ```
/// use yarak::policy::{Form, Readout};
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let policy = Policy::new(3, 1, &[256, 256], &device, &mut Random::<Init>::new(Seed(0)));
/// let form = Form::of(policy.trunk(), Readout::Outputs);
/// assert_eq!(form.sizes, [3, 256, 256, 1]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Form {
    /// Widths from the observation to the outputs.
    pub sizes: Vec<usize>,
    /// What stands behind each hidden layer.
    pub hidden: Activation,
    /// What stands behind the outputs.
    pub output: Activation,
    /// What is added to the variance where hidden layers are normalised.
    pub layer_norm: Option<f32>,
    /// How outputs become an action.
    pub readout: Readout,
}

/// How a perceptron's outputs become an action in [-1, 1], or a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readout {
    /// They are it.
    Outputs,
    /// They are it, clipped to [-1, 1]: the mean of a Gaussian that is not squashed.
    Clipped,
    /// The hyperbolic tangent of the first `action` of them: the mean of a Gaussian.
    TanhOfMean {
        /// The action's width.
        action: usize,
    },
    /// The outputs are `modes` means of width `action`, as many deviations, then the weights of the modes: the hyperbolic
    /// tangent of the weightiest mode's mean.
    TanhOfBestMode {
        /// How many modes.
        modes: usize,
        /// The action's width.
        action: usize,
    },
    /// The place of the greatest of `choices` values; a dueling network has the state's value in front of them.
    Greatest {
        /// How many choices.
        choices: usize,
    },
}

impl Form {
    /// The first member of a perceptron, and what becomes of its outputs.
    pub fn of(trunk: &Mlp, readout: Readout) -> Self {
        let shape = trunk.shape();
        Form {
            sizes: shape.sizes.clone(),
            hidden: shape.hidden,
            output: shape.output,
            layer_norm: shape.layer_norm,
            readout,
        }
    }

    /// The names and shapes of the network's tensors, in the order in which they lie in a perceptron's parameters.
    pub(super) fn pieces(&self) -> Vec<(String, Vec<usize>)> {
        let layers = self.sizes.len().saturating_sub(1);
        let mut pieces = Vec::new();
        for (layer, pair) in self.sizes.windows(2).enumerate() {
            let mut vectors = vec!["bias"];
            if self.layer_norm.is_some() && layer + 1 < layers {
                vectors.extend(["gain", "offset"]);
            }
            pieces.push((format!("{layer}.weight"), pair.to_vec()));
            let vectors = vectors.into_iter();
            pieces.extend(vectors.map(|name| (format!("{layer}.{name}"), vec![pair[1]])));
        }
        pieces
    }

    /// The perceptron's shape.
    pub(super) fn shape(&self) -> MlpShape {
        MlpShape {
            members: 1,
            sizes: self.sizes.clone(),
            hidden: self.hidden,
            output: self.output,
            layer_norm: self.layer_norm,
        }
    }
}

impl Readout {
    /// The action's width for so many outputs; `None` where they do not fit.
    pub(super) fn width(self, outputs: usize) -> Option<usize> {
        let (fits, width) = match self {
            Readout::Outputs | Readout::Clipped => (true, outputs),
            Readout::TanhOfMean { action } => (action <= outputs, action),
            Readout::TanhOfBestMode { modes, action } => {
                let each = action.checked_mul(2).and_then(|both| both.checked_add(1));
                let all = each.and_then(|each| each.checked_mul(modes));
                (modes > 0 && all == Some(outputs), action)
            }
            Readout::Greatest { choices } => {
                let dueling = choices.checked_add(1) == Some(outputs);
                (choices > 0 && (choices == outputs || dueling), 1)
            }
        };
        (fits && width > 0).then_some(width)
    }
}

/// What stands in a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Saved {
    /// One network, in the tensor file of that name.
    Network {
        /// `actor` for `actor.safetensors`.
        file: String,
        /// What it is.
        form: Form,
    },
    /// Something that takes its algorithm to act.
    Own {
        /// What it would take, as the beginning of a sentence.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readout_fits_its_own_number_of_outputs_alone() {
        for (readout, outputs, width) in [
            (Readout::Outputs, 3, Some(3)),
            (Readout::Clipped, 3, Some(3)),
            (Readout::TanhOfMean { action: 3 }, 6, Some(3)),
            (Readout::TanhOfMean { action: 3 }, 2, None),
            (Readout::TanhOfMean { action: 0 }, 2, None),
            (
                Readout::TanhOfBestMode {
                    modes: 5,
                    action: 3,
                },
                35,
                Some(3),
            ),
            (
                Readout::TanhOfBestMode {
                    modes: 5,
                    action: 3,
                },
                34,
                None,
            ),
            (
                Readout::TanhOfBestMode {
                    modes: usize::MAX,
                    action: usize::MAX,
                },
                34,
                None,
            ),
            (Readout::Greatest { choices: 2 }, 2, Some(1)),
            (Readout::Greatest { choices: 2 }, 3, Some(1)),
            (Readout::Greatest { choices: 2 }, 4, None),
            (Readout::Greatest { choices: 0 }, 0, None),
        ] {
            assert_eq!(readout.width(outputs), width, "{readout:?} {outputs}");
        }
    }
}
