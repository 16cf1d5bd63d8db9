//! NumPy's random generator, so that a seed starts the same episode here and in Gymnasium.

use rand::Rng;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::numpy_normal;

/// `numpy.random.default_rng(seed)`: a `SeedSequence` feeding PCG64 (XSL RR 128/64), which is what Gymnasium seeds environments with.
///
/// Use it for what must agree with Python, and nothing else: training has its own counter-based streams.
///
/// ```
/// use yarak::env::NumpyRandom;
///
/// // >>> numpy.random.default_rng(42).uniform(-0.05, 0.05)
/// // 0.027395604855596334
/// assert_eq!(NumpyRandom::new(42).uniform(-0.05, 0.05), 0.027395604855596334);
/// ```
///
/// References: M. O'Neill, *PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number
/// Generation* (2014); NumPy's `SeedSequence`, after M. O'Neill's `seed_seq_fe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
pub struct NumpyRandom(Pcg64);

impl NumpyRandom {
    /// The generator that NumPy makes from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let [state_high, state_low, stream_high, stream_low] = seed_sequence(seed);
        Self(Pcg64::new(
            wide(state_high, state_low),
            wide(stream_high, stream_low),
        ))
    }

    /// `Generator.uniform(low, high)`: one draw from `[low, high)`, with 53 random bits.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * numpy_normal::unit(self.0.next_u64())
    }

    /// `Generator.standard_normal()`: one draw from N(0, 1).
    ///
    /// ```
    /// use yarak::env::NumpyRandom;
    ///
    /// // >>> numpy.random.default_rng(42).standard_normal()
    /// // 0.30471707975443135
    /// assert_eq!(NumpyRandom::new(42).standard_normal(), 0.30471707975443135);
    /// ```
    pub fn standard_normal(&mut self) -> f64 {
        numpy_normal::standard_normal(|| self.0.next_u64())
    }
}

/// The words from which [`NumpyRandom`] comes back exactly: state and stream, each high half first.
impl From<NumpyRandom> for [u64; 4] {
    fn from(generator: NumpyRandom) -> Self {
        let (state, stream) = (generator.0.state(), generator.0.stream());
        [
            (state >> 64) as u64,
            state as u64,
            (stream >> 64) as u64,
            stream as u64,
        ]
    }
}

impl From<[u64; 4]> for NumpyRandom {
    fn from([state_high, state_low, stream_high, stream_low]: [u64; 4]) -> Self {
        Self(Pcg64::from_state(
            wide(state_high, state_low),
            wide(stream_high, stream_low),
        ))
    }
}

fn wide(high: u64, low: u64) -> u128 {
    (u128::from(high) << 64) | u128::from(low)
}

/// `numpy.random.SeedSequence(seed).generate_state(4, numpy.uint64)`.
fn seed_sequence(seed: u64) -> [u64; 4] {
    const INIT_A: u32 = 0x43b0_d7e5;
    const MULT_A: u32 = 0x931e_8875;
    const INIT_B: u32 = 0x8b51_f9dd;
    const MULT_B: u32 = 0x58f3_8ded;
    const MIX_LEFT: u32 = 0xca01_f9dd;
    const MIX_RIGHT: u32 = 0x4973_f715;

    let mut constant = INIT_A;
    let mut hash = |value: u32| {
        let value = value ^ constant;
        constant = constant.wrapping_mul(MULT_A);
        let value = value.wrapping_mul(constant);
        value ^ (value >> 16)
    };
    let mut pool = [seed as u32, (seed >> 32) as u32, 0, 0].map(&mut hash);
    for source in 0..4 {
        for target in 0..4 {
            if source != target {
                let mixed = MIX_LEFT
                    .wrapping_mul(pool[target])
                    .wrapping_sub(MIX_RIGHT.wrapping_mul(hash(pool[source])));
                pool[target] = mixed ^ (mixed >> 16);
            }
        }
    }

    let mut constant = INIT_B;
    let mut word = |index: usize| {
        let value = pool[index % 4] ^ constant;
        constant = constant.wrapping_mul(MULT_B);
        let value = value.wrapping_mul(constant);
        u64::from(value ^ (value >> 16))
    };
    [0, 2, 4, 6].map(|first| word(first) | (word(first + 1) << 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with NumPy 2.4.6: `SeedSequence(seed).generate_state(4, uint64)`, `PCG64(SeedSequence(seed)).random_raw(2)` and
    /// `default_rng(seed).uniform(-0.05, 0.05, size=4)`.
    #[expect(clippy::type_complexity, reason = "a table of literal numbers")]
    const NUMPY: [(u64, [u64; 4], [u64; 2], [f64; 4]); 6] = [
        (
            0,
            [
                0xdb2cd7e7b0f478be,
                0xabf4641a2c71ba49,
                0x20c6ed6d9d7b8d41,
                0x2c4099de223c39d4,
            ],
            [0xa30febcfd9c2825f, 0x4510bdf882d9d721],
            [
                0.013696168732145436,
                -0.02302132862361297,
                -0.045902647606380534,
                -0.04834723644714709,
            ],
        ),
        (
            1,
            [
                0x672d8ee56d6791ff,
                0x8ae19ca14eb1072c,
                0x4915796d1322fc4a,
                0xd0cc2bdcaba049bd,
            ],
            [0x8306bdf37922e4ff, 0xf35196bbc152a866],
            [
                0.0011821624700256717,
                0.045046369632593536,
                -0.03558403872803663,
                0.04486494471372439,
            ],
        ),
        (
            42,
            [
                0x9f1e2e6dcd540ab7,
                0xd57873dc79fb94b6,
                0x7d282a1b64d420b7,
                0x336579714692d5ff,
            ],
            [0xc621fbcd16d92688, 0x705a5661a791ffc1],
            [
                0.027395604855596334,
                -0.006112156024794771,
                0.03585979199113824,
                0.019736802905936393,
            ],
        ),
        (
            4294967301,
            [
                0xf9c15bd6e249d9ac,
                0xb2021b4036320ed7,
                0x9388b47fe6dcf739,
                0x5eeba8d9ad6439e1,
            ],
            [0xc6323ec321deb8d1, 0x78814821c73a0583],
            [
                0.027420418037388122,
                -0.00292773168119069,
                0.01958803443421149,
                0.03165376458429718,
            ],
        ),
        (
            9223372036854775808,
            [
                0xd360dfe156c9650a,
                0x6d067215b58db8d7,
                0xb8f7f43613077984,
                0xaa2ec05d0037409d,
            ],
            [0xcfb443e389167cfd, 0x98b11eb7647f71b8],
            [
                0.031134437851968663,
                0.00964526365028158,
                0.036825907700961544,
                -0.007487419885746506,
            ],
        ),
        (
            18446744073709551615,
            [
                0xaebca151928cad0d,
                0x119c30448638dc7a,
                0x1bbb155659e642a7,
                0xa76b11e3e8c4a8f6,
            ],
            [0xae163a7a8c47568f, 0xd86659f5f3382359],
            [
                0.018002667896169305,
                0.03453117585624743,
                -0.049259691840074,
                0.039456812643914735,
            ],
        ),
    ];

    #[test]
    fn seed_sequences_equal_numpy() {
        for (seed, words, _, _) in NUMPY {
            assert_eq!(seed_sequence(seed), words, "seed {seed}");
        }
    }

    #[test]
    fn raw_words_equal_numpy() {
        for (seed, _, raw, _) in NUMPY {
            let mut generator = NumpyRandom::new(seed);
            assert_eq!(raw.map(|_| generator.0.next_u64()), raw, "seed {seed}");
        }
    }

    #[test]
    fn uniform_draws_equal_numpy() {
        for (seed, _, _, draws) in NUMPY {
            let mut generator = NumpyRandom::new(seed);
            assert_eq!(
                draws.map(|_| generator.uniform(-0.05, 0.05)),
                draws,
                "seed {seed}"
            );
        }
    }

    /// Made with NumPy 2.4.6: `draws = default_rng(seed).standard_normal(1_000_000)`, its first two, and
    /// `(draws.view(uint64) * arange(1, 1_000_001, dtype=uint64)).sum()`. Some 270 of each million are from the tail.
    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
    fn normal_draws_equal_numpy_through_every_branch() {
        for (seed, first, digest) in [
            (
                0,
                [0.1257302210933933, -0.1321048632913019],
                0xf56d8288f41eb5ac,
            ),
            (
                1,
                [0.345584192064786, 0.8216181435011584],
                0xfb1770728385320a,
            ),
            (
                42,
                [0.30471707975443135, -1.0399841062404955],
                0x776ef272e40de96f,
            ),
            (
                4294967301,
                [0.4260411206160647, -1.1913522497965605],
                0x1d4f36fc3985a342,
            ),
        ] {
            let mut generator = NumpyRandom::new(seed);
            let draws: Vec<f64> = (0..1_000_000)
                .map(|_| generator.standard_normal())
                .collect();
            assert_eq!(draws[..2], first, "seed {seed}");
            let found = draws.iter().zip(1_u64..).fold(0_u64, |sum, (draw, place)| {
                sum.wrapping_add(draw.to_bits().wrapping_mul(place))
            });
            assert_eq!(found, digest, "seed {seed}");
        }
    }

    #[test]
    fn generator_goes_on_after_serializing() {
        let mut generator = NumpyRandom::new(7);
        generator.uniform(0.0, 1.0);
        let text = serde_json::to_string(&generator).unwrap();
        let mut twin: NumpyRandom = serde_json::from_str(&text).unwrap();
        assert_eq!(twin, generator);
        for _ in 0..10 {
            assert_eq!(twin.uniform(-1.0, 1.0), generator.uniform(-1.0, 1.0));
        }
    }
}
