//! What is where: networks, slots, writers.

use std::collections::BTreeMap;

use super::{Mistake, Trial, trial};
use crate::learner::Roles;
use crate::schedule::learn_steps;

impl Trial {
    /// The plugin declares exactly the networks that are named, and after `Startup` each of them is there, and each target
    /// that is declared.
    ///
    /// # Errors
    /// The first that is missing or too many.
    pub fn networks_exist(&self, names: &[&str]) -> Result<(), Mistake> {
        let app = self.start(|_| ())?;
        let world = app.world();
        let roles = world.get_resource::<Roles>();
        let roles = roles.map(|roles| roles.0.clone()).unwrap_or_default();
        let mut declared: Vec<String> = roles.iter().map(|role| role.name.to_owned()).collect();
        let mut expected: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        declared.sort();
        expected.sort();
        if declared != expected {
            return Err(Mistake::OtherNetworks { declared, expected });
        }
        for role in roles {
            if (role.members)(world).is_none() {
                return Err(Mistake::NoNetwork(role.name.to_owned()));
            }
            if role.has_target && !(role.target_is_there)(world) {
                return Err(Mistake::NoTarget(role.name.to_owned()));
            }
        }
        Ok(())
    }

    /// Each network is written by one system of `Learn`. What a system may write is what it asks for, so nothing has to run.
    ///
    /// # Errors
    /// The first network that several write.
    pub fn one_writer_for_each_network(&self) -> Result<(), Mistake> {
        let app = self.start(|_| ())?;
        let roles = app.world().get_resource::<Roles>();
        let networks: Vec<String> = roles
            .iter()
            .flat_map(|roles| &roles.0)
            .map(|role| format!("Net<{}>", (role.type_name)()))
            .collect();
        let mut writers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for step in learn_steps(app.world()) {
            let slot = step.slot.as_deref().unwrap_or("no slot");
            let system = format!("`{}` in slot `{slot}`", step.system);
            for written in step.writes {
                writers.entry(written).or_default().push(system.clone());
            }
        }
        for network in networks {
            if let Some(systems) = writers.remove(&network)
                && systems.len() > 1
            {
                return Err(Mistake::TwoWriters { network, systems });
            }
        }
        Ok(())
    }

    /// Some dozen steps record at least one loss, and every recorded loss is a finite number. Steps that panic, such as a loss
    /// of tensors whose shapes differ, are found on the way.
    ///
    /// # Errors
    /// The first step that fails, or the first loss that is no number.
    pub fn losses_are_finite(&self) -> Result<(), Mistake> {
        const STEPS: u64 = 12;
        let mut app = self.start(|_| ())?;
        let mut recorded = false;
        for step in 1..=STEPS {
            trial::step(&mut app)?;
            for (name, value) in trial::report(&mut app) {
                if !name.ends_with("loss") {
                    continue;
                }
                recorded = true;
                if !value.is_finite() {
                    let value = value.to_string();
                    return Err(Mistake::LossNotFinite { name, value, step });
                }
            }
        }
        if recorded {
            return Ok(());
        }
        Err(Mistake::NoLoss(STEPS))
    }
}
