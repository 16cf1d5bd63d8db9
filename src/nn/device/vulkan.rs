//! Cards of any maker, through Vulkan.

use burn::tensor::Device;

use super::DeviceError;

#[cfg(not(feature = "vulkan"))]
pub use without::cards;

#[cfg(feature = "vulkan")]
pub use with::cards;

#[cfg(not(feature = "vulkan"))]
mod without {
    use super::{Device, DeviceError};

    /// A program without Vulkan finds none.
    pub enum Card {}

    impl Card {
        pub fn device(&self) -> Device {
            match *self {}
        }

        pub fn is_software(&self) -> bool {
            match *self {}
        }

        pub fn remark(&self) -> String {
            match *self {}
        }
    }

    pub fn cards(name: &str) -> Result<&'static [Card], DeviceError> {
        Err(DeviceError::NotCompiled {
            name: name.to_owned(),
            feature: "vulkan",
        })
    }
}

#[cfg(feature = "vulkan")]
mod with {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::OnceLock;
    use std::task::{Context, Poll, Waker};

    use burn::tensor::DeviceKind;
    use wgpu::{AdapterInfo, Backends, DeviceType, Instance, InstanceDescriptor};

    use super::{Device, DeviceError};

    /// A device that a Vulkan driver has.
    pub struct Card {
        about: AdapterInfo,
        kind: DeviceKind,
    }

    impl Card {
        /// Burn's device.
        pub fn device(&self) -> Device {
            Device::vulkan(self.kind.clone())
        }

        /// Whether the driver computes on the processor, as Mesa's llvmpipe does.
        pub fn is_software(&self) -> bool {
            self.about.device_type == DeviceType::Cpu
        }

        /// The card and its driver, in words.
        pub fn remark(&self) -> String {
            let AdapterInfo {
                name,
                driver,
                driver_info,
                ..
            } = &self.about;
            let software = match self.is_software() {
                true => "; computes on the processor, and `auto` never takes it",
                false => "",
            };
            format!("usable: {name} ({driver} {driver_info}){software}")
        }
    }

    /// The devices of all Vulkan drivers, real cards first; `name` is what was asked for.
    pub fn cards(name: &str) -> Result<&'static [Card], DeviceError> {
        static CARDS: OnceLock<Vec<Card>> = OnceLock::new();
        match CARDS.get_or_init(|| in_order(adapters())) {
            none if none.is_empty() => Err(DeviceError::NoVulkan(name.to_owned())),
            cards => Ok(cards),
        }
    }

    /// What the drivers have, in their order, which is the one that Burn counts in.
    fn adapters() -> Vec<AdapterInfo> {
        let instance = Instance::new(InstanceDescriptor {
            backends: Backends::VULKAN,
            ..InstanceDescriptor::new_without_display_handle()
        });
        let adapters = pin!(instance.enumerate_adapters(Backends::VULKAN));
        // It is a future for browsers' sake; a driver answers at once.
        match adapters.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(adapters) => adapters.iter().map(wgpu::Adapter::get_info).collect(),
            Poll::Pending => Vec::new(),
        }
    }

    /// Cards as Burn names them: by kind, and within a kind by number. It reaches one software driver alone, and none of a kind that is
    /// not said.
    fn in_order(adapters: Vec<AdapterInfo>) -> Vec<Card> {
        let kinds: [(DeviceType, fn(usize) -> Option<DeviceKind>); 4] = [
            (DeviceType::DiscreteGpu, |n| {
                Some(DeviceKind::DiscreteGpu(n))
            }),
            (DeviceType::IntegratedGpu, |n| {
                Some(DeviceKind::IntegratedGpu(n))
            }),
            (DeviceType::VirtualGpu, |n| Some(DeviceKind::VirtualGpu(n))),
            (DeviceType::Cpu, |n| (n == 0).then_some(DeviceKind::Cpu)),
        ];
        let of_kind = |(kind, named): (DeviceType, fn(usize) -> Option<DeviceKind>)| {
            let of_kind = adapters.iter().filter(move |it| it.device_type == kind);
            of_kind.enumerate().filter_map(move |(n, about)| {
                Some(Card {
                    about: about.clone(),
                    kind: named(n)?,
                })
            })
        };
        kinds.into_iter().flat_map(of_kind).collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn adapter(name: &str, device_type: DeviceType) -> AdapterInfo {
            AdapterInfo {
                name: name.to_owned(),
                driver: "a driver".to_owned(),
                driver_info: "1.2".to_owned(),
                ..AdapterInfo::new(device_type, wgpu::Backend::Vulkan)
            }
        }

        #[test]
        fn real_cards_come_first_and_are_counted_within_their_kind() {
            let cards = in_order(vec![
                adapter("llvmpipe", DeviceType::Cpu),
                adapter("a", DeviceType::IntegratedGpu),
                adapter("b", DeviceType::DiscreteGpu),
                adapter("unsaid", DeviceType::Other),
                adapter("c", DeviceType::DiscreteGpu),
                adapter("another software driver", DeviceType::Cpu),
            ]);
            let found: Vec<_> = cards
                .iter()
                .map(|it| (it.about.name.as_str(), it.kind.clone(), it.is_software()))
                .collect();
            assert_eq!(
                found,
                [
                    ("b", DeviceKind::DiscreteGpu(0), false),
                    ("c", DeviceKind::DiscreteGpu(1), false),
                    ("a", DeviceKind::IntegratedGpu(0), false),
                    ("llvmpipe", DeviceKind::Cpu, true),
                ]
            );
            assert_eq!(cards[0].remark(), "usable: b (a driver 1.2)");
            let software = cards[3].remark();
            assert!(software.contains("`auto` never takes it"), "{software}");
        }
    }
}
