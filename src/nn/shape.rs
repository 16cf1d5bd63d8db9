//! The shape of a multi-layer perceptron.

/// What stands between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// max(x, 0).
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// The shape of an ensemble of equal perceptrons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlpShape {
    /// How many perceptrons.
    pub members: usize,
    /// The widths: input, hidden layers, output.
    pub sizes: Vec<usize>,
    /// After each hidden layer.
    pub hidden: Activation,
    /// After the last layer.
    pub output: Activation,
}

impl MlpShape {
    /// Parameters of one member.
    pub fn parameters(&self) -> usize {
        self.sizes
            .windows(2)
            .map(|pair| pair[0] * pair[1] + pair[1])
            .sum()
    }
}
