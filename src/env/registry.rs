//! Environments by name, as Gymnasium registers them.

use std::num::NonZeroU64;
use std::ops::Range;

#[cfg(feature = "mujoco")]
use super::mujoco;
use super::{
    Acrobot, CartPole, Dynamics, Environment, EnvironmentError, MountainCar, MountainCarContinuous,
    Named, Pendulum, Pixels, Reach, Simulation, Space, TimeLimit, gymnasium,
};
use crate::scene::Keywords;

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
    /// Returns to normalize scores by, where they are known.
    pub reference: Option<ReferenceScores>,
    /// What computes it.
    pub engine: Engine,
}

/// What computes an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Equations that are part of yarak: it runs everywhere.
    BuiltIn,
    /// Such equations, shown in pictures or by parts: it runs everywhere, and nobody else has it.
    Shown,
    /// MuJoCo's library, which has to be on the machine: [`check`] says whether it is.
    Mujoco,
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
    /// D4RL's normalized score of a mean return, `100 (score - random) / (expert - random)`: 0 is random, 100 is the
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
    engine: Engine,
    make: fn(NonZeroU64) -> Result<Box<dyn Environment>, EnvironmentError>,
}

const fn limit(steps: u64) -> NonZeroU64 {
    // Only the constants below come here, so a zero fails to compile.
    NonZeroU64::new(steps).expect("a time limit of at least one step")
}

fn limited(environment: impl Environment + 'static, limit: NonZeroU64) -> Box<dyn Environment> {
    Box::new(TimeLimit::new(environment, limit))
}

fn simulation<D: Dynamics + Default + 'static>(
    limit: NonZeroU64,
) -> Result<Box<dyn Environment>, EnvironmentError> {
    Ok(limited(Simulation::new(D::default()), limit))
}

/// How high and wide the pictures are.
const PIXELS: usize = 32;

fn pixels(
    name: &'static str,
    environment: impl Environment + 'static,
    limit: NonZeroU64,
) -> Result<Box<dyn Environment>, EnvironmentError> {
    Ok(limited(Pixels::new(name, environment, PIXELS)?, limit))
}

fn named<const N: usize>(
    name: &'static str,
    environment: impl Environment + 'static,
    parts: [(&str, Range<usize>); N],
    limit: NonZeroU64,
) -> Result<Box<dyn Environment>, EnvironmentError> {
    Ok(limited(Named::new(name, environment, parts)?, limit))
}

const PENDULUM: ReferenceScores = ReferenceScores {
    random: -1297.0,
    expert: -160.0,
};

/// D4RL's own, of the tasks' earlier versions (<https://github.com/Farama-Foundation/D4RL>, `infos.py`): what its papers
/// normalize by, and so what theirs are compared with.
#[cfg(feature = "mujoco")]
const D4RL_HOPPER: ReferenceScores = ReferenceScores {
    random: -20.272305,
    expert: 3234.3,
};
#[cfg(feature = "mujoco")]
const D4RL_HALF_CHEETAH: ReferenceScores = ReferenceScores {
    random: -280.178953,
    expert: 12135.0,
};
#[cfg(feature = "mujoco")]
const D4RL_WALKER: ReferenceScores = ReferenceScores {
    random: 1.629008,
    expert: 4592.3,
};

/// In the order of their names.
static ENTRIES: &[Entry] = &[
    Entry {
        name: "Acrobot-v1",
        description: "swing the tip of a two-link arm above its bar by a motor in the middle joint",
        time_limit: limit(500),
        reward_threshold: Some(-100.0),
        reference: None,
        engine: Engine::BuiltIn,
        make: simulation::<Acrobot>,
    },
    Entry {
        name: "CartPole-v1",
        description: "keep a pole upright on a cart by pushing it left or right",
        time_limit: limit(500),
        reward_threshold: Some(475.0),
        reference: None,
        engine: Engine::BuiltIn,
        make: simulation::<CartPole>,
    },
    Entry {
        name: "CartPoleNamed-v1",
        description: "CartPole-v1, whose observation has named parts: cart_position, cart_velocity, pole_angle, pole_velocity",
        time_limit: limit(500),
        reward_threshold: Some(475.0),
        reference: None,
        engine: Engine::Shown,
        make: |limit| {
            let parts = [
                ("cart_position", 0..1),
                ("cart_velocity", 1..2),
                ("pole_angle", 2..3),
                ("pole_velocity", 3..4),
            ];
            named("CartPoleNamed-v1", Simulation::new(CartPole), parts, limit)
        },
    },
    Entry {
        name: "CartPolePixels-v1",
        description: "CartPole-v1 in gray pictures of 32 by 32 pixels",
        time_limit: limit(500),
        reward_threshold: Some(475.0),
        reference: None,
        engine: Engine::Shown,
        make: |limit| pixels("CartPolePixels-v1", Simulation::new(CartPole), limit),
    },
    #[cfg(feature = "mujoco")]
    Entry {
        name: "HalfCheetah-v5",
        description: "run in a plane on two legs",
        time_limit: limit(1000),
        reward_threshold: Some(4800.0),
        reference: Some(D4RL_HALF_CHEETAH),
        engine: Engine::Mujoco,
        make: |limit| Ok(limited(mujoco::half_cheetah()?, limit)),
    },
    #[cfg(feature = "mujoco")]
    Entry {
        name: "Hopper-v5",
        description: "hop in a plane on one leg without falling",
        time_limit: limit(1000),
        reward_threshold: Some(3800.0),
        reference: Some(D4RL_HOPPER),
        engine: Engine::Mujoco,
        make: |limit| Ok(limited(mujoco::hopper()?, limit)),
    },
    Entry {
        name: "MountainCar-v0",
        description: "drive a weak car out of a valley by swinging it up, three actions",
        time_limit: limit(200),
        reward_threshold: Some(-110.0),
        reference: None,
        engine: Engine::BuiltIn,
        make: simulation::<MountainCar>,
    },
    Entry {
        name: "MountainCarContinuous-v0",
        description: "drive a weak car out of a valley with as little force as will do",
        time_limit: limit(999),
        reward_threshold: Some(90.0),
        reference: None,
        engine: Engine::BuiltIn,
        make: simulation::<MountainCarContinuous>,
    },
    Entry {
        name: "Pendulum-v1",
        description: "swing a pendulum up and hold it there with a bounded torque",
        time_limit: limit(200),
        reward_threshold: None,
        reference: Some(PENDULUM),
        engine: Engine::BuiltIn,
        make: simulation::<Pendulum>,
    },
    Entry {
        name: "PendulumNamed-v1",
        description: "Pendulum-v1, whose observation has named parts: angle, velocity",
        time_limit: limit(200),
        reward_threshold: None,
        reference: Some(PENDULUM),
        engine: Engine::Shown,
        make: |limit| {
            let parts = [("angle", 0..2), ("velocity", 2..3)];
            named("PendulumNamed-v1", Simulation::new(Pendulum), parts, limit)
        },
    },
    Entry {
        name: "PendulumPixels-v1",
        description: "Pendulum-v1 in gray pictures of 32 by 32 pixels",
        time_limit: limit(200),
        reward_threshold: None,
        reference: Some(PENDULUM),
        engine: Engine::Shown,
        make: |limit| pixels("PendulumPixels-v1", Simulation::new(Pendulum), limit),
    },
    Entry {
        name: "ReachPixels-v1",
        description: "touch a spot with an arm of two links, in gray pictures of 32 by 32 pixels; an episode that terminates is a success",
        time_limit: limit(50),
        reward_threshold: None,
        reference: None,
        engine: Engine::Shown,
        make: |limit| pixels("ReachPixels-v1", Simulation::new(Reach), limit),
    },
    #[cfg(feature = "mujoco")]
    Entry {
        name: "Walker2d-v5",
        description: "walk in a plane on two legs without falling",
        time_limit: limit(1000),
        reward_threshold: None,
        reference: Some(D4RL_WALKER),
        engine: Engine::Mujoco,
        make: |limit| Ok(limited(mujoco::walker2d()?, limit)),
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
/// [`EnvironmentError::Unknown`], with the known names and the nearest; [`EnvironmentError::Bridge`] for `gymnasium:NAME`; an
/// environment of MuJoCo says where the library was looked for.
pub fn make(name: &str) -> Result<Box<dyn Environment>, EnvironmentError> {
    match gymnasium::name_of(name) {
        Some(_) => {
            let made = make_each(name, 1)?.pop();
            made.ok_or_else(|| unknown(name))
        }
        None => {
            let entry = entry(name)?;
            (entry.make)(entry.time_limit)
        }
    }
}

/// Makes so many environments of a name. Those of Python's Gymnasium, `gymnasium:NAME`, share one process.
///
/// # Errors
/// As [`make`], and what goes wrong with Python.
pub fn make_each(name: &str, count: usize) -> Result<Vec<Box<dyn Environment>>, EnvironmentError> {
    make_with(name, count, &Keywords::default())
}

/// The same, those of Python's Gymnasium with keyword arguments of `gymnasium.make`; others take none.
///
/// # Errors
/// As [`make_each`].
pub fn make_with(
    name: &str,
    count: usize,
    kwargs: &Keywords,
) -> Result<Vec<Box<dyn Environment>>, EnvironmentError> {
    match gymnasium::name_of(name) {
        Some(name) => gymnasium::make_each(name, count, kwargs),
        None => (0..count).map(|_| make(name)).collect(),
    }
}

/// Whether [`make`] knows the name, whatever this machine has. Whether Gymnasium knows what follows `gymnasium:` is found when
/// it is made.
///
/// # Errors
/// [`EnvironmentError::Unknown`], with the known names and the nearest.
pub fn check_name(name: &str) -> Result<(), EnvironmentError> {
    match gymnasium::name_of(name) {
        Some(_) => Ok(()),
        None => entry(name).map(|_| ()),
    }
}

/// Whether [`make`] can make it on this machine, where [`specification`] says only what it would be. Whether Gymnasium knows
/// what follows `gymnasium:` is found when it is made.
///
/// # Errors
/// As [`make`].
pub fn check(name: &str) -> Result<(), EnvironmentError> {
    match gymnasium::name_of(name) {
        Some(_) => Ok(()),
        None => make(name).map(drop),
    }
}

/// The library that computes an environment, with its version: scores of one version are not those of another. `None` for what
/// is built in, and where the library is not there.
///
/// ```
/// use yarak::env::registry;
///
/// assert_eq!(registry::library_of("Pendulum-v1"), None);
/// if registry::check("Hopper-v5").is_ok() {
///     assert!(registry::library_of("Hopper-v5").unwrap().starts_with("MuJoCo "));
/// }
/// ```
#[must_use]
pub fn library_of(name: &str) -> Option<String> {
    match entry(name).ok()?.engine {
        Engine::BuiltIn | Engine::Shown => None,
        #[cfg(feature = "mujoco")]
        Engine::Mujoco => Some(format!("MuJoCo {}", mujoco::version().ok()?)),
        #[cfg(not(feature = "mujoco"))]
        Engine::Mujoco => None,
    }
}

/// The names that [`make`] knows, in alphabetical order.
pub fn names() -> impl ExactSizeIterator<Item = &'static str> {
    ENTRIES.iter().map(|entry| entry.name)
}

/// Those of them that are Gymnasium's and run everywhere, in alphabetical order.
pub fn built_in_names() -> impl Iterator<Item = &'static str> {
    let built_in = ENTRIES
        .iter()
        .filter(|entry| entry.engine == Engine::BuiltIn);
    built_in.map(|entry| entry.name)
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
    let (observation_space, action_space) = entry.spaces()?;
    Ok(Specification {
        name: entry.name,
        description: entry.description,
        observation_space,
        action_space,
        time_limit: entry.time_limit,
        reward_threshold: entry.reward_threshold,
        reference: entry.reference,
        engine: entry.engine,
    })
}

impl Entry {
    /// Those of the walkers are known without the library that moves them.
    fn spaces(&self) -> Result<(Space, Space), EnvironmentError> {
        #[cfg(feature = "mujoco")]
        if let Some(spaces) = mujoco::spaces(self.name) {
            return Ok(spaces);
        }
        let environment = (self.make)(self.time_limit)?;
        Ok((
            environment.observation_space().clone(),
            environment.action_space().clone(),
        ))
    }
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
            let mut environment = match make(name) {
                Ok(environment) => environment,
                #[cfg(feature = "mujoco")]
                Err(EnvironmentError::Mujoco(error)) => {
                    eprintln!("skipped {name}: {error}");
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
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
            ("hopper", Some("Hopper-v5")),
            ("Walker2d-v4", Some("Walker2d-v5")),
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
