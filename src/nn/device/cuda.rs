//! NVIDIA's cards, through the driver.

use burn::tensor::Device;

use super::DeviceError;

/// How many CUDA devices the driver knows; `name` is what was asked for.
#[cfg(not(feature = "cuda"))]
pub fn count(name: &str) -> Result<usize, DeviceError> {
    Err(DeviceError::NotCompiled {
        name: name.to_owned(),
        feature: "cuda",
    })
}

/// The card of this index.
#[cfg(not(feature = "cuda"))]
pub fn device(_: usize) -> Device {
    Device::flex()
}

/// How many CUDA devices the driver knows; `name` is what was asked for.
#[cfg(feature = "cuda")]
pub fn count(name: &str) -> Result<usize, DeviceError> {
    use std::ffi::c_int;

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

/// The card of this index.
#[cfg(feature = "cuda")]
pub fn device(index: usize) -> Device {
    Device::cuda(index)
}
