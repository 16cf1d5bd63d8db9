//! What the steps do to parameters: whose, where, and along which gradient.

use std::collections::{BTreeMap, BTreeSet};

use bevy_app::App;
use bevy_ecs::prelude::*;
use burn::tensor::{Tensor, TensorData};

use super::{Mistake, Trial, trial};
use crate::checkpoint::Snapshot;
use crate::data::Batch;
use crate::learner::Roles;
use crate::schedule::{LearnSystems, Slot, after_every_slot, learn_steps};

/// Enough for steps that are delayed and targets that are copied now and then.
const STEPS: u64 = 12;

/// The state behind each slot of the step that was taken, in order; the first is the state before it.
#[derive(Resource, Default)]
struct Seen(Vec<(String, Result<Snapshot, Mistake>)>);

fn watch(app: &mut App) {
    app.init_resource::<Seen>();
    after_every_slot(app, |slot| {
        let slot = slot.to_owned();
        move |world: &mut World| {
            let state = trial::state(world);
            world.resource_mut::<Seen>().0.push((slot.clone(), state));
        }
    });
}

/// What happened to the networks in a slot.
struct Change {
    slot: String,
    before: Snapshot,
    after: Snapshot,
}

/// Takes a step and reports what happened in each slot.
fn watched_step(app: &mut App) -> Result<Vec<Change>, Mistake> {
    let mut before = trial::state(app.world())?;
    app.world_mut().resource_mut::<Seen>().0.clear();
    trial::step(app)?;
    let seen = std::mem::take(&mut app.world_mut().resource_mut::<Seen>().0);
    let mut changes = Vec::new();
    for (slot, after) in seen {
        let after = after?;
        let next = after.clone();
        changes.push(Change {
            slot,
            before: std::mem::replace(&mut before, next),
            after,
        });
    }
    Ok(changes)
}

impl Change {
    /// The networks and targets whose parameters changed, as they are called in checkpoints.
    fn networks(&self, all: &[String]) -> Vec<String> {
        let changed = |name: &&String| self.before.files.get(*name) != self.after.files.get(*name);
        all.iter().filter(changed).cloned().collect()
    }
}

/// The networks and targets that exist: `critic`, `target_critic`.
fn networks(app: &App) -> Vec<String> {
    let roles = app.world().get_resource::<Roles>();
    roles
        .iter()
        .flat_map(|roles| &roles.0)
        .flat_map(|role| [role.name.to_owned(), format!("target_{}", role.name)])
        .collect()
}

/// The systems in a slot, in words.
fn systems_in(app: &App, slot: &str) -> String {
    let systems: Vec<String> = learn_steps(app.world())
        .into_iter()
        .filter(|step| step.slot.as_deref() == Some(slot))
        .map(|step| format!("`{}`", step.system))
        .collect();
    match systems.is_empty() {
        true => "no systems".to_owned(),
        false => systems.join(", "),
    }
}

impl Trial {
    /// Each slot changes the networks that are next to it, `target_critic` being the critic's target, and no others; slots that
    /// are not named change none.
    ///
    /// # Errors
    /// The first network that changes where it should not, or does not change where it should, in a dozen steps.
    pub fn changes(&self, expected: &[(LearnSystems, &[&str])]) -> Result<(), Mistake> {
        let named = expected
            .iter()
            .map(|(slot, networks)| (Slot::new(*slot).name, *networks));
        let named: Vec<(String, &[&str])> = named.collect();
        let named: Vec<(&str, &[&str])> = named.iter().map(|it| (it.0.as_str(), it.1)).collect();
        self.changes_by_name(&named)
    }

    /// The same with slots by their names, for a plugin that has slots of its own: `("Model", &["model"])`.
    ///
    /// # Errors
    /// As [`changes`](Trial::changes).
    pub fn changes_by_name(&self, expected: &[(&str, &[&str])]) -> Result<(), Mistake> {
        let mut app = self.start(watch)?;
        let all = networks(&app);
        let expected: BTreeMap<String, BTreeSet<String>> = expected
            .iter()
            .map(|(slot, names)| {
                let names = names.iter().map(|name| (*name).to_owned());
                ((*slot).to_owned(), names.collect())
            })
            .collect();
        let mut missing = expected.clone();
        for _ in 0..STEPS {
            for change in watched_step(&mut app)? {
                for network in change.networks(&all) {
                    let allowed = expected.get(&change.slot);
                    if !allowed.is_some_and(|allowed| allowed.contains(&network)) {
                        return Err(Mistake::ChangedAnother {
                            systems: systems_in(&app, &change.slot),
                            slot: change.slot,
                            network,
                        });
                    }
                    if let Some(missing) = missing.get_mut(&change.slot) {
                        missing.remove(&network);
                    }
                }
            }
        }
        let never = missing
            .into_iter()
            .find_map(|(slot, networks)| Some((slot, networks.into_iter().next()?)));
        match never {
            None => Ok(()),
            Some((slot, network)) => Err(Mistake::NeverChanged {
                systems: systems_in(&app, &slot),
                slot,
                network,
                steps: STEPS,
            }),
        }
    }

    /// Every target that is declared moves in a dozen steps, and whenever one moves it moves by θ' ← θ' + τ (θ − θ').
    /// With a τ of 1 targets are copies.
    ///
    /// # Errors
    /// The first target that stands still, or moves otherwise.
    pub fn targets_follow(&self, tau: f32) -> Result<(), Mistake> {
        self.targets_move(tau, None)
    }

    /// Every target that is declared becomes a copy of its network every so many gradient steps, and stands still between them.
    ///
    /// # Errors
    /// The first target that moves when it should not, stands still when it should not, or becomes something else.
    pub fn targets_are_copied(&self, every: u64) -> Result<(), Mistake> {
        self.targets_move(1.0, Some(every.max(1)))
    }

    fn targets_move(&self, tau: f32, copied_every: Option<u64>) -> Result<(), Mistake> {
        let mut app = self.start(watch)?;
        let steps = STEPS.max(2 * copied_every.unwrap_or(0));
        let roles = app.world().get_resource::<Roles>();
        let roles = roles.map(|roles| roles.0.clone()).unwrap_or_default();
        let mut still: BTreeSet<&str> = roles
            .iter()
            .filter(|role| role.has_target)
            .map(|role| role.name)
            .collect();
        for step in 1..=steps {
            let mut moved: BTreeSet<&str> = BTreeSet::new();
            for change in watched_step(&mut app)? {
                for role in &roles {
                    let target = format!("target_{}", role.name);
                    if change.before.files.get(&target) == change.after.files.get(&target) {
                        continue;
                    }
                    still.remove(role.name);
                    moved.insert(role.name);
                    if !followed(&change, role.name, &target, tau) {
                        return Err(Mistake::TargetLeftItsRule {
                            network: role.name.to_owned(),
                            slot: change.slot,
                            tau: tau.to_string(),
                        });
                    }
                }
            }
            let Some(every) = copied_every else { continue };
            let is_due = step.is_multiple_of(every);
            let mut targets = roles.iter().filter(|role| role.has_target);
            let wrong = targets.find(|role| moved.contains(role.name) != is_due);
            if let Some(role) = wrong {
                return Err(Mistake::TargetCopiedAtAnotherStep {
                    network: role.name.to_owned(),
                    did: if is_due { "stood still" } else { "moved" }.to_owned(),
                    step,
                    every,
                });
            }
        }
        match still.first() {
            None => Ok(()),
            Some(network) => Err(Mistake::TargetNeverMoves {
                network: (*network).to_owned(),
                steps,
            }),
        }
    }

    /// The critic of that name regresses onto a constant: no gradient flows into what its target was computed from.
    ///
    /// On one row the gradient of (Q(s, a) − y)² is a multiple of the gradient of Q(s, a), whatever y is. So the step's
    /// direction must not depend on the next observation, and it does where y is not detached. This holds for losses of the
    /// error alone, Huber's among them; an algorithm that adds a term of its own to the critic's loss cannot be asked.
    ///
    /// # Errors
    /// When the direction depends on it.
    pub fn targets_are_detached(&self, critic: &str) -> Result<(), Mistake> {
        for seed in 0..3 {
            let step = |bootstrap| {
                let row = self.row([seed, seed], 1.5, bootstrap);
                self.descent(critic, |app| trial::feed(app, row.clone()))
            };
            let (without, with) = (step(0.0)?, step(0.99)?);
            for (a, b) in without.iter().zip(&with) {
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let lengths = (dot(a, a) * dot(b, b)).sqrt();
                // A step of no length has no direction.
                if lengths > 1e-12 && dot(a, b).abs() < 0.999 * lengths {
                    return Err(Mistake::NotDetached {
                        network: critic.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// After a terminal step, where `bootstrap` is 0, nothing of the next observation reaches the critic of that name.
    ///
    /// # Errors
    /// When the critic's step depends on it.
    pub fn terminals_stop_the_bootstrap(&self, critic: &str) -> Result<(), Mistake> {
        // A small error and a large one, whose gradient a Huber loss makes the same whatever it is.
        for reward in [0.1, 1.5] {
            let step = |next| {
                let row = self.row([0, next], reward, 0.0);
                self.descent(critic, |app| trial::feed(app, row.clone()))
            };
            if step(1)? != step(2)? {
                return Err(Mistake::BootstrapsPastTheEnd {
                    network: critic.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// How a network's parameters move in one step of plain gradient descent, for each member, in an app that was edited.
    pub(super) fn descent(
        &self,
        network: &str,
        edit: impl Fn(&mut App),
    ) -> Result<Vec<Vec<f64>>, Mistake> {
        let mut app = self.start(edit)?;
        let roles = app.world().get_resource::<Roles>();
        let roles = roles.map(|roles| roles.0.clone()).unwrap_or_default();
        let role = roles.iter().find(|role| role.name == network);
        let role = role.ok_or_else(|| Mistake::NoNetwork(network.to_owned()))?;
        (role.descend_plainly)(app.world_mut(), 1.0);
        let members = (role.members)(app.world()).unwrap_or(1);
        let before = trial::state(app.world())?;
        trial::step(&mut app)?;
        let after = trial::state(app.world())?;
        let mut moved = vec![Vec::new(); members];
        let pairs = trial::values(&before, network).zip(trial::values(&after, network));
        for ((name, before), (_, after)) in pairs {
            // An ensemble's tensors are called `1.0.weight`, by the member first.
            let member = match members {
                1 => 0,
                _ => name
                    .split('.')
                    .next()
                    .and_then(|member| member.parse().ok())
                    .unwrap_or(0),
            };
            if let Some(moved) = moved.get_mut::<usize>(member) {
                let steps = before.values.iter().zip(&after.values);
                moved.extend(steps.map(|(before, after)| f64::from(*after) - f64::from(*before)));
            }
        }
        Ok(moved)
    }

    /// One row: an observation and an action of one seed, a next observation of another.
    fn row(&self, [seed, next]: [u64; 2], reward: f32, bootstrap: f32) -> Batch {
        let device = self.device.plain();
        let wave = |seed: u64, speed: f32| (0.7 + speed * (seed + 1) as f32).sin();
        let matrix = |values: Vec<f32>| {
            let shape = [1, values.len()];
            Tensor::<2>::from_data(TensorData::new(values, shape), &device)
        };
        let vector = |value: f32| Tensor::<1>::from_floats([value], &device);
        Batch {
            learners: 1,
            row_ids: vec![seed as usize],
            observation: matrix(vec![wave(seed, 1.3), wave(seed, 2.9)]),
            action: matrix(vec![self.actions.nearest(0.9 * wave(seed, 2.1))]),
            reward: vector(reward),
            next_observation: matrix(vec![wave(next, 0.4), -wave(next, 1.9)]),
            bootstrap: vector(bootstrap),
            terminated: vector(f32::from(u8::from(bootstrap == 0.0))),
            next_action: matrix(vec![self.actions.nearest(0.9 * wave(next, 2.3))]),
            has_next_action: vector(f32::from(u8::from(bootstrap != 0.0))),
            weight: None,
            past_action: None,
        }
    }
}

/// Whether a target moved by its rule, to single precision.
fn followed(change: &Change, network: &str, target: &str, tau: f32) -> bool {
    let tau = f64::from(tau);
    let before = trial::values(&change.before, target);
    let after = trial::values(&change.after, target);
    let source = trial::values(&change.after, network);
    before
        .zip(after)
        .zip(source)
        .all(|((before, after), source)| {
            let values = before.1.values.iter().zip(&after.1.values);
            values
                .zip(&source.1.values)
                .all(|((before, after), source)| {
                    let (before, after, source) =
                        (f64::from(*before), f64::from(*after), f64::from(*source));
                    let expected = before + tau * (source - before);
                    (after - expected).abs() <= 1e-6 * expected.abs().max(1.0)
                })
        })
}
