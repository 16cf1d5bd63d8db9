//! A training step on the CPU kernels allocates nothing once its buffers have grown, and a loaded policy's call never does.
//!
//! A test program of its own, because an allocator that counts is the whole process's.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};
use yarak::checkpoint::gather;
use yarak::data::{ActionScale, Normalizer};
use yarak::nn::cpu::{Activation, Adam, AdamState, Gradients, Input, Kernels, MlpShape, Saved};
use yarak::prelude::*;
use yarak::schedule::{FacilitatorPlugin, SchedulePlugin};

/// The system's allocator, which counts.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Those of this thread.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        HERE.set(HERE.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        HERE.set(HERE.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_steady_step_allocates_nothing() {
    let shape = MlpShape {
        members: 2,
        sizes: vec![14, 256, 256, 1],
        hidden: Activation::Gelu,
        output: Activation::Tanh,
        layer_norm: Some(1e-5),
    };
    let len = shape.members * shape.parameters();
    let (mut params, mut target) = (vec![0.01; len], vec![0.0; len]);
    let (mut first, mut second, mut gradient) = (vec![0.0; len], vec![0.0; len], vec![0.0; len]);
    let (x, mut d_x, mut out) = (vec![0.5; 256 * 14], vec![0.0; 256 * 14], vec![0.0; 512]);
    let mask = vec![2.0; shape.dropout_len(256)];
    let mut norms = [0.0; 2];
    for threads in [1, 2] {
        let (mut kernels, mut saved) = (Kernels::new(threads), Saved::default());
        let mut step = |number: u64| {
            let input = Input {
                rows: &x,
                batch: 256,
                dropout: Some(&mask),
            };
            kernels.infer(&shape, &params, input, &mut out).unwrap();
            kernels
                .forward(&shape, &params, input, &mut saved, &mut out)
                .unwrap();
            let wanted = Gradients {
                params: None,
                x: Some(&mut d_x),
            };
            kernels
                .backward(&shape, &params, input, &saved, &out, wanted)
                .unwrap();
            let wanted = Gradients {
                params: Some(&mut gradient),
                x: Some(&mut d_x),
            };
            kernels
                .backward(&shape, &params, input, &saved, &out, wanted)
                .unwrap();
            kernels.squared_norms(&gradient, &mut norms).unwrap();
            let state = AdamState {
                params: &mut params,
                first: &mut first,
                second: &mut second,
            };
            kernels
                .adam(
                    &Adam::default(),
                    number,
                    &gradient,
                    Some(&[1.0, 0.5]),
                    state,
                )
                .unwrap();
            kernels.track(&mut target, &params, 0.005).unwrap();
        };
        (1..=3).for_each(&mut step);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        (4..=10).for_each(&mut step);
        assert_eq!(
            ALLOCATIONS.load(Ordering::Relaxed),
            before,
            "{threads} threads"
        );
    }
}

#[test]
fn a_policys_call_allocates_nothing() {
    let mut init = Random::<Init>::new(Seed(0));
    let device = ComputeDevice::cpu().plain();
    let head = ActorHead::Deterministic;
    let network = ActorNetwork::new(&[256, 256], head, 11, 3, &device, &mut init).unwrap();
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin, Reports::default()))
        .add_learner::<Actor>(OptimizerSettings::default())
        .acts_with::<Actor>()
        .insert_resource(Net::<Actor>::new(network))
        .insert_resource(Preprocessing::new(
            Normalizer::identity(11),
            ActionScale::identity(3),
        ))
        .persist::<Preprocessing>();
    let snapshot = gather(app.world(), 0).unwrap();
    let mut policy = policy::Policy::of(&snapshot).unwrap();
    let before = HERE.get();
    for call in 0..10 {
        policy.act(&[call as f32; 11]).unwrap();
    }
    assert_eq!(HERE.get(), before);
}
