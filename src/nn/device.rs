//! The device that a run computes on, chosen at run time.

use std::fmt;
use std::str::FromStr;

use bevy_ecs::prelude::Resource;
use burn::tensor::Device;

/// Where tensors live. `cpu` unless asked otherwise.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::learner::DeviceError;
///
/// let device: ComputeDevice = "cpu".parse()?;
/// assert_eq!(device.to_string(), "cpu");
/// assert!("gpu".parse::<ComputeDevice>().unwrap_err().to_string().contains("cpu, cuda, cuda:N or auto"));
/// # Ok::<(), DeviceError>(())
/// ```
#[derive(Resource, Clone, Debug)]
pub struct ComputeDevice {
    device: Device,
    name: String,
}

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// No such name.
    #[error("there is no device `{0}`; use cpu, cuda, cuda:N or auto")]
    Unknown(String),
    /// The program was built without CUDA.
    #[error(
        "device `{0}` needs the feature `cuda`, which this program was built without; build with `cargo build --release --features cuda`, or use `--device cpu`"
    )]
    NotCompiled(String),
    /// No driver on this machine.
    #[error(
        "device `{0}`: no NVIDIA driver was found (libcuda.so.1 cannot be loaded: {1}); install the driver, or use `--device cpu` or `--device auto`"
    )]
    NoDriver(String, String),
    /// The driver is there and the card is not.
    #[error(
        "device `{name}`: this machine has {count} CUDA device(s), numbered from 0; use one of them, or `--device cpu`"
    )]
    NoCard {
        /// What was asked for.
        name: String,
        /// How many there are.
        count: usize,
    },
}

impl ComputeDevice {
    /// The processor.
    pub fn cpu() -> Self {
        ComputeDevice {
            device: Device::flex(),
            name: "cpu".to_owned(),
        }
    }

    /// The device for data and for inference: nothing computed on it is recorded.
    pub fn plain(&self) -> Device {
        self.device.clone()
    }

    /// The same device, recording gradients: networks are built on it.
    pub fn autodiff(&self) -> Device {
        self.device.clone().autodiff()
    }

    /// The devices of this machine that this program can use, by name, with a remark on each that it cannot.
    pub fn available() -> Vec<(String, Result<(), DeviceError>)> {
        let mut devices = vec![("cpu".to_owned(), Ok(()))];
        match cuda::count("cuda") {
            Ok(count) => devices.extend((0..count).map(|index| (format!("cuda:{index}"), Ok(())))),
            Err(error) => devices.push(("cuda".to_owned(), Err(error))),
        }
        devices
    }
}

impl fmt::Display for ComputeDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for ComputeDevice {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let cuda = |index: usize| -> Result<Self, DeviceError> {
            let count = cuda::count(name)?;
            if index >= count {
                let name = name.to_owned();
                return Err(DeviceError::NoCard { name, count });
            }
            Ok(ComputeDevice {
                device: cuda::device(index),
                name: format!("cuda:{index}"),
            })
        };
        match name {
            "cpu" => Ok(ComputeDevice::cpu()),
            "auto" => Ok(cuda(0).unwrap_or_else(|_| ComputeDevice::cpu())),
            "cuda" => cuda(0),
            _ => match name.strip_prefix("cuda:").map(str::parse) {
                Some(Ok(index)) => cuda(index),
                _ => Err(DeviceError::Unknown(name.to_owned())),
            },
        }
    }
}

#[cfg(not(feature = "cuda"))]
mod cuda {
    use super::{Device, DeviceError};

    pub fn count(name: &str) -> Result<usize, DeviceError> {
        Err(DeviceError::NotCompiled(name.to_owned()))
    }

    pub fn device(_: usize) -> Device {
        Device::flex()
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    use super::{Device, DeviceError};
    use std::ffi::c_int;

    /// How many CUDA devices the driver knows. Asked of the driver itself: Burn panics where there is none.
    pub fn count(name: &str) -> Result<usize, DeviceError> {
        let no_driver =
            |error: libloading::Error| DeviceError::NoDriver(name.to_owned(), error.to_string());
        // SAFETY: loading NVIDIA's driver runs its initializers, which have no preconditions; the two functions have the
        // signatures of the driver's API (`CUresult cuInit(unsigned)`, `CUresult cuDeviceGetCount(int*)`), and `count`
        // outlives the call.
        unsafe {
            let driver = libloading::Library::new("libcuda.so.1").map_err(no_driver)?;
            let init: libloading::Symbol<unsafe extern "C" fn(u32) -> c_int> =
                driver.get(b"cuInit\0").map_err(no_driver)?;
            let device_count: libloading::Symbol<unsafe extern "C" fn(*mut c_int) -> c_int> =
                driver.get(b"cuDeviceGetCount\0").map_err(no_driver)?;
            let mut count: c_int = 0;
            if init(0) != 0 || device_count(&mut count) != 0 {
                count = 0;
            }
            Ok(usize::try_from(count).unwrap_or(0))
        }
    }

    pub fn device(index: usize) -> Device {
        Device::cuda(index)
    }
}
