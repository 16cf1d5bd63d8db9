//! How networks, targets, optimizers, rates and counters are saved and restored.

use bevy_ecs::prelude::*;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::optimizer::Memories;
use super::{Net, Network, Optim, Piece, Rate, Role, Target, parameters};
use crate::checkpoint::{CheckpointError, Persist, Snapshot, stack};
use crate::schedule::{Clock, Tick, TickState};
use crate::transfer::{download, upload};

impl<R: Role> Persist for Net<R> {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        save_network(&**self, R::NAME, snapshot)
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        let values = load_values(&**self, R::NAME, snapshot)?;
        self.change(|network| with_values(network, values));
        Ok(())
    }
}

impl<R: Role> Persist for Target<R> {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        save_network(&**self, &target_file::<R>(), snapshot)
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        let values = load_values(&**self, &target_file::<R>(), snapshot)?;
        self.change(|network| with_values(network, values));
        Ok(())
    }
}

/// The tensor file of role `R`'s target.
pub(crate) fn target_file<R: Role>() -> String {
    format!("target_{}", R::NAME)
}

/// A parameter as it is saved: in the pieces that the network names, or whole, in its own shape; of a stack, each learner's.
fn pieces<N: Network>(network: &N, parameter: &parameters::Parameter) -> Vec<Piece> {
    let learners = network.learners();
    let mut pieces = network.pieces(&parameter.path);
    if pieces.is_empty() {
        let mut shape = parameter.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first /= learners;
        }
        let name = parameter.path.clone();
        pieces.push(Piece { name, shape });
    }
    let of_learner = |learner| {
        let own = move |piece: &Piece| Piece {
            name: stack::own(&piece.name, learner, learners),
            shape: piece.shape.clone(),
        };
        pieces.iter().map(own)
    };
    (0..learners).flat_map(of_learner).collect()
}

fn save_network<N: Network>(
    network: &N,
    file: &str,
    snapshot: &mut Snapshot,
) -> Result<(), CheckpointError> {
    for parameter in parameters::parameters(network) {
        let pieces = pieces(network, &parameter);
        let values = download(parameter.values);
        let mut rest = &values[..];
        for piece in pieces {
            let (values, after) = rest.split_at(piece.shape.iter().product());
            rest = after;
            snapshot.put_tensor(file, &piece.name, &piece.shape, values.to_vec())?;
        }
    }
    Ok(())
}

/// The saved values of each parameter, checked against the network before anything of it changes.
fn load_values<N: Network>(
    network: &N,
    file: &str,
    snapshot: &Snapshot,
) -> Result<Vec<Vec<f32>>, CheckpointError> {
    let parameters = parameters::parameters(network);
    parameters
        .iter()
        .map(|parameter| {
            let mut values = Vec::new();
            for piece in pieces(network, parameter) {
                values.extend(&snapshot.tensor(file, &piece.name, &piece.shape)?.values);
            }
            Ok(values)
        })
        .collect()
}

fn with_values<N: Network>(network: N, values: Vec<Vec<f32>>) -> N {
    let mut values = values.into_iter();
    parameters::map(network, |_, old| match values.next() {
        Some(values) => {
            let device = old.device();
            upload(TensorData::new(values, old.dims()), &device)
        }
        None => old,
    })
}

#[derive(Serialize, Deserialize)]
struct OptimState {
    /// For each parameter its steps and its shape, of one learner; `None` for one that never got a gradient.
    parameters: Vec<Option<(u64, [usize; 2])>>,
    /// Steps that the network took.
    updates: u64,
}

impl<R: Role> Optim<R> {
    fn file() -> String {
        format!("optimizer_{}", R::NAME)
    }
}

impl<R: Role> Persist for Optim<R> {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        let (file, learners) = (Self::file(), self.learners);
        let parameters = self.memories.iter().map(|memories| {
            let memories = memories.as_ref()?;
            let shape = memories.values.first().map_or([0, 0], Tensor::dims);
            Some((memories.steps, [shape[0] / learners, shape[1]]))
        });
        let state = OptimState {
            parameters: parameters.collect(),
            updates: self.updates,
        };
        for learner in 0..learners {
            snapshot.put_state(&stack::own(&file, learner, learners), &state)?;
        }
        for (index, memories) in self.memories.iter().enumerate() {
            let Some(memories) = memories else { continue };
            for (name, values) in self.rule.memories().iter().zip(&memories.values) {
                let name = format!("{index}.{name}");
                let [members, n] = values.dims();
                let shape = [members / learners, n];
                let values = download(values.clone());
                for (learner, own) in apart(values, learners).into_iter().enumerate() {
                    let name = stack::own(&name, learner, learners);
                    snapshot.put_tensor(&file, &name, &shape, own)?;
                }
            }
        }
        Ok(())
    }

    fn load(&mut self, snapshot: &Snapshot, world: &World) -> Result<(), CheckpointError> {
        let device = world
            .get_resource::<Net<R>>()
            .and_then(|net| parameters::device_of(&**net))
            .unwrap_or_else(Device::flex);
        let (file, learners) = (Self::file(), self.learners);
        let state: OptimState = snapshot.state(&stack::own(&file, 0, learners))?;
        let mut restored = Vec::new();
        for (index, parameter) in state.parameters.into_iter().enumerate() {
            let Some((steps, shape)) = parameter else {
                restored.push(None);
                continue;
            };
            let read = |name: &&str| -> Result<Tensor<2>, CheckpointError> {
                let name = format!("{index}.{name}");
                let mut values: Vec<f32> = Vec::new();
                for learner in 0..learners {
                    let name = stack::own(&name, learner, learners);
                    values.extend(&snapshot.tensor(&file, &name, &shape)?.values);
                }
                let shape = [learners * shape[0], shape[1]];
                Ok(upload(TensorData::new(values, shape), &device))
            };
            let values = self.rule.memories().iter().map(read);
            restored.push(Some(Memories {
                values: values.collect::<Result<_, _>>()?,
                steps,
            }));
        }
        (self.memories, self.updates) = (restored, state.updates);
        Ok(())
    }
}

/// What each learner has of values that lie one learner's behind the other's.
fn apart(values: Vec<f32>, learners: usize) -> Vec<Vec<f32>> {
    match (learners, values.len() / learners) {
        (1, _) => vec![values],
        (_, 0) => vec![Vec::new(); learners],
        (_, each) => values.chunks(each).map(<[f32]>::to_vec).collect(),
    }
}

impl<R: Role> Persist for Tick<R> {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        snapshot.put_state(&format!("tick/{}", R::NAME), &self.state())
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        let state: TickState = snapshot.state(&format!("tick/{}", R::NAME))?;
        self.restore(state);
        Ok(())
    }
}

/// A rate is a function of the counters, which are restored before it: nothing of it is saved.
impl<R: Role> Persist for Rate<R> {
    fn save(&self, _: &mut Snapshot) -> Result<(), CheckpointError> {
        Ok(())
    }

    fn load(&mut self, _: &Snapshot, world: &World) -> Result<(), CheckpointError> {
        let optim = world.get_resource::<Optim<R>>();
        let tick = world.get_resource::<Tick<R>>();
        let window = tick.map(|tick| tick.window).unwrap_or_default();
        let epoch = world.resource::<Clock>().next_epoch();
        self.move_to(optim.map_or(0, Optim::updates), epoch, window);
        Ok(())
    }
}
