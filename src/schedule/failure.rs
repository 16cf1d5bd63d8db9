//! Errors of systems, kept where the runner finds them.
//!
//! Bevy hands a system's error to a bare function without captures or the world. Each learner runs on a thread of its own,
//! so the first error of a thread is kept in that thread until the facilitator takes it.

use std::any::Any;
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::panic;
use std::sync::Once;

use bevy_ecs::error::{BevyError, ErrorContext, Severity};

/// Why a run ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened, where, and what to do about it.
    pub message: String,
    /// Whether the user's input was wrong (exit status 2), rather than the run (exit status 1).
    pub input: bool,
}

impl Failure {
    /// The program's exit status for it: 2 when the user's input was wrong, else 1.
    pub fn exit_status(&self) -> u8 {
        if self.input { 2 } else { 1 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

/// Marks an error as the user's to mend: a file, a path or a setting. The program then ends with exit status 2.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::schedule::{SchedulePlugin, take_failure};
///
/// fn load() -> Result {
///     std::fs::read("no such file").map_err(InputError::new)?;
///     Ok(())
/// }
///
/// let mut app = App::new();
/// app.add_plugins(SchedulePlugin).add_systems(Startup, load);
/// app.update();
/// assert_eq!(take_failure().unwrap().exit_status(), 2);
/// ```
#[derive(Debug)]
pub struct InputError(Box<dyn Error + Send + Sync>);

impl InputError {
    /// Marks `error`.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        InputError(error.into())
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for InputError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Marks an error that says everything by itself, such as a full disk or a run that diverged: it is reported with its causes and
/// without the name of the system that met it. The program then ends with exit status 1.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::schedule::{RunError, SchedulePlugin, take_failure};
///
/// fn save() -> Result {
///     std::fs::write("no/such/folder", "").map_err(RunError::new)?;
///     Ok(())
/// }
///
/// let mut app = App::new();
/// app.add_plugins(SchedulePlugin).add_systems(Startup, save);
/// app.update();
/// let failure = take_failure().unwrap();
/// assert_eq!(failure.exit_status(), 1);
/// assert!(failure.message.starts_with("No such file"));
/// ```
#[derive(Debug)]
pub struct RunError(Box<dyn Error + Send + Sync>);

impl RunError {
    /// Marks `error`.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        RunError(error.into())
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

thread_local! {
    static FIRST_FAILURE: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

/// The error handler of every yarak app: keeps the thread's first error, which is the cause of those that follow.
pub fn keep_failure(mut error: BevyError, context: ErrorContext) {
    if matches!(
        error.severity(),
        Severity::Ignore | Severity::Trace | Severity::Debug | Severity::Info
    ) {
        return;
    }
    let panic = error.take_payload();
    FIRST_FAILURE.with_borrow_mut(|first| {
        first.get_or_insert_with(|| Failure::from_system(&error, panic.as_deref(), &context));
    });
}

impl Failure {
    fn from_system(
        error: &BevyError,
        panic: Option<&(dyn Any + Send)>,
        context: &ErrorContext,
    ) -> Failure {
        if let Some(input) = error.downcast_ref::<InputError>() {
            return Failure {
                message: with_causes(input),
                input: true,
            };
        }
        if let Some(run) = error.downcast_ref::<RunError>() {
            return Failure {
                message: with_causes(run),
                input: false,
            };
        }
        let text = error.to_string();
        let text = text.trim();
        // Bevy's own words are for whoever writes the system, and most who read this wrote a scene.
        let text = match text.lines().next() {
            Some(first) if first.ends_with("Resource does not exist") => {
                format!("{first}\n{}", who_brings(first))
            }
            Some("System panicked") if words_of(panic).is_some_and(mixes) => MIXED.to_owned(),
            Some("System panicked") => format!(
                "it panicked{}\nThis is a bug in a plugin or in yarak, or the step lacks one that `order` took out. The checkpoints that were saved are kept",
                words_of(panic).map_or(", as reported above".to_owned(), |words| format!(
                    ": {words}"
                ))
            ),
            _ => text.to_owned(),
        };
        Failure {
            message: format!("in `{}`: {text}", context.name()),
            input: false,
        }
    }
}

/// Who brings the resource that these words of Bevy's say is missing.
fn who_brings(words: &str) -> String {
    const ELSE: &str = "or `order` put this step where that plugin is not";
    /// Resources by the beginning of their types, and the call that brings each for a role or a purpose.
    const CALLS: [(&str, &str); 7] = [
        (
            "Learning<",
            "`app.add_learner::<_>(optimizer)`, and `Net::<_>::new(..)` inserted with `Commands` in a system of `Startup`",
        ),
        (
            "Net<",
            "`Net::<_>::new(..)`, inserted with `Commands` in a system of `Startup`, with `app.add_learner::<_>(optimizer)` where it is trained",
        ),
        ("Optim<", "`app.add_learner::<_>(optimizer)`"),
        ("Rate<", "`app.add_learner::<_>(optimizer)`"),
        ("Tick<", "`app.add_learner::<_>(optimizer)`"),
        (
            "Target<",
            "`app.add_target::<_>()`, and `Target::copy_of(&net)` inserted with `Commands` in the system of `Startup` that builds the network",
        ),
        ("Random<", "`app.add_random::<_>()`"),
    ];
    let found = CALLS.iter().find_map(|(beginning, call)| {
        let at = words.rfind(beginning)? + beginning.len();
        let of = disqualified::ShortName(inside(&words[at..])).to_string();
        Some(call.replace("<_>", &format!("<{of}>")))
    });
    match found {
        Some(call) => format!("What brings it is {call}: the plugin lacks that, {ELSE}"),
        None => format!("The plugin that brings it is missing, {ELSE}"),
    }
}

/// What is in front of the bracket that closes.
fn inside(text: &str) -> &str {
    let mut depth = 1;
    for (at, letter) in text.char_indices() {
        match letter {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// What is said where Burn finds a tracked tensor and a plain one in one operation; its own words print both tensors whole.
const MIXED: &str = "a tracked tensor met a plain one in one operation. What `Learning<..>` computes is tracked; a batch, and what a target or a `Res<Net<..>>` computes from it, is plain. Write `.stop_gradient()` behind the plain one, or `.constant_of(&other)` in a loss that validation computes, too; `docs/gradients.md` has all words in a table";

/// Whether Burn has said that.
fn mixes(words: &str) -> bool {
    words.starts_with("The provided tensors are not on the same backend")
}

/// Lets panics about tracked and plain tensors print one line.
pub(super) fn shorten_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| match info.payload_as_str() {
            Some(words) if mixes(words) => crate::terminal::message(MIXED),
            _ => before(info),
        }));
    });
}

/// What a panic said.
fn words_of(panic: Option<&(dyn Any + Send)>) -> Option<&str> {
    let panic = panic?;
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
}

/// An error with its causes, each introduced by `because`.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Transparent wrappers repeat their cause word for word.
        if !message.ends_with(&text) {
            message.push_str("\n  because ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message
}

/// Takes the first error that a system of this thread returned, if any did.
pub fn take_failure() -> Option<Failure> {
    FIRST_FAILURE.take()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;
    use crate::schedule::SchedulePlugin;

    #[test]
    fn a_missing_resource_is_told_with_the_call_that_brings_it() {
        fn critic_step(_: Learning<Critic>) {}
        fn target_step(_: Res<Target<Critic>>) {}
        fn noisy_step(_: ResMut<Random<Noise>>) {}
        fn own_step(_: Res<Own>) {}
        #[derive(Resource)]
        struct Own;
        fn told<M>(step: impl IntoSystem<(), (), M>) -> String {
            let mut app = App::new();
            let step = IntoSystem::into_system(step);
            app.add_plugins(SchedulePlugin)
                .add_systems(Learn, step.in_set(LearnSystems::Critic));
            app.finish();
            app.world_mut().run_schedule(Learn);
            take_failure().unwrap().message
        }
        for (said, words) in [
            (told(critic_step), "`app.add_learner::<Critic>(optimizer)`"),
            (told(target_step), "`app.add_target::<Critic>()`"),
            (told(noisy_step), "`app.add_random::<Noise>()`"),
            (told(own_step), "The plugin that brings it is missing"),
        ] {
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_tracked_tensor_that_meets_a_plain_one_is_told_with_the_step_and_the_word_to_write() {
        fn mixing_step() {
            let device = ComputeDevice::cpu();
            let q = Tensor::<1>::ones([2], &device.autodiff());
            let _ = q - Tensor::ones([2], &device.plain());
        }
        let mut app = App::new();
        app.add_plugins(SchedulePlugin)
            .add_systems(Learn, mixing_step.in_set(LearnSystems::Actor));
        app.finish();
        app.world_mut().run_schedule(Learn);
        let said = take_failure().unwrap().message;
        assert!(
            said.contains("mixing_step`: a tracked tensor met a plain one"),
            "{said}"
        );
        assert!(
            said.contains("`.stop_gradient()`") && said.len() < 600,
            "{said}"
        );
    }
}
