//! What must come out the same on another device.

use bevy_app::App;

use super::{Mistake, Trial, trial};
use crate::checkpoint::{HostTensor, ResumeFrom};
use crate::learner::ComputeDevice;

/// How many steps are compared.
const STEPS: u64 = 10;

/// How far a network's tensor may be off, relative to its norm.
const RELATIVE: f64 = 1e-4;

impl Trial {
    /// Ten steps from one seed come to the same networks on this trial's device and on another: of each tensor of a network or a target,
    /// ‖this − other‖ is at most 1e-4 of ‖other‖.
    ///
    /// # Errors
    /// What differs, and by how much.
    pub fn agrees_with(&self, other: &ComputeDevice) -> Result<(), Mistake> {
        let run = |device: &ComputeDevice| {
            let mut app = self.start_on(device, |_| ())?;
            trial::steps(&mut app, STEPS)?;
            trial::state(app.world())
        };
        let (ours, theirs) = (run(&self.device)?, run(other)?);
        let of_networks = theirs
            .files
            .keys()
            .filter(|file| !file.starts_with("optimizer_"));
        for file in of_networks {
            for ((name, theirs), (_, ours)) in
                trial::values(&theirs, file).zip(trial::values(&ours, file))
            {
                let off = off(ours, theirs);
                if off.is_nan() || off > RELATIVE {
                    return Err(Mistake::DevicesDisagree {
                        steps: STEPS,
                        device: self.device.to_string(),
                        other: other.to_string(),
                        differs: format!("`{name}` of `{file}` by {off:.1e} of its norm"),
                    });
                }
            }
        }
        Ok(())
    }

    /// What is saved on this trial's device after some steps is the same, bit for bit, where it is loaded on another, and back. There
    /// it goes on.
    ///
    /// # Errors
    /// What differs, or what fails.
    pub fn travels_to(&self, other: &ComputeDevice) -> Result<(), Mistake> {
        for (from, to) in [(&self.device, other), (other, &self.device)] {
            let mut app = self.start_on(from, |_| ())?;
            trial::steps(&mut app, 3)?;
            let saved = trial::saved(app.world())?;
            let mut loaded = self.start_on(to, |app| {
                app.insert_resource(ResumeFrom(saved.clone()));
            })?;
            let (before, after) = (
                trial::without_metrics(saved.clone()),
                trial::state(loaded.world())?,
            );
            if let Some(differs) = trial::difference(&before, &after) {
                return Err(Mistake::LostOnTheWay {
                    from: from.to_string(),
                    to: to.to_string(),
                    differs,
                });
            }
            trial::steps(&mut loaded, 3)?;
        }
        Ok(())
    }

    /// A started app of this trial on another device.
    fn start_on(&self, device: &ComputeDevice, edit: impl Fn(&mut App)) -> Result<App, Mistake> {
        self.start(|app| {
            app.insert_resource(device.clone());
            edit(app);
        })
    }
}

/// ‖ours − theirs‖ / ‖theirs‖; of a tensor of zeros, ‖ours‖.
fn off(ours: &HostTensor, theirs: &HostTensor) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|it| it * it).sum::<f64>().sqrt();
    let pairs = ours.values.iter().zip(&theirs.values);
    let apart = norm(&mut pairs.map(|(ours, theirs)| f64::from(*ours) - f64::from(*theirs)));
    match norm(&mut theirs.values.iter().map(|it| f64::from(*it))) {
        0.0 => apart,
        size => apart / size,
    }
}
