//! Environments, held to what Gymnasium itself played.

mod gymnasium;
mod gymnasium_bridge;
mod mujoco;
mod vector_environments;
