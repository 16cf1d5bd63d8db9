//! A module whose type is forgotten, and which is a module of Burn's all the same.
//!
//! Visitors and mappers are generic over the rank of a parameter, which a trait object cannot be. So an erased module hands out its
//! parameters as a list of [`Slot`]s, each of which knows its rank, and takes them back in the same order.

use std::any::Any;
use std::fmt;

use burn::module::{
    AutodiffModule, Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor, Param,
};
use burn::tensor::{Device, Tensor};

use super::{Encoder, InitError};

/// A parameter of any rank.
pub(super) struct Slot {
    /// The names on the way to it, each with the kind of what holds it, as visitors are told.
    path: Vec<(String, String)>,
    rank: usize,
    /// A `Param<Tensor<rank>>`.
    param: Box<dyn Any>,
}

/// The greatest rank of a parameter.
const MOST: usize = 8;

/// Runs `$with!(D)` for the rank `$rank` as a constant `D`.
macro_rules! for_rank {
    ($rank:expr, $with:ident) => {
        match $rank {
            1 => $with!(1),
            2 => $with!(2),
            3 => $with!(3),
            4 => $with!(4),
            5 => $with!(5),
            6 => $with!(6),
            7 => $with!(7),
            _ => $with!(8),
        }
    };
}

impl Slot {
    fn new<const D: usize>(path: &[(String, String)], param: Param<Tensor<D>>) -> Self {
        assert!(
            (1..=MOST).contains(&D),
            "a parameter has from 1 to {MOST} dimensions"
        );
        Slot {
            path: path.to_vec(),
            rank: D,
            param: Box::new(param),
        }
    }

    /// `None` where the rank is another.
    fn into_param<const D: usize>(self) -> Option<Param<Tensor<D>>> {
        self.param.downcast().ok().map(|param| *param)
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for (name, kind) in &self.path {
            visitor.enter_module(name, kind);
        }
        macro_rules! visit {
            ($d:literal) => {
                if let Some(param) = self.param.downcast_ref::<Param<Tensor<$d>>>() {
                    visitor.visit_float(param);
                }
            };
        }
        for_rank!(self.rank, visit);
        for (name, kind) in self.path.iter().rev() {
            visitor.exit_module(name, kind);
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        for (name, kind) in &self.path {
            mapper.enter_module(name, kind);
        }
        let path = self.path.clone();
        macro_rules! map {
            ($d:literal) => {
                match self.into_param::<$d>() {
                    Some(param) => Slot::new(&path, mapper.map_float(param)),
                    None => unreachable!("a slot's rank is that of its parameter"),
                }
            };
        }
        let mapped = for_rank!(self.rank, map);
        for (name, kind) in path.iter().rev() {
            mapper.exit_module(name, kind);
        }
        mapped
    }
}

/// What an encoder's module is able to do whatever its type.
pub(super) trait Erased: Send + Sync + fmt::Debug {
    /// The features `[batch, width]` of observations `[batch, observation]`; both sides are tracked or both plain.
    fn forward(&self, observation: Tensor<2>) -> Tensor<2>;
    /// The features `[batch * steps, width]` at each step of the rows, where it has memory.
    fn forward_each(&self, observation: Tensor<2>) -> Tensor<2>;
    /// How many numbers a pass keeps for each row, as far as is known.
    fn values_per_row(&self) -> usize;
    /// Its parameters, in order.
    fn slots(&self) -> Vec<Slot>;
    /// Takes its parameters out, so that they are nobody else's, and leaves empty ones.
    fn take(self: Box<Self>) -> (Box<dyn Erased>, Vec<Slot>);
    /// Puts them back.
    fn put(self: Box<Self>, slots: Vec<Slot>) -> Box<dyn Erased>;
    /// Whether gradients are wanted for any of its parameters.
    fn in_training(&self) -> bool;
    fn boxed_clone(&self) -> Box<dyn Erased>;
    fn valid(&self) -> Box<dyn Erased>;
    fn from_inner(self: Box<Self>) -> Box<dyn Erased>;
    fn fork(self: Box<Self>, device: &Device) -> Box<dyn Erased>;
    fn to_device(self: Box<Self>, device: &Device) -> Box<dyn Erased>;
    fn devices(&self, devices: Devices) -> Devices;
}

/// The module of the encoder `E`.
struct Of<E: Encoder>(E::Module);

impl<E: Encoder> fmt::Debug for Of<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Forgets a module's type.
///
/// # Errors
/// When it holds running statistics, which are no parameters: they would be shared by its copies, and lost.
pub(super) fn erase<E: Encoder>(module: E::Module) -> Result<Box<dyn Erased>, InitError> {
    #[derive(Default)]
    struct Look(bool);
    impl ModuleVisitor for Look {
        fn enter_module(&mut self, _: &str, kind: &str) {
            self.0 |= kind == "Struct:BatchNorm";
        }
    }
    let mut look = Look::default();
    module.visit(&mut look);
    if look.0 {
        return Err(InitError::RunningStatistics);
    }
    Ok(Box::new(Of::<E>(module)))
}

impl<E: Encoder> Erased for Of<E> {
    fn forward(&self, observation: Tensor<2>) -> Tensor<2> {
        E::forward(&self.0, observation)
    }

    fn forward_each(&self, observation: Tensor<2>) -> Tensor<2> {
        E::forward_each(&self.0, observation)
    }

    fn values_per_row(&self) -> usize {
        E::values_per_row(&self.0)
    }

    fn slots(&self) -> Vec<Slot> {
        #[derive(Default)]
        struct Collect {
            path: Vec<(String, String)>,
            slots: Vec<Slot>,
        }
        impl ModuleVisitor for Collect {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.slots.push(Slot::new(&self.path, param.clone()));
            }
            fn enter_module(&mut self, name: &str, kind: &str) {
                self.path.push((name.to_owned(), kind.to_owned()));
            }
            fn exit_module(&mut self, _: &str, _: &str) {
                self.path.pop();
            }
        }
        let mut collect = Collect::default();
        self.0.visit(&mut collect);
        collect.slots
    }

    fn take(self: Box<Self>) -> (Box<dyn Erased>, Vec<Slot>) {
        #[derive(Default)]
        struct Take {
            path: Vec<(String, String)>,
            slots: Vec<Slot>,
        }
        impl ModuleMapper for Take {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                let (id, tensor, mapper) = param.consume();
                let empty = Tensor::empty([0; D], &tensor.device());
                let taken = Param::from_mapped_value(id, tensor, mapper.clone());
                self.slots.push(Slot::new(&self.path, taken));
                Param::from_mapped_value(id, empty, mapper)
            }
            fn enter_module(&mut self, name: &str, kind: &str) {
                self.path.push((name.to_owned(), kind.to_owned()));
            }
            fn exit_module(&mut self, _: &str, _: &str) {
                self.path.pop();
            }
        }
        let mut take = Take::default();
        let emptied = self.0.map(&mut take);
        (Box::new(Of::<E>(emptied)), take.slots)
    }

    fn put(self: Box<Self>, slots: Vec<Slot>) -> Box<dyn Erased> {
        struct Put(std::vec::IntoIter<Slot>);
        impl ModuleMapper for Put {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                self.0.next().and_then(Slot::into_param).unwrap_or(param)
            }
        }
        let mut put = Put(slots.into_iter());
        Box::new(Of::<E>(self.0.map(&mut put)))
    }

    fn in_training(&self) -> bool {
        struct Look(bool);
        impl ModuleVisitor for Look {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0 |= param.val().is_require_grad();
            }
        }
        let mut look = Look(false);
        self.0.visit(&mut look);
        look.0
    }

    fn boxed_clone(&self) -> Box<dyn Erased> {
        Box::new(Of::<E>(self.0.clone()))
    }

    fn valid(&self) -> Box<dyn Erased> {
        Box::new(Of::<E>(self.0.valid()))
    }

    fn from_inner(self: Box<Self>) -> Box<dyn Erased> {
        Box::new(Of::<E>(E::Module::from_inner(self.0)))
    }

    fn fork(self: Box<Self>, device: &Device) -> Box<dyn Erased> {
        Box::new(Of::<E>(self.0.fork(device)))
    }

    fn to_device(self: Box<Self>, device: &Device) -> Box<dyn Erased> {
        Box::new(Of::<E>(self.0.to_device(device)))
    }

    fn devices(&self, devices: Devices) -> Devices {
        self.0.collect_devices(devices)
    }
}

/// An encoder's module, of any type.
#[derive(Debug)]
pub(super) struct ErasedModule(pub Box<dyn Erased>);

impl Clone for ErasedModule {
    fn clone(&self) -> Self {
        ErasedModule(self.0.boxed_clone())
    }
}

impl Module for ErasedModule {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.0.devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        ErasedModule(self.0.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        ErasedModule(self.0.to_device(device))
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        for slot in self.0.slots() {
            slot.visit(visitor);
        }
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        let (module, slots) = self.0.take();
        let mapped = slots.into_iter().map(|slot| slot.map(mapper)).collect();
        ErasedModule(module.put(mapped))
    }
}

impl AutodiffModule for ErasedModule {
    fn valid(&self) -> Self {
        ErasedModule(self.0.valid())
    }

    fn from_inner(module: Self) -> Self {
        ErasedModule(module.0.from_inner())
    }
}

impl ModuleDisplayDefault for ErasedModule {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&format!("{:?}", self.0)).optional()
    }
}

impl ModuleDisplay for ErasedModule {}
