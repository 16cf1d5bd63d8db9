//! The device that a run computes on, chosen at run time.
//!
//! Burn panics where a card or its driver is missing, so [`cuda`] and [`vulkan`] ask the drivers first.

use std::fmt;
use std::str::FromStr;

use bevy_ecs::prelude::Resource;
use burn::tensor::Device;

mod cuda;
mod vulkan;

/// Where tensors live. `cpu` unless asked otherwise.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::learner::DeviceError;
///
/// let device: ComputeDevice = "cpu".parse()?;
/// assert_eq!(device.to_string(), "cpu");
/// let unknown = "gpu".parse::<ComputeDevice>().unwrap_err().to_string();
/// assert!(unknown.contains("cpu, cuda, cuda:N, vulkan, vulkan:N or auto"));
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
    #[error("there is no device `{0}`; use cpu, cuda, cuda:N, vulkan, vulkan:N or auto")]
    Unknown(String),
    /// The program was built without what the device needs.
    #[error(
        "device `{name}` needs the feature `{feature}`, which this program was built without; build with `cargo build --release --features {feature}`, or use `--device cpu`"
    )]
    NotCompiled {
        /// What was asked for.
        name: String,
        /// What is to be compiled in: `cuda` or `vulkan`.
        feature: &'static str,
    },
    /// No NVIDIA driver on this machine.
    #[error(
        "device `{0}`: no NVIDIA driver was found (libcuda.so.1 cannot be loaded: {1}); install the driver, or use `--device cpu` or `--device auto`"
    )]
    NoDriver(String, String),
    /// No Vulkan driver on this machine, or none with a device.
    #[error(
        "device `{0}`: no Vulkan driver with a device was found; install the card's driver (on Linux NVIDIA's, or Mesa's for AMD and Intel: `apt-get install mesa-vulkan-drivers`), or use `--device cpu` or `--device auto`"
    )]
    NoVulkan(String),
    /// The driver is there and the card is not.
    #[error(
        "device `{name}`: this machine has {count} {kind} device(s), numbered from 0; use one of them, or `--device cpu`"
    )]
    NoCard {
        /// What was asked for.
        name: String,
        /// `CUDA` or `Vulkan`.
        kind: &'static str,
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

    /// The devices of this machine that this program can use, by name, with what there is to say of each: the card and its driver, where
    /// they are known, or why it cannot be used.
    pub fn available() -> Vec<(String, Result<String, DeviceError>)> {
        let mut devices = vec![("cpu".to_owned(), Ok("usable".to_owned()))];
        match cuda::count("cuda") {
            Ok(count) => devices
                .extend((0..count).map(|index| (format!("cuda:{index}"), Ok("usable".to_owned())))),
            Err(error) => devices.push(("cuda".to_owned(), Err(error))),
        }
        match vulkan::cards("vulkan") {
            Ok(cards) => devices.extend(
                cards
                    .iter()
                    .enumerate()
                    .map(|(index, card)| (format!("vulkan:{index}"), Ok(card.remark()))),
            ),
            Err(error) => devices.push(("vulkan".to_owned(), Err(error))),
        }
        devices
    }

    /// CUDA's card of this index; `name` is what was asked for.
    fn cuda(name: &str, index: usize) -> Result<Self, DeviceError> {
        let count = cuda::count(name)?;
        is_one_of(name, "CUDA", index, count)?;
        Ok(ComputeDevice {
            device: cuda::device(index),
            name: format!("cuda:{index}"),
        })
    }

    /// Vulkan's card of this index.
    fn vulkan(name: &str, index: usize) -> Result<Self, DeviceError> {
        let cards = vulkan::cards(name)?;
        is_one_of(name, "Vulkan", index, cards.len())?;
        Ok(ComputeDevice {
            device: cards[index].device(),
            name: format!("vulkan:{index}"),
        })
    }

    /// The best that is here: a card by CUDA, a card by Vulkan, the processor. A driver that computes on the processor is slower than we are.
    fn best() -> Self {
        let cards = vulkan::cards("vulkan").unwrap_or(&[]);
        ComputeDevice::cuda("cuda", 0)
            .or_else(|_| match cards.first() {
                Some(card) if !card.is_software() => ComputeDevice::vulkan("vulkan", 0),
                _ => Ok(ComputeDevice::cpu()),
            })
            .unwrap_or_else(|_| ComputeDevice::cpu())
    }
}

fn is_one_of(
    name: &str,
    kind: &'static str,
    index: usize,
    count: usize,
) -> Result<(), DeviceError> {
    match index < count {
        true => Ok(()),
        false => Err(DeviceError::NoCard {
            name: name.to_owned(),
            kind,
            count,
        }),
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
        let (kind, index) = match name.split_once(':') {
            Some((kind, index)) => (kind, index.parse().ok()),
            None => (name, Some(0)),
        };
        match (kind, index) {
            ("cuda", Some(index)) => ComputeDevice::cuda(name, index),
            ("vulkan", Some(index)) => ComputeDevice::vulkan(name, index),
            _ if name == "cpu" => Ok(ComputeDevice::cpu()),
            _ if name == "auto" => Ok(ComputeDevice::best()),
            _ => Err(DeviceError::Unknown(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_device_is_refused_with_those_that_are() {
        for name in [
            "",
            "gpu",
            "cpu:0",
            "auto:1",
            "cuda:",
            "cuda:-1",
            "vulkan:x",
            "Vulkan",
            "vulkan:0:1",
        ] {
            let refused = name.parse::<ComputeDevice>().unwrap_err();
            assert_eq!(refused, DeviceError::Unknown(name.to_owned()));
        }
    }

    #[test]
    fn a_device_that_is_listed_as_usable_is_found_under_its_name() {
        for (name, usable) in ComputeDevice::available() {
            match (usable, name.parse::<ComputeDevice>()) {
                (Ok(_), Ok(device)) => assert_eq!(device.to_string(), name),
                (Err(listed), Err(refused)) => assert_eq!(listed, refused),
                (listed, found) => panic!("{name}: {listed:?}, {found:?}"),
            }
        }
    }

    #[test]
    fn a_card_that_is_not_there_is_refused_with_a_remedy() {
        for name in ["cuda:99", "vulkan:99"] {
            let refused = name.parse::<ComputeDevice>().unwrap_err().to_string();
            assert!(
                refused.contains(name) && refused.contains("--device cpu"),
                "{refused}"
            );
        }
    }

    #[test]
    fn auto_never_takes_a_driver_that_computes_on_the_processor() {
        let taken = ComputeDevice::best().to_string();
        let software = vulkan::cards("vulkan")
            .unwrap_or(&[])
            .iter()
            .position(|card| card.is_software());
        assert_ne!(Some(taken), software.map(|index| format!("vulkan:{index}")));
    }
}
