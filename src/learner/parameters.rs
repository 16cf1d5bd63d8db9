//! A module's parameters as a list of matrices, in the order in which Burn visits them.
//!
//! Optimizers, targets and checkpoints work on these, whatever the module is made of. A parameter that all members of an ensemble have
//! a part of is `[members, n]`; one of a single member's is `[1, n]`.

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};

use super::Network;
use crate::nn::parameter_shapes;

/// A parameter seen from outside.
pub struct Parameter {
    /// Its path in the module, such as `layer1.weight`.
    pub path: String,
    /// Its own shape.
    pub shape: Vec<usize>,
    /// Its values, plain.
    pub values: Tensor<2>,
}

/// The parameters of a network, plain.
pub fn parameters<N: Network>(network: &N) -> Vec<Parameter> {
    let mut visitor = Collect {
        members: Members::of(network),
        path: Vec::new(),
        found: Vec::new(),
    };
    network.visit(&mut visitor);
    visitor.found
}

struct Collect {
    members: Members,
    path: Vec<String>,
    found: Vec<Parameter>,
}

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().no_grad();
        let matrix = self
            .members
            .shape(self.found.len(), values.shape().num_elements());
        self.found.push(Parameter {
            path: self.path.join("."),
            shape: values.dims().to_vec(),
            values: values.reshape(matrix),
        });
    }

    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}

/// Which member each parameter of a network belongs to, in order.
pub struct Members {
    all: usize,
    owners: Vec<Option<usize>>,
}

impl Members {
    /// Those of a network.
    pub fn of<N: Network>(network: &N) -> Self {
        let all = network.members().max(1);
        let owners = if all == 1 {
            Vec::new()
        } else {
            let paths = parameter_shapes(network).into_iter();
            paths.map(|(path, _)| network.member_of(&path)).collect()
        };
        Members { all, owners }
    }

    /// The member that a parameter belongs to; `None` where all have a part of it.
    pub fn owner(&self, index: usize) -> Option<usize> {
        self.owners.get(index).copied().flatten()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all
    }

    /// The shape of a parameter of `n` numbers as a matrix.
    fn shape(&self, index: usize, n: usize) -> [usize; 2] {
        match self.owner(index) {
            Some(_) => [1, n],
            None => [self.all, n / self.all],
        }
    }
}

/// The gradients of a recording network's parameters, plain; `None` for a parameter that the loss does not depend on.
pub fn gradients<N: Network>(network: &N, gradients: &mut Gradients) -> Vec<Option<Tensor<2>>> {
    let mut visitor = Take {
        members: Members::of(network),
        gradients,
        found: Vec::new(),
    };
    network.visit(&mut visitor);
    visitor.found
}

struct Take<'a> {
    members: Members,
    gradients: &'a mut Gradients,
    found: Vec<Option<Tensor<2>>>,
}

impl ModuleVisitor for Take<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad_remove(self.gradients);
        let index = self.found.len();
        self.found.push(gradient.map(|gradient| {
            let n = gradient.shape().num_elements();
            gradient.reshape(self.members.shape(index, n))
        }));
    }
}

/// Changes each parameter of a plain network, given its index and its values. The values are handed over, so
/// that they can be changed in place.
pub fn map<N: Network>(network: N, change: impl FnMut(usize, Tensor<2>) -> Tensor<2>) -> N {
    let mut mapper = Map {
        members: Members::of(&network),
        index: 0,
        change,
    };
    network.map(&mut mapper)
}

struct Map<F> {
    members: Members,
    index: usize,
    change: F,
}

impl<F: FnMut(usize, Tensor<2>) -> Tensor<2>> ModuleMapper for Map<F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.shape();
        let matrix = self.members.shape(self.index, shape.num_elements());
        let changed = (self.change)(self.index, tensor.reshape(matrix)).reshape(shape);
        self.index += 1;
        Param::from_mapped_value(id, changed, mapper)
    }
}

/// Which parameters of a recording network are to be trained, in order.
pub fn trained<N: Network>(network: &N) -> Vec<bool> {
    let mut visitor = Trained(Vec::new());
    network.visit(&mut visitor);
    visitor.0
}

struct Trained(Vec<bool>);

impl ModuleVisitor for Trained {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().is_require_grad());
    }
}

/// The same network recording, with gradients for the parameters that are to be trained.
pub fn recording<N: Network>(network: N, trained: &[bool]) -> N {
    let mut mapper = Record { index: 0, trained };
    N::from_inner(network).map(&mut mapper)
}

struct Record<'a> {
    index: usize,
    trained: &'a [bool],
}

impl ModuleMapper for Record<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let train = self.trained.get(self.index).copied().unwrap_or(true);
        self.index += 1;
        Param::from_mapped_value(id, tensor.detach().set_require_grad(train), mapper)
    }
}

/// The device of a network's first parameter; `None` for a network without parameters.
pub fn device_of<N: Network>(network: &N) -> Option<Device> {
    network.devices().into_iter().next()
}
