//! What a module must be to learn.

use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// A module that can be a [`Role`](crate::learner::Role)'s network. For one of your own, `impl Network for MyModule {}` is enough.
pub trait Network: AutodiffModule + Sync + 'static {
    /// How many independent members there are. Where it is more than one, every parameter's first dimension is the member, unless
    /// [`member_of`](Network::member_of) says otherwise, and each member's gradient is clipped and logged on its own.
    fn members(&self) -> usize {
        1
    }

    /// How many learners of a stack it is the network of; 1, where one learns alone. Each learner has as many of the members, one
    /// learner's behind the other's.
    fn learners(&self) -> usize {
        1
    }

    /// The member that a parameter belongs to alone, by the parameter's path in the module. `None`: every member has a part of it.
    fn member_of(&self, path: &str) -> Option<usize> {
        let _ = path;
        None
    }

    /// How many numbers a pass keeps for each row of a batch, until the gradient is known; 0 where nobody knows. A batch for which there
    /// is no memory is refused by it, so it may be too low and never too high.
    fn values_per_row(&self) -> usize {
        0
    }

    /// The named tensors that are saved for a parameter: pieces of its flat values, in order, without gaps. `path` is the
    /// parameter's path in the module. Empty: the parameter is saved whole. Of a stack they are those of one learner.
    fn pieces(&self, path: &str) -> Vec<Piece> {
        let _ = path;
        Vec::new()
    }
}

/// A named piece of a parameter's flat values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The name in the file.
    pub name: String,
    /// The shape in the file.
    pub shape: Vec<usize>,
}

/// The paths and shapes of any module's parameters, of which none is made that was not looked at yet.
pub(crate) fn parameter_shapes(module: &impl Module) -> Vec<(String, Vec<usize>)> {
    struct Shapes {
        path: Vec<String>,
        found: Vec<(String, Vec<usize>)>,
    }
    impl ModuleVisitor for Shapes {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.found
                .push((self.path.join("."), param.lazy_shape().to_vec()));
        }
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
    }
    let mut visitor = Shapes {
        path: Vec::new(),
        found: Vec::new(),
    };
    module.visit(&mut visitor);
    visitor.found
}
