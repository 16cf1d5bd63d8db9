//! Actions that were recorded as whole numbers: a policy that learned from them gives whole numbers, wherever it acts.

use rust_hdf5::H5File;
use rust_hdf5::types::H5Type;
use yarak::policy::Policy;

use crate::room::Room;

/// A file of so many elements an action, of the type `T`; what collects a box of whole numbers `says` so.
fn write<T: H5Type>(room: &Room, name: &str, width: usize, says: bool, of: impl Fn(usize) -> T) {
    const ROWS: usize = 60;
    let file = H5File::create(room.path(name)).unwrap();
    let column = |name: &str, shape: &[usize], value: &dyn Fn(usize) -> f32| {
        let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
        let dataset = file.new_dataset::<f32>().shape(shape).create(name).unwrap();
        dataset.write_raw(&values).unwrap();
    };
    column("observations", &[ROWS, 3], &|at| (at as f32).sin());
    column("rewards", &[ROWS], &|row| row as f32);
    column("terminals", &[ROWS], &|row| f32::from(row % 20 == 19));
    let actions: Vec<T> = (0..width * ROWS).map(of).collect();
    let dataset = file.new_dataset::<T>().shape([ROWS, width]);
    let dataset = dataset.create("actions").unwrap();
    dataset.write_raw(&actions).unwrap();
    if says {
        let attribute = dataset.new_attr::<i64>().shape(());
        let attribute = attribute.create("whole_numbers").unwrap();
        attribute.write_numeric(&1_i64).unwrap();
    }
    file.close().unwrap();
}

#[test]
fn an_exported_policy_of_data_of_whole_numbers_gives_whole_numbers() {
    let room = Room::new();
    write(&room, "whole.hdf5", 2, false, |at| at as i32 % 9 - 4);
    write(&room, "real.hdf5", 2, false, |at| {
        (at as i32 % 9 - 4) as f32
    });
    write(&room, "said.hdf5", 1, true, |at| (at as i32 % 9 - 4) as f32);
    // Files that are made of one keep it.
    for (from, to, layout) in [
        ("whole", "demos.hdf5", "robomimic"),
        ("said", "episodes-v0", "minari"),
        ("demos", "columns.hdf5", "d4rl"),
    ] {
        let words = format!("data convert {from}.hdf5 {to} --to {layout}");
        room.yarak(&words).ends_with(0);
    }
    for (name, file, are_whole) in [
        ("whole", "whole.hdf5", true),
        ("real", "real.hdf5", false),
        ("said", "said.hdf5", true),
        ("demos", "demos.hdf5", true),
        ("minari", "episodes-v0", true),
        ("columns", "columns.hdf5", true),
    ] {
        let scene = format!(
            "Scene(steps: 5, plugins: [
                Dataset(path: \"{file}\"),
                Bc(minibatch: (batch_size: 8), actor: (encoder: Mlp(hidden_sizes: [8]))),
                Checkpoints(every: 5),
            ])"
        );
        room.write("scene.ron", &scene);
        room.yarak(&format!("train scene.ron --run {name}"))
            .ends_with(0);
        room.yarak(&format!("export {name} {name}.safetensors"))
            .result();
        let [mut run, mut exported] = [name.to_owned(), format!("{name}.safetensors")]
            .map(|place| Policy::load(room.path(&place)).unwrap());
        let observations = (0..20).map(|at| [at as f32 / 10.0 - 1.0, 0.3, -0.2]);
        let mut all_whole = true;
        for observation in observations {
            let action = exported.act(&observation).unwrap().to_vec();
            assert_eq!(run.act(&observation).unwrap(), action);
            assert!(action.iter().all(|value| (-4.0..=4.0).contains(value)));
            all_whole &= action.iter().all(|value| value.fract() == 0.0);
        }
        assert_eq!(all_whole, are_whole, "{name}");
    }
}
