//! What algorithms learn, step by step: held to references, to numbers worked out by hand, and to the checks of `yarak::testing`.

mod devices;
mod encoders;
mod hidden_layers;
mod memory;
mod mistakes;
mod offline_family;
mod on_policy;
mod order;
mod parity;
mod programs;
mod replay_examples;
mod row_weights;
mod small_run;
mod td3_bc_settings;
mod trials;
mod two_modes;
mod validation;
