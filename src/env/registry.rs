//! Environments by name, as Gymnasium registers them.

use std::num::NonZeroU64;

use super::{
    Acrobot, CartPole, Dynamics, Environment, EnvironmentError, MountainCar, MountainCarContinuous,
    Pendulum, Simulation, Space, TimeLimit, gymnasium,
};

/// What is known about an environment before it is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Specification {
    /// Its name, such as `Pendulum-v1`.
    pub name: &'static str,
    /// The task in one line.
    pub description: &'static str,
    /// What observations look like.
    pub observation_space: Space,
    /// What actions look like.
    pub action_space: Space,
    /// Steps after which an episode is truncated.
    pub time_limit: NonZeroU64,
    /// The mean return at which the task counts as solved, where Gymnasium names one.
    pub reward_threshold: Option<f64>,
    /// Returns to normalise scores by, where they are known.
    pub reference: Option<ReferenceScores>,
}

/// Mean returns of two policies that scores are compared with.
///
/// ```
/// use yarak::env::registry;
///
/// let reference = registry::specification("Pendulum-v1")?.reference.unwrap();
/// assert_eq!(reference.normalized(reference.random), 0.0);
/// assert_eq!(reference.normalized(reference.expert), 100.0);
/// # Ok::<(), yarak::env::EnvironmentError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceScores {
    /// The mean return of uniformly random actions.
    pub random: f64,
    /// The mean return of an expert.
    pub expert: f64,
}

impl ReferenceScores {
    /// D4RL's normalised score of a mean return, `100 (score - random) / (expert - random)`: 0 is random, 100 is the
    /// expert, and both sides are open (Fu et al. 2020, <https://arxiv.org/abs/2004.07219>).
    #[must_use]
    pub fn normalized(&self, score: f64) -> f64 {
        100.0 * (score - self.random) / (self.expert - self.random)
    }
}

struct Entry {
    name: &'static str,
    description: &'static str,
    time_limit: NonZeroU64,
    reward_threshold: Option<f64>,
    reference: Option<ReferenceScores>,
    make: fn(NonZeroU64) -> Box<dyn Environment>,
}

const fn limit(steps: u64) -> NonZeroU64 {
    // Only the constants below come here, so a zero fails to compile.
    NonZeroU64::new(steps).expect("a time limit of at least one step")
}

fn limited<D: Dynamics + Default + 'static>(limit: NonZeroU64) -> Box<dyn Environment> {
    Box::new(TimeLimit::new(Simulation::new(D::default()), limit))
}

/// In the order of their names.
static ENTRIES: [Entry; 5] = [
    Entry {
        name: "Acrobot-v1",
        description: "swing the tip of a two-link arm above its bar by a motor in the middle joint",
        time_limit: limit(500),
        reward_threshold: Some(-100.0),
        reference: None,
        make: limited::<Acrobot>,
    },
    Entry {
        name: "CartPole-v1",
        description: "keep a pole upright on a cart by pushing it left or right",
        time_limit: limit(500),
        reward_threshold: Some(475.0),
        reference: None,
        make: limited::<CartPole>,
    },
    Entry {
        name: "MountainCar-v0",
        description: "drive a weak car out of a valley by swinging it up, three actions",
        time_limit: limit(200),
        reward_threshold: Some(-110.0),
        reference: None,
        make: limited::<MountainCar>,
    },
    Entry {
        name: "MountainCarContinuous-v0",
        description: "drive a weak car out of a valley with as little force as will do",
        time_limit: limit(999),
        reward_threshold: Some(90.0),
        reference: None,
        make: limited::<MountainCarContinuous>,
    },
    Entry {
        name: "Pendulum-v1",
        description: "swing a pendulum up and hold it there with a bounded torque",
        time_limit: limit(200),
        reward_threshold: None,
        reference: Some(ReferenceScores {
            random: -1297.0,
            expert: -160.0,
        }),
        make: limited::<Pendulum>,
    },
];

/// Makes an environment with its registered time limit.
///
/// ```
/// use yarak::env::registry;
///
/// let environment = registry::make("CartPole-v1")?;
/// assert_eq!(environment.observation_space().size(), 4);
///
/// let error = registry::make("CartPole-v7").err().unwrap();
/// assert!(error.to_string().contains("did you mean `CartPole-v1`?"));
/// # Ok::<(), yarak::env::EnvironmentError>(())
/// ```
///
/// # Errors
/// [`EnvironmentError::Unknown`], with the known names and the nearest; [`EnvironmentError::Bridge`] for `gymnasium:NAME`.
pub fn make(name: &str) -> Result<Box<dyn Environment>, EnvironmentError> {
    match gymnasium::name_of(name) {
        Some(_) => {
            let made = make_each(name, 1)?.pop();
            made.ok_or_else(|| unknown(name))
        }
        None => entry(name).map(|entry| (entry.make)(entry.time_limit)),
    }
}

/// Makes so many environments of a name. Those of Python's Gymnasium, `gymnasium:NAME`, share one process.
///
/// # Errors
/// As [`make`], and what goes wrong with Python.
pub fn make_each(name: &str, count: usize) -> Result<Vec<Box<dyn Environment>>, EnvironmentError> {
    match gymnasium::name_of(name) {
        Some(name) => gymnasium::make_each(name, count),
        None => (0..count).map(|_| make(name)).collect(),
    }
}

/// Whether [`make`] knows the name. Whether Gymnasium knows what follows `gymnasium:` is found when it is made.
///
/// # Errors
/// [`EnvironmentError::Unknown`], with the known names and the nearest.
pub fn check(name: &str) -> Result<(), EnvironmentError> {
    match gymnasium::name_of(name) {
        Some(_) => Ok(()),
        None => entry(name).map(|_| ()),
    }
}

/// The names that [`make`] knows, in alphabetical order.
pub fn names() -> impl ExactSizeIterator<Item = &'static str> {
    ENTRIES.iter().map(|entry| entry.name)
}

/// What is known about an environment: spaces, time limit, reference scores.
///
/// ```
/// use yarak::env::{Space, registry};
///
/// let cart_pole = registry::specification("CartPole-v1")?;
/// assert_eq!(cart_pole.action_space, Space::Discrete { n: 2 });
/// assert_eq!(cart_pole.time_limit.get(), 500);
/// assert_eq!(cart_pole.reward_threshold, Some(475.0));
/// # Ok::<(), yarak::env::EnvironmentError>(())
/// ```
///
/// # Errors
/// [`EnvironmentError::Unknown`], with the known names and the nearest.
pub fn specification(name: &str) -> Result<Specification, EnvironmentError> {
    let entry = entry(name)?;
    let environment = (entry.make)(entry.time_limit);
    Ok(Specification {
        name: entry.name,
        description: entry.description,
        observation_space: environment.observation_space().clone(),
        action_space: environment.action_space().clone(),
        time_limit: entry.time_limit,
        reward_threshold: entry.reward_threshold,
        reference: entry.reference,
    })
}

fn entry(name: &str) -> Result<&'static Entry, EnvironmentError> {
    ENTRIES
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> EnvironmentError {
    EnvironmentError::Unknown {
        name: name.to_owned(),
        nearest: nearest(name),
        known: names().collect(),
    }
}

fn nearest(name: &str) -> Option<&'static str> {
    // Below this, a suggestion has little more in common with the name than a version number.
    const SIMILAR: f64 = 0.45;
    let likeness = |known: &str| {
        strsim::normalized_damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase())
    };
    names()
        .map(|known| (likeness(known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= SIMILAR)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_makes_an_environment_of_its_specification() {
        assert!(names().is_sorted());
        for name in names() {
            let mut environment = make(name).unwrap();
            let specification = specification(name).unwrap();
            assert_eq!(environment.name(), name);
            assert_eq!(specification.name, name);
            assert_eq!(
                *environment.observation_space(),
                specification.observation_space
            );
            assert_eq!(*environment.action_space(), specification.action_space);
            let mut observation = vec![0.0; specification.observation_space.size()];
            environment.reset(Some(0), &mut observation).unwrap();
            assert!(specification.observation_space.contains(&observation));
        }
    }

    #[test]
    fn still_actions_meet_the_time_limit() {
        for name in ["Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0"] {
            let specification = specification(name).unwrap();
            let mut environment = make(name).unwrap();
            let mut observation = vec![0.0; specification.observation_space.size()];
            environment.reset(Some(1), &mut observation).unwrap();
            let still = [if name == "MountainCar-v0" { 1.0 } else { 0.0 }];
            let mut steps = 1;
            while !environment
                .step(&still, &mut observation)
                .unwrap()
                .truncated
            {
                steps += 1;
            }
            assert_eq!(steps, specification.time_limit.get(), "{name}");
        }
    }

    #[test]
    fn unknown_name_lists_the_known_ones_and_the_nearest() {
        for (name, expected) in [
            ("pendulum", Some("Pendulum-v1")),
            ("Pendulum-v0", Some("Pendulum-v1")),
            ("CartPole-v0", Some("CartPole-v1")),
            ("MountainCarContinous-v0", Some("MountainCarContinuous-v0")),
            ("MountainCar", Some("MountainCar-v0")),
            ("Humanoid-v5", None),
            ("", None),
        ] {
            let error = make(name).err().unwrap();
            let message = error.to_string();
            for known in names() {
                assert!(message.contains(known), "{message}");
            }
            let EnvironmentError::Unknown { nearest, .. } = error else {
                panic!("{error}");
            };
            assert_eq!(nearest, expected, "{message}");
        }
    }
}
