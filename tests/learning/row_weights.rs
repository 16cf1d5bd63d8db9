//! What a row counts: every critic of action values heeds the batch's weights.

use yarak::prelude::*;

use crate::small_run::{Rows, fed, some_rows, step_metrics};

/// The critics' loss of the first step on rows that count so much each, or all the same.
fn critic_loss(algorithm: impl Plugin, weight: Option<&[f32]>) -> f64 {
    let rows = Rows {
        weight: weight.map(<[f32]>::to_vec),
        ..some_rows(4, [3, 2])
    };
    step_metrics(&mut fed(algorithm, vec![rows]))["critic/loss"]
}

/// A weighted loss is the mean of weight times loss: linear in the weights.
#[track_caller]
fn heeds_weights(algorithm: impl Plugin + Clone) {
    let loss = |weight: Option<&[f32]>| critic_loss(algorithm.clone(), weight);
    let plain = loss(None);
    assert!(plain > 0.0);
    let near = |a: f64, b: f64| (a - b).abs() < 1e-5 * plain;
    assert!(near(loss(Some(&[1.0; 4])), plain));
    assert_eq!(loss(Some(&[0.0; 4])), 0.0);
    let each: Vec<f64> = (0..4)
        .map(|row| {
            let mut weight = [0.0; 4];
            weight[row] = 1.0;
            loss(Some(&weight))
        })
        .collect();
    let weighted = 0.5 * each[0] + 2.0 * each[1] + 0.25 * each[3];
    let found = loss(Some(&[0.5, 2.0, 0.0, 0.25]));
    assert!(near(found, weighted), "{found} and not {weighted}");
}

#[test]
fn every_critic_heeds_the_weights_of_rows() {
    heeds_weights(Td3::default());
    heeds_weights(Ddpg::default());
    heeds_weights(Sac::default());
    heeds_weights(Td3Bc::default());
    heeds_weights(Iql::default());
    heeds_weights(Bcq::default());
    // Without the gap, which is no temporal difference.
    heeds_weights(Cql {
        weight: 0.0,
        lagrange: None,
        ..default()
    });
}

#[test]
fn a_smooth_l1_loss_heeds_them_too() {
    let mut td3 = Td3::default();
    td3.critic.huber = true;
    heeds_weights(td3);
}
