//! What of the policies runs into an obstacle that the demonstrations go around on either side.

#[allow(dead_code)] // Its `main` is the example's.
#[path = "../../examples/two_ways.rs"]
mod two_ways;

use two_ways::{CLONING, DENOISING, counts, ways};
use yarak::prelude::PolicyHead;

const OF: usize = 16;

#[test]
fn the_mean_of_two_ways_leads_into_the_obstacle() {
    let [hits, _] = counts(&ways(two_ways::bc(None), CLONING, OF));
    assert_eq!(hits, OF);
}

#[test]
fn a_mixture_goes_around_the_obstacle() {
    let mixture = two_ways::bc(Some(PolicyHead::Mixture));
    assert_eq!(counts(&ways(mixture, CLONING, OF)), [0, OF]);
}

#[test]
fn diffusion_goes_around_the_obstacle() {
    assert_eq!(counts(&ways(two_ways::diffusion(), DENOISING, OF)), [0, OF]);
}

#[test]
fn flow_matching_goes_around_the_obstacle() {
    assert_eq!(counts(&ways(two_ways::flow(), DENOISING, OF)), [0, OF]);
}
