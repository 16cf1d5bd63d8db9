//! What the networks next to a policy think of observations and actions: Q(s, a) and V(s).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::policy::{Broken, Network, Parts};
use super::{ActionRule, Architecture, PolicyError};
use crate::checkpoint::{CheckpointError, Snapshot};
use crate::nn::{CriticHead, CriticNetwork, Network as _};

/// The key of a checkpoint's state under which its values are.
pub(crate) const VALUES: &str = "policy/values";

/// What a checkpoint says of its networks of values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedValues {
    q: Option<ValueForm>,
    v: Option<ValueForm>,
}

/// An ensemble of values, in one tensor file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ValueForm {
    /// `critic` for `critic.safetensors`.
    file: String,
    members: usize,
    /// Each member's.
    architecture: Architecture,
    /// Numbers of an action that are next to an observation's features; 0 where an output belongs to each action, or to none.
    action: usize,
    /// The least and the greatest value, where values are squashed between them.
    bounds: Option<(f32, f32)>,
}

impl SavedValues {
    /// Adds a network by the name of its tensor file: values of states or of actions, as its head says.
    pub fn add(&mut self, file: &str, critic: &CriticNetwork) {
        let (action, bounds, rule) = match *critic.head() {
            CriticHead::State => (0, None, ActionRule::Outputs),
            CriticHead::Continuous { action, bounds } => (action, bounds, ActionRule::Outputs),
            CriticHead::Discrete { n, .. } => {
                let discrete_actions = n;
                (0, None, ActionRule::Greatest { discrete_actions })
            }
        };
        let form = ValueForm {
            file: file.to_owned(),
            members: critic.members(),
            architecture: Architecture::of(critic.trunk(), rule),
            action,
            bounds: bounds.map(|bounds| (bounds.low, bounds.high)),
        };
        match critic.head() {
            CriticHead::State => self.v = Some(form),
            _ => self.q = Some(form),
        }
    }
}

/// The tensors of values, each member's, or in words why there are none.
#[derive(Clone, Debug)]
pub(super) struct ValueParts {
    q: Result<(ValueForm, Vec<Vec<f32>>), String>,
    v: Result<(ValueForm, Vec<Vec<f32>>), String>,
}

impl ValueParts {
    /// None, for one reason.
    pub fn none(why: &str) -> Self {
        ValueParts {
            q: Err(why.to_owned()),
            v: Err(why.to_owned()),
        }
    }

    /// Those of a checkpoint; `tensors` reads a file of its tensors. What is missing or damaged is said where a value is asked for: the
    /// policy acts without them.
    pub fn of<'s>(
        snapshot: &Snapshot,
        tensors: impl Fn(&str) -> Result<Cow<'s, Snapshot>, CheckpointError>,
    ) -> Self {
        if !snapshot.state.contains_key(VALUES) {
            return Self::none(
                "its checkpoint does not describe its networks of values; resume its run for a step with this version, which writes it down",
            );
        }
        let saved: SavedValues = match snapshot.state(VALUES) {
            Ok(saved) => saved,
            Err(error) => return Self::none(&error.to_string()),
        };
        let read = |form: Option<ValueForm>, none: &str| {
            let form = form.ok_or_else(|| none.to_owned())?;
            let snapshot = tensors(&form.file).map_err(|error| error.to_string())?;
            let members = (0..form.members).map(|member| form.member(member, &snapshot));
            let members = members.collect::<Result<Vec<_>, String>>()?;
            Ok((form, members))
        };
        ValueParts {
            q: read(
                saved.q,
                "its algorithm has no network of the role `Critic` that values actions",
            ),
            v: read(
                saved.v,
                "its algorithm has no network of the role `Value` or `Critic` that values states",
            ),
        }
    }

    /// Networks of them, for observations of so many numbers and actions of so many.
    pub fn build(self, observation: usize, action: usize) -> Values {
        let ensemble = |parts: Result<(ValueForm, Vec<Vec<f32>>), String>| {
            let (form, members) = parts?;
            Ensemble::of(form, &members, observation, action)
        };
        Values {
            q: ensemble(self.q),
            v: ensemble(self.v),
            found: Vec::new(),
        }
    }
}

impl ValueForm {
    /// The parameters of a member, one after the other.
    fn member(&self, member: usize, snapshot: &Snapshot) -> Result<Vec<f32>, String> {
        let mut parameters: Vec<f32> = Vec::new();
        let most = snapshot.numbers(&self.file);
        let most = most.map_err(|error| error.to_string())?;
        for (name, shape) in self.architecture.pieces(most)? {
            let name = match self.members {
                1 => name,
                _ => format!("{member}.{name}"),
            };
            let tensor = snapshot.tensor(&self.file, &name, &shape);
            parameters.extend(&tensor.map_err(|error| error.to_string())?.values);
        }
        if let Some(value) = parameters.iter().find(|value| !value.is_finite()) {
            let file = &self.file;
            return Err(format!(
                "its network `{file}` holds {value}, so the run has diverged"
            ));
        }
        Ok(parameters)
    }
}

/// Networks of values, or in words why there are none.
#[derive(Clone, Debug)]
pub(super) struct Values {
    q: Result<Ensemble, String>,
    v: Result<Ensemble, String>,
    /// What was found last.
    found: Vec<f32>,
}

/// Networks that value the same.
#[derive(Clone, Debug)]
struct Ensemble {
    form: ValueForm,
    members: Vec<Network>,
}

impl Ensemble {
    fn of(
        form: ValueForm,
        members: &[Vec<f32>],
        observation: usize,
        action: usize,
    ) -> Result<Self, String> {
        let architecture = &form.architecture;
        let beside = form.action;
        let width = match architecture.encoder {
            // A perceptron sees both side by side.
            None => architecture.observation().checked_sub(beside),
            Some(_) => Some(architecture.observation()),
        };
        let outputs = architecture.sizes.last().copied().unwrap_or_default();
        let fits = match architecture.rule {
            ActionRule::Greatest { .. } => architecture.rule.width(outputs) == Some(action),
            _ => outputs == 1 && (beside == 0 || beside == action),
        };
        if width != Some(observation) || !fits {
            let file = &form.file;
            return Err(format!(
                "its network `{file}` is not one for its observations and actions; its files are not those of one run: copy the whole folder again"
            ));
        }
        let members = members.iter();
        let members = members.map(|parameters| {
            Network::of(architecture, parameters, beside).map_err(|broken| match broken {
                Broken::Encoder(why) | Broken::Layers(why) => why,
            })
        });
        let members = members.collect::<Result<Vec<_>, String>>()?;
        Ok(Ensemble { form, members })
    }

    /// Every member's value, into `found`.
    fn value(&mut self, observation: &[f32], action: &[f32], found: &mut Vec<f32>) {
        found.clear();
        let beside = &action[..self.form.action];
        for member in &mut self.members {
            // The lengths were checked when it was built.
            let outputs = member.forward_beside(observation, beside).unwrap_or(&[]);
            let value = match (self.form.architecture.rule, outputs) {
                (ActionRule::Greatest { discrete_actions }, outputs) => {
                    let chosen = action.first().map_or(0, |index| *index as usize);
                    q_of(outputs, discrete_actions, chosen)
                }
                (_, outputs) => outputs.first().copied().unwrap_or(f32::NAN),
            };
            found.push(match self.form.bounds {
                None => value,
                Some((low, high)) => value.tanh() * ((high - low) / 2.0) + (high + low) / 2.0,
            });
        }
    }

    fn discrete_actions(&self) -> Option<usize> {
        match self.form.architecture.rule {
            ActionRule::Greatest { discrete_actions } => Some(discrete_actions),
            _ => None,
        }
    }
}

impl Values {
    /// Q(s, a) of every critic, for a preprocessed observation and an action in [-1, 1], or an index.
    pub fn q(&mut self, observation: &[f32], action: &[f32]) -> &[f32] {
        if let Ok(ensemble) = &mut self.q {
            ensemble.value(observation, action, &mut self.found);
        }
        &self.found
    }

    /// V(s), for a preprocessed observation.
    pub fn v(&mut self, observation: &[f32]) -> f32 {
        if let Ok(ensemble) = &mut self.v {
            ensemble.value(observation, &[], &mut self.found);
        }
        self.found.first().copied().unwrap_or(f32::NAN)
    }

    /// Whether actions are valued, and if they are discrete, how many there are.
    pub fn values_actions(&self) -> Result<Option<usize>, PolicyError> {
        match &self.q {
            Ok(ensemble) => Ok(ensemble.discrete_actions()),
            Err(why) => Err(PolicyError::NoActionValues { why: why.clone() }),
        }
    }

    /// Whether states are valued.
    pub fn values_states(&self) -> Result<(), PolicyError> {
        match &self.v {
            Ok(_) => Ok(()),
            Err(why) => Err(PolicyError::NoStateValues { why: why.clone() }),
        }
    }
}

/// One of the values of a discrete head; a dueling network has the state's value in front of the advantages.
fn q_of(outputs: &[f32], discrete_actions: usize, chosen: usize) -> f32 {
    match outputs {
        [value, advantages @ ..] if advantages.len() == discrete_actions => {
            let mean = advantages.iter().sum::<f32>() / discrete_actions as f32;
            value + advantages[chosen] - mean
        }
        values => values[chosen],
    }
}

impl Parts {
    /// Why an exported file has no values.
    pub(super) const EXPORTED: &'static str =
        "an exported file carries the policy alone; load the run, or a checkpoint in it";
}
