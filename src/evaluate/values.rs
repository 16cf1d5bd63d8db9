//! What a run's networks think of a dataset's rows: Q(s, a), Q(s, π(s)) and V(s).

use bevy_ecs::prelude::*;
use burn::tensor::{Device, Tensor, TensorData};

use super::Acting;
use crate::data::{Column, RowsAsSeen, ScaleError, ValuedActions};
use crate::learner::{ComputeDevice, Critic, Net, Value};
use crate::nn::{CriticHead, CriticNetwork};
use crate::transfer::{download, upload};

/// Rows that are computed at once.
const ROWS: usize = 256;

/// A number for each row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ValueColumn {
    /// `q_0`, `policy_q_0`, `v`.
    pub name: String,
    /// `[rows]`
    pub values: Vec<f32>,
}

/// Which actions the run's critics value; `None` where it has no networks of values at all.
pub(crate) fn valued_actions(world: &World) -> Option<ValuedActions> {
    match (
        world.get_resource::<Net<Critic>>(),
        world.get_resource::<Net<Value>>(),
    ) {
        (Some(critic), _) => Some(match *critic.head() {
            CriticHead::State => ValuedActions::None,
            CriticHead::Continuous { .. } => ValuedActions::Continuous,
            CriticHead::Discrete { n, .. } => ValuedActions::Discrete(n),
        }),
        (None, Some(_)) => Some(ValuedActions::None),
        (None, None) => None,
    }
}

/// A column for each critic's value of the row's own action, then one for each of the action that the policy takes there, then the
/// state's value. What the run has no network for has no column.
///
/// # Errors
/// When the rows cannot be scaled.
pub(crate) fn value_columns(
    world: &World,
    rows: &RowsAsSeen,
) -> Result<Vec<ValueColumn>, ScaleError> {
    let device = world.resource::<ComputeDevice>().plain();
    let critic = world.get_resource::<Net<Critic>>().map(|net| &**net);
    let values_states = |net: &&CriticNetwork| *net.head() == CriticHead::State;
    let of_actions = critic.filter(|net| !values_states(net));
    let of_states = critic
        .filter(values_states)
        .or(world.get_resource::<Net<Value>>().map(|net| &**net));
    let mut columns: Vec<ValueColumn> = Vec::new();
    let mut add = |name: String, values: Vec<f32>| match columns
        .iter_mut()
        .find(|column| column.name == name)
    {
        Some(column) => column.values.extend(values),
        None => columns.push(ValueColumn { name, values }),
    };
    let all: Vec<usize> = (0..rows.len()).collect();
    for rows_of_chunk in all.chunks(ROWS) {
        let gathered = rows.gather(rows_of_chunk)?;
        let count = rows_of_chunk.len();
        let observation = tensor(gathered.observation, count, &device);
        if let Some(critic) = of_actions {
            let action = tensor(gathered.action, count, &device);
            let own = critic.q(observation.clone(), action);
            for (member, values) in members(own).into_iter().enumerate() {
                add(format!("q_{member}"), values);
            }
            let acting = world.get_resource::<Acting>();
            let chosen = acting.and_then(|acting| acting.act(world, observation.clone()));
            if let Some(chosen) = chosen {
                let of_policy = critic.q(observation.clone(), chosen);
                for (member, values) in members(of_policy).into_iter().enumerate() {
                    add(format!("policy_q_{member}"), values);
                }
            }
        }
        if let Some(value) = of_states {
            add("v".to_owned(), download(value.v(observation)));
        }
    }
    Ok(columns)
}

fn tensor(column: Column, rows: usize, device: &Device) -> Tensor<2> {
    let shape = [rows, column.width];
    upload(TensorData::new(column.values, shape), device)
}

/// The values of each member, of `[members, rows]`.
fn members(values: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, rows] = values.dims();
    let values = download(values);
    values.chunks(rows.max(1)).map(<[f32]>::to_vec).collect()
}
