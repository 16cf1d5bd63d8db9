//! Episodes as moving pictures, without a display.
//!
//! An environment says what it looks like ([`Drawing`]); [`Film`] draws that moment by moment and writes a GIF.
//! `yarak eval RUN --record FILE.gif` records the first episode that it plays. For an environment of one's own, implement
//! [`Environment::drawing`] or [`Dynamics::drawing`](crate::env::Dynamics::drawing).
//!
//! ```
//! use yarak::env::registry;
//! use yarak::evaluate::recording::Film;
//!
//! let mut environment = registry::make("CartPole-v1")?;
//! let mut observation = [0.0; 4];
//! environment.reset(Some(0), &mut observation)?;
//! let mut film = Film::default();
//! film.take(&environment.drawing().unwrap());
//! while !environment.step(&[1.0], &mut observation)?.ended() {
//!     film.take(&environment.drawing().unwrap());
//! }
//! let folder = tempfile::tempdir()?;
//! film.write(&folder.path().join("falling.gif"), false)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Drawing`]: crate::env::Drawing
//! [`Environment::drawing`]: crate::env::Environment::drawing

mod film;
mod raster;

pub use film::{Film, RecordError};
