//! Policies with memory, which robomimic's behavior cloning has: its RNN and its transformer.

use crate::cli::import::table::{Form, Row, Translation, rule};

/// The widths of a policy's layers; behind a memory, if it has one.
const LAYERS: &str = "algo.actor_layer_dims";
const SEQUENCE: &str = "train.seq_length";
const PAD_SEQUENCE: &str = "train.pad_seq_length";
const FRAMES: &str = "train.frame_stack";
const PAD_FRAMES: &str = "train.pad_frame_stack";

const RNN: &str = "algo.rnn";
const TRANSFORMER: &str = "algo.transformer";

/// The rows of a policy's layers and of what remembers in front of them.
#[rustfmt::skip]
pub fn rows() -> Vec<Row> {
    vec![
        rule(LAYERS, "[1024, 1024]"),
        rule(FRAMES, "1"),
        rule(PAD_FRAMES, "true"),
        rule("algo.rnn.enabled", "false"),
        rule("algo.rnn.horizon", "10"),
        rule("algo.rnn.hidden_dim", "400"),
        rule("algo.rnn.rnn_type", "\"LSTM\""),
        rule("algo.rnn.num_layers", "2"),
        rule("algo.rnn.open_loop", "false"),
        rule("algo.rnn.kwargs.bidirectional", "false"),
        rule("algo.rnn.kwargs.*", ""),
        rule("algo.transformer.enabled", "false"),
        rule("algo.transformer.context_length", "10"),
        rule("algo.transformer.embed_dim", "512"),
        rule("algo.transformer.num_layers", "6"),
        rule("algo.transformer.num_heads", "8"),
        rule("algo.transformer.emb_dropout", "0.1"),
        rule("algo.transformer.attn_dropout", "0.1"),
        rule("algo.transformer.block_output_dropout", "0.1"),
        rule("algo.transformer.sinusoidal_embedding", "false"),
        rule("algo.transformer.activation", "\"gelu\""),
        rule("algo.transformer.supervise_all_steps", "false"),
        rule("algo.transformer.nn_parameter_for_timesteps", "true"),
        rule("algo.transformer.pred_future_acs", "false"),
    ]
}

/// What the policy is made of, and whether it remembers.
pub fn rules(translation: &mut Translation) -> bool {
    let recurrent = translation.flag("algo.rnn.enabled");
    let attends = translation.flag("algo.transformer.enabled");
    // robomimic looks at the RNN first.
    match (recurrent, attends) {
        (true, _) => {
            rnn(translation);
            leave(translation, TRANSFORMER, "the policy is an RNN");
        }
        (false, true) => {
            transformer(translation);
            leave(translation, RNN, "the policy is a transformer");
        }
        (false, false) => {
            translation.write(".actor.encoder", Form::Layers, LAYERS);
            no_frames(
                translation,
                "robomimic stacks frames for `algo.transformer.enabled`, and its other networks learn from the oldest of them alone; \
                 `Dataset(frame_stack: N)` shows N observations side by side",
            );
            for path in [RNN, TRANSFORMER] {
                leave(translation, path, "the policy has no memory");
            }
        }
    }
    recurrent || attends
}

fn rnn(translation: &mut Translation) {
    const TYPE: &str = "algo.rnn.rnn_type";
    const HORIZON: &str = "algo.rnn.horizon";
    match translation.text(TYPE).as_deref() {
        Some("LSTM") => translation.name(".actor.encoder", "Lstm"),
        Some("GRU") => translation.name(".actor.encoder", "Gru"),
        _ => translation.refuse(TYPE, "expected \"LSTM\" or \"GRU\""),
    }
    translation.use_up(&[TYPE]);
    count(
        translation,
        ".actor.encoder.hidden_size",
        "algo.rnn.hidden_dim",
    );
    count(translation, ".actor.encoder.layers", "algo.rnn.num_layers");
    translation.write(".actor.head_sizes", Form::HeadLayers, LAYERS);
    translation.set(".supervise_all_steps", "true", &[]);
    translation.use_up(&["algo.rnn.enabled"]);
    let steps = window(translation, SEQUENCE, "algo.rnn.enabled");
    translation.list(
        SEQUENCE,
        "translated as `Dataset.frame_stack`: windows begin at each row",
    );
    translation.list(
        PAD_SEQUENCE,
        "windows are padded with a demonstration's last row",
    );
    match translation.count(HORIZON) == steps {
        true => translation.use_up(&[HORIZON]),
        false => {
            let message = format!(
                "a policy acts on as many steps as it learned from here, and `{SEQUENCE}` is {steps}: make them the same"
            );
            translation.refuse(HORIZON, &message);
        }
    }
    no_frames(
        translation,
        "an RNN reads the steps of `train.seq_length`, and robomimic stacks frames for its transformers",
    );
    const OPEN_LOOP: &str = "algo.rnn.open_loop";
    let horizon = match translation.flag(OPEN_LOOP) {
        true => "OpenLoop",
        false => "Resetting",
    };
    translation.set(".actor.encoder.horizon", horizon, &[OPEN_LOOP]);
    for name in translation.below("algo.rnn.kwargs") {
        let key = format!("algo.rnn.kwargs.{name}");
        match name.as_str() {
            "bidirectional" => {
                translation.only(&key, "false", "a policy knows no later steps here");
            }
            _ => {
                let message = "no more of PyTorch's layers has a counterpart here, and another thing would be learned";
                translation.refuse(&key, message);
            }
        }
    }
}

fn transformer(translation: &mut Translation) {
    const WIDTH: &str = "algo.transformer.embed_dim";
    const HEADS: &str = "algo.transformer.num_heads";
    const CONTEXT: &str = "algo.transformer.context_length";
    translation.name(".actor.encoder", "Transformer");
    let width = count(translation, ".actor.encoder.embedding", WIDTH);
    count(
        translation,
        ".actor.encoder.layers",
        "algo.transformer.num_layers",
    );
    let heads = count(translation, ".actor.encoder.heads", HEADS);
    if !width.is_multiple_of(heads) {
        let message = format!("must be a multiple of `{HEADS}`, which is {heads}");
        translation.refuse(WIDTH, &message);
    }
    positions(translation);
    for (setting, key) in [
        ("embedding_dropout", "emb_dropout"),
        ("attention_dropout", "attn_dropout"),
        ("block_dropout", "block_output_dropout"),
    ] {
        let (setting, key) = (
            format!(".actor.encoder.{setting}"),
            format!("{TRANSFORMER}.{key}"),
        );
        translation.number(&key);
        translation.write(&setting, Form::Same, &key);
    }
    let activation = "a block's perceptron has GELU's activation here";
    translation.only("algo.transformer.activation", "\"gelu\"", activation);
    translation.set(".actor.head_sizes", "Some([])", &[]);
    translation.list(LAYERS, "robomimic's transformer has no layers behind it");
    let supervised = "algo.transformer.supervise_all_steps";
    translation.flag(supervised);
    translation.write(".supervise_all_steps", Form::Same, supervised);
    let future = "a step's action is predicted from the steps up to it here";
    translation.only("algo.transformer.pred_future_acs", "false", future);
    translation.list(
        "algo.transformer.enabled",
        "translated; queries, keys and values have biases here, and the embedding begins as the blocks' weights do, in a normal \
         distribution of deviation 0.02",
    );
    let steps = window(translation, FRAMES, "algo.transformer.enabled");
    if translation.count(CONTEXT) == steps {
        translation.use_up(&[CONTEXT]);
    } else {
        let message = format!(
            "a transformer's context is what it is shown, and `{FRAMES}` is {steps}: make them the same, as robomimic demands where it acts"
        );
        translation.refuse(CONTEXT, &message);
    }
    match translation.flag(PAD_FRAMES) {
        true => translation.list(PAD_FRAMES, "windows are padded in front"),
        false => {
            let message =
                "the first rows of a demonstration would be left out there and are not here";
            translation.refuse(PAD_FRAMES, message);
        }
    }
}

fn positions(translation: &mut Translation) {
    const SINUSOIDAL: &str = "algo.transformer.sinusoidal_embedding";
    const PARAMETER: &str = "algo.transformer.nn_parameter_for_timesteps";
    let (sinusoidal, parameter) = (translation.flag(SINUSOIDAL), translation.flag(PARAMETER));
    let written = if sinusoidal { "Sinusoidal" } else { "Learned" };
    translation.set(".actor.encoder.positions", written, &[SINUSOIDAL]);
    match (sinusoidal, parameter) {
        (true, true) => {
            let message = format!("sinusoids of `{SINUSOIDAL}` are no parameter, which robomimic refuses, too: make it false");
            translation.refuse(PARAMETER, &message);
        }
        (true, false) => translation.list(PARAMETER, "sinusoids are not learned"),
        (false, true) => translation.list(
            PARAMETER,
            "positions are learned; they begin in a normal distribution of deviation 0.02, and robomimic's at 0",
        ),
        (false, false) => translation.list(
            PARAMETER,
            "positions are learned; they begin in a normal distribution of deviation 0.02, and robomimic's of deviation 1",
        ),
    }
}

/// Writes a whole number of at least 1, and says it.
fn count(translation: &mut Translation, setting: &str, key: &str) -> u64 {
    let count = translation.count(key);
    translation.set(setting, count.to_string(), &[key]);
    count
}

/// The steps that the policy is shown, in training and where it acts, with what is enabled.
fn window(translation: &mut Translation, key: &str, enabled: &str) -> u64 {
    let steps = count(translation, "Dataset.frame_stack", key);
    if steps < 2 {
        let message = format!("with `{enabled}` a policy is shown at least 2 steps here");
        translation.refuse(key, &message);
    }
    steps
}

fn no_frames(translation: &mut Translation, why: &str) {
    translation.only(FRAMES, "1", why);
    translation.list(PAD_FRAMES, "no frames are stacked");
}

/// Lists all keys below a path.
fn leave(translation: &mut Translation, path: &str, why: &str) {
    for name in translation.below(path) {
        translation.list(&format!("{path}.{name}"), why);
    }
}
