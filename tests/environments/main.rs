//! Environments, held to what Gymnasium itself played.

mod gymnasium;
mod gymnasium_bridge;
mod mujoco;
mod odd_worlds;
mod trust;
mod vector_environments;
