//! What crosses between the host and the device of a run. Every copy of a tensor is made here, and counted.
//!
//! On the processor nothing crosses a bus, and the same calls are counted.

use std::cell::Cell;
use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};

mod ahead;

pub(crate) use ahead::Ahead;

/// How often tensors were copied between host and device, and how many bytes they had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crossed {
    /// Tensors that were written to the device.
    pub writes: u64,
    /// Their bytes.
    pub bytes_written: u64,
    /// Tensors that were read from the device. Each waits for all that was asked of it before.
    pub reads: u64,
    /// Their bytes.
    pub bytes_read: u64,
}

/// Whether a card has cubes enough for a launch over so many numbers, 256 in each: 65,535 of them in one direction are sure.
pub(crate) fn fits_a_launch(numbers: usize) -> bool {
    numbers <= 65_535 * 256
}

thread_local! {
    static CROSSED: Cell<Crossed> = const {
        Cell::new(Crossed { writes: 0, bytes_written: 0, reads: 0, bytes_read: 0 })
    };
}

/// What has crossed for this thread since it began. Steps of your own that call Burn's `from_data` or `into_data` are not counted.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::testing::crossed;
///
/// let before = crossed();
/// let mut metrics = Metrics::default();
/// metrics.record("actor/loss", Tensor::ones([1], &ComputeDevice::cpu().plain()));
/// assert_eq!(crossed(), before);
/// metrics.read();
/// assert_eq!(crossed().reads, before.reads + 1);
/// ```
pub fn crossed() -> Crossed {
    CROSSED.get()
}

/// Whether a copy to this device crosses a bus.
pub(crate) fn is_far(device: &Device) -> bool {
    plain(device) != Device::flex()
}

/// The device without tracking.
pub(crate) fn plain(device: &Device) -> Device {
    match device.is_autodiff() {
        true => device.clone().inner(),
        false => device.clone(),
    }
}

/// A tensor on `device`.
pub(crate) fn upload<const D: usize>(data: TensorData, device: &Device) -> Tensor<D> {
    written(&data);
    Tensor::from_data(data, device)
}

/// The most bytes of a kind, rows of a dataset, of a replay buffer or of a round, that are kept on a device: of more, drawn rows are copied.
pub(crate) const MOST_BYTES: u64 = 1 << 30;

/// Columns `[rows, width]` on `device`: where that is far, in one copy, of which the tensors are views.
pub(crate) fn upload_together<const N: usize>(
    columns: [(Vec<f32>, [usize; 2]); N],
    device: &Device,
) -> [Tensor<2>; N] {
    if !is_far(device) {
        return columns.map(|(values, shape)| upload(TensorData::new(values, shape), device));
    }
    let mut all = Vec::new();
    let places = columns.map(|(values, shape)| (append(&mut all, values), shape));
    let length = all.len();
    let all: Tensor<1> = upload(TensorData::new(all, [length]), device);
    places.map(|(place, shape)| match place.is_empty() {
        true => Tensor::empty(shape, device),
        false => all.clone().slice([place]).reshape(shape),
    })
}

/// Whole numbers on `device`, in one copy, of which the tensors are views.
pub(crate) fn upload_integers_together<const N: usize>(
    columns: [Vec<i32>; N],
    device: &Device,
) -> [Tensor<1, Int>; N] {
    let mut all = Vec::new();
    let places = columns.map(|values| append(&mut all, values));
    let length = all.len();
    let all: Tensor<1, Int> = upload_integers(TensorData::new(all, [length]), device);
    places.map(|place| match place.is_empty() {
        true => Tensor::empty([0], device),
        false => all.clone().slice([place]),
    })
}

/// Where values come to lie behind others, at a place where a view of a buffer may begin.
fn append<T: Copy + Default>(all: &mut Vec<T>, values: Vec<T>) -> Range<usize> {
    let start = all.len();
    all.extend(values);
    let place = start..all.len();
    all.resize(all.len().next_multiple_of(ALIGNED), T::default());
    place
}

/// 256 bytes, which every card's buffers can be cut at.
const ALIGNED: usize = 64;

/// A tensor of whole numbers on `device`.
pub(crate) fn upload_integers<const D: usize>(data: TensorData, device: &Device) -> Tensor<D, Int> {
    written(&data);
    Tensor::from_data(data, device)
}

/// A tensor's values on the host, bit for bit.
pub(crate) fn download<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let mut crossed = CROSSED.get();
    crossed.reads += 1;
    crossed.bytes_read += 4 * tensor.shape().num_elements() as u64;
    CROSSED.set(crossed);
    let values = tensor.into_data().into_vec();
    values.expect("yarak's tensors are of f32")
}

fn written(data: &TensorData) {
    let mut crossed = CROSSED.get();
    crossed.writes += 1;
    crossed.bytes_written += data.as_bytes().len() as u64;
    CROSSED.set(crossed);
}
