//! A scene's text, setting by setting.

use crate::scene::quoted;

/// What is written where: fields of the scene, and plugins with their settings.
#[derive(Debug, Default)]
pub struct SceneText {
    head: Fields,
    plugins: Vec<Fields>,
}

/// Named values in the order in which they were first set.
#[derive(Debug, Default)]
struct Fields {
    /// What stands in front of them: a plugin or an encoder; empty where they are a plain struct.
    name: &'static str,
    entries: Vec<(String, Entry)>,
}

#[derive(Debug)]
enum Entry {
    Value(String),
    Fields(Fields),
}

impl SceneText {
    /// A scene of these plugins, in this order; one of which nothing is set is left out.
    pub fn of(plugins: &[&'static str]) -> Self {
        SceneText {
            head: Fields::default(),
            plugins: plugins.iter().map(|name| Fields::named(name)).collect(),
        }
    }

    /// Sets `Td3Bc.critic.ensemble.n`, or `seed`, to a value in RON.
    pub fn set(&mut self, path: &str, value: String) {
        let (fields, steps) = self.fields_of(path);
        fields.set(&steps, value);
    }

    /// Gives the settings at `Bc.actor.encoder` a name: `encoder: Lstm(..)`.
    pub fn name(&mut self, path: &str, name: &'static str) {
        let (fields, steps) = self.fields_of(path);
        fields.name(&steps, name);
    }

    /// The plugin of a path, or else the scene, and the steps from there.
    fn fields_of<'p>(&mut self, path: &'p str) -> (&mut Fields, Vec<&'p str>) {
        let mut steps: Vec<&str> = path.split('.').collect();
        let mut plugins = self.plugins.iter_mut();
        match plugins.find(|fields| fields.name == steps[0]) {
            Some(fields) => (fields, steps.split_off(1)),
            None => (&mut self.head, steps),
        }
    }

    /// Whether anything of a plugin is set.
    pub fn has(&self, plugin: &str) -> bool {
        let mut plugins = self.plugins.iter();
        plugins.any(|fields| fields.name == plugin && !fields.entries.is_empty())
    }

    /// The scene; `switched_on` are plugins without settings.
    pub fn print(&self, comment: &str, switched_on: &[&str]) -> String {
        let mut out = format!("// {comment}\nScene(\n");
        for (name, entry) in &self.head.entries {
            out.push_str(&format!("    {name}: {},\n", entry.print(1)));
        }
        out.push_str("    plugins: [\n");
        for fields in &self.plugins {
            if !fields.entries.is_empty() {
                out.push_str(&format!("        {},\n", fields.print(2)));
            }
        }
        for name in switched_on {
            out.push_str(&format!("        {name}(),\n"));
        }
        out.push_str("    ],\n)\n");
        out
    }
}

impl Fields {
    fn named(name: &'static str) -> Self {
        Fields {
            name,
            entries: Vec::new(),
        }
    }

    fn set(&mut self, steps: &[&str], value: String) {
        let Some((step, rest)) = steps.split_first() else {
            return;
        };
        match self.entry(step) {
            Entry::Fields(fields) if !rest.is_empty() => fields.set(rest, value),
            entry => *entry = Entry::Value(value),
        }
    }

    fn name(&mut self, steps: &[&str], name: &'static str) {
        match steps.split_first() {
            None => self.name = name,
            Some((step, rest)) => {
                if let Entry::Fields(fields) = self.entry(step) {
                    fields.name(rest, name);
                }
            }
        }
    }

    /// What is set at a step; no fields yet where nothing is.
    fn entry(&mut self, step: &str) -> &mut Entry {
        let place = self.entries.iter().position(|(name, _)| name == step);
        let place = place.unwrap_or_else(|| {
            let fields = Entry::Fields(Fields::default());
            self.entries.push((step.to_owned(), fields));
            self.entries.len() - 1
        });
        &mut self.entries[place].1
    }

    /// On one line where that is short, else a line for each.
    fn print(&self, depth: usize) -> String {
        let name = self.name;
        let fields = self.entries.iter();
        let line: Vec<String> = fields
            .map(|(name, entry)| format!("{name}: {}", entry.print(depth + 1)))
            .collect();
        let short = format!("({})", line.join(", "));
        if short.len() <= 72 && !short.contains('\n') {
            return format!("{name}{short}");
        }
        let indent = "    ".repeat(depth + 1);
        let lines: String = line
            .iter()
            .map(|field| format!("{indent}{field},\n"))
            .collect();
        format!("{name}(\n{lines}{})", "    ".repeat(depth))
    }
}

impl Entry {
    fn print(&self, depth: usize) -> String {
        match self {
            Entry::Value(value) => value.clone(),
            Entry::Fields(fields) => fields.print(depth),
        }
    }
}

/// A list of texts in RON.
pub fn quoted_list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    format!("[{}]", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_one_struct_come_together_in_the_order_of_the_first() {
        let mut scene = SceneText::of(&["Dataset", "Bc", "Checkpoints"]);
        for (path, value) in [
            ("seed", "1"),
            ("Bc.actor.optimizer.weight_decay", "0.5"),
            ("Dataset.path", "\"a.hdf5\""),
            ("Bc.minibatch.batch_size", "100"),
            ("Bc.actor.optimizer.rule", "AdamW"),
            ("Bc.actor.encoder.layers", "2"),
        ] {
            scene.set(path, value.to_owned());
        }
        scene.name("Bc.actor.encoder", "Lstm");
        let expected = "// of a test
Scene(
    seed: 1,
    plugins: [
        Dataset(path: \"a.hdf5\"),
        Bc(
            actor: (optimizer: (weight_decay: 0.5, rule: AdamW), encoder: Lstm(layers: 2)),
            minibatch: (batch_size: 100),
        ),
        TensorBoard(),
    ],
)
";
        assert_eq!(scene.print("of a test", &["TensorBoard"]), expected);
        assert!(scene.has("Bc") && !scene.has("Checkpoints"));
    }
}
