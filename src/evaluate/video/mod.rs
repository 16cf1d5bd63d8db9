//! Episodes as moving pictures, without a display.
//!
//! An environment says what it looks like ([`Drawing`]); [`Video`] draws that moment by moment and writes a GIF.
//! `yarak eval RUN --video FILE.gif` records the first episode that it plays. For an environment of your own, implement
//! [`Environment::drawing`] or [`Dynamics::drawing`](crate::env::Dynamics::drawing).
//!
//! ```
//! use yarak::env::registry;
//! use yarak::evaluate::video::Video;
//!
//! let mut environment = registry::make("CartPole-v1")?;
//! let mut observation = [0.0; 4];
//! environment.reset(Some(0), &mut observation)?;
//! let mut video = Video::default();
//! video.take(&environment.drawing().unwrap());
//! while !environment.step(&[1.0], &mut observation)?.ended() {
//!     video.take(&environment.drawing().unwrap());
//! }
//! let folder = tempfile::tempdir()?;
//! video.write(&folder.path().join("falling.gif"), false)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Drawing`]: crate::env::Drawing
//! [`Environment::drawing`]: crate::env::Environment::drawing

mod gif;

pub use gif::{Video, VideoError};
