//! Actions with what a rollout keeps of them.

/// What was seen when actions were drawn, and how probable they were.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampledActions {
    /// What the network saw, `[environments, observation]`.
    pub observation: Vec<f32>,
    /// The actions, `[environments, action]`: indices of discrete actions, or numbers that are not clipped.
    pub action: Vec<f32>,
    /// ln π(a|s) of each action, `[environments]`.
    pub log_probability: Vec<f32>,
}
