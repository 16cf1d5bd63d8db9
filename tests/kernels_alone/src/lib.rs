//! The CPU kernels without the rest of yarak.
#![allow(dead_code, unused_imports, missing_docs)]

#[path = "../../../src/memory.rs"]
mod memory;
#[path = "../../../src/subnormals.rs"]
pub mod subnormals;

pub mod nn {
    #[path = "../../../../src/nn/cpu/mod.rs"]
    pub mod cpu;
}
