//! A dataset that lies on the device of the run.

use std::convert::Infallible;

use burn::tensor::{Device, TensorData};

use crate::data::{Batch, Gathered};
use crate::transfer::{Ahead, upload_integers};

/// All rows of a dataset as networks see them, each what a minibatch has of it.
pub(super) struct OnDevice {
    device: Device,
    all: Batch,
    /// Minibatches of steps to come. They are gathered together, so that a step's own is a view of them.
    ahead: Ahead<u32, Batch>,
}

impl OnDevice {
    /// The rows of the dataset, in order.
    pub fn new(all: Gathered, device: &Device) -> Self {
        let all = all.into_tensors(device);
        let columns = [
            Some(&all.observation),
            Some(&all.action),
            Some(&all.next_observation),
            Some(&all.next_action),
            all.past_action.as_ref(),
        ];
        let numbers = columns.into_iter().flatten().map(|column| column.dims()[1]);
        let bytes = 4 * numbers.sum::<usize>();
        OnDevice {
            device: device.clone(),
            all,
            ahead: Ahead::default().each_of(bytes),
        }
    }

    pub fn is_on(&self, device: &Device) -> bool {
        self.device == *device
    }

    /// The minibatch of drawn rows; `more` are those that will be drawn after them, so many.
    pub fn take(&mut self, drawn: &[u32], more: impl FnOnce(usize) -> Vec<u32>) -> Batch {
        let (all, device) = (&self.all, &self.device);
        let make = |rows: &[u32]| Ok::<_, Infallible>(select(all, rows, device));
        let Ok((block, place)) = self.ahead.take(drawn, more, make);
        block.map(
            ids(drawn),
            |column| column.slice([place.clone()]),
            |column| column.slice([place.clone()]),
        )
    }

    /// The batch of any rows.
    pub fn gather(&self, rows: &[u32]) -> Batch {
        let batch = select(&self.all, rows, &self.device);
        Batch {
            row_ids: ids(rows),
            ..batch
        }
    }
}

fn ids(rows: &[u32]) -> Vec<usize> {
    rows.iter().map(|row| *row as usize).collect()
}

/// The rows are gathered on the device: their numbers alone are copied there.
fn select(all: &Batch, rows: &[u32], device: &Device) -> Batch {
    // Rows of what lies in a device's memory are far below 2³¹.
    let numbers: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
    let rows = upload_integers::<1>(TensorData::new(numbers, [rows.len()]), device);
    all.map(
        Vec::new(),
        |column| column.select(0, rows.clone()),
        |column| column.select(0, rows.clone()),
    )
}
