//! A scene's text, setting by setting.

use crate::scene::quoted;

/// What is written where: fields of the scene, and plugins with their settings.
#[derive(Debug, Default)]
pub struct SceneText {
    head: Fields,
    plugins: Vec<(&'static str, Fields)>,
}

/// Named values in the order in which they were first set.
#[derive(Debug, Default)]
struct Fields(Vec<(String, Entry)>);

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
            plugins: plugins
                .iter()
                .map(|name| (*name, Fields::default()))
                .collect(),
        }
    }

    /// Sets `Td3Bc.critic.ensemble.n`, or `seed`, to a value in RON.
    pub fn set(&mut self, path: &str, value: String) {
        let steps: Vec<&str> = path.split('.').collect();
        let mut plugins = self.plugins.iter_mut();
        match plugins.find(|(name, _)| *name == steps[0]) {
            Some((_, fields)) => fields.set(&steps[1..], value),
            None => self.head.set(&steps, value),
        }
    }

    /// Whether anything of a plugin is set.
    pub fn has(&self, plugin: &str) -> bool {
        let mut plugins = self.plugins.iter();
        plugins.any(|(name, fields)| *name == plugin && !fields.0.is_empty())
    }

    /// The scene; `switched_on` are plugins without settings.
    pub fn print(&self, comment: &str, switched_on: &[&str]) -> String {
        let mut out = format!("// {comment}\nScene(\n");
        for (name, entry) in &self.head.0 {
            out.push_str(&format!("    {name}: {},\n", entry.print(1)));
        }
        out.push_str("    plugins: [\n");
        for (name, fields) in &self.plugins {
            if !fields.0.is_empty() {
                out.push_str(&format!("        {name}{},\n", fields.print(2)));
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
    fn set(&mut self, steps: &[&str], value: String) {
        let Some((step, rest)) = steps.split_first() else {
            return;
        };
        let place = self.0.iter().position(|(name, _)| name == step);
        let place = place.unwrap_or_else(|| {
            let fields = Entry::Fields(Fields::default());
            self.0.push(((*step).to_owned(), fields));
            self.0.len() - 1
        });
        match &mut self.0[place].1 {
            Entry::Fields(fields) if !rest.is_empty() => fields.set(rest, value),
            entry => *entry = Entry::Value(value),
        }
    }

    /// On one line where that is short, else a line for each.
    fn print(&self, depth: usize) -> String {
        let fields = self.0.iter();
        let line: Vec<String> = fields
            .map(|(name, entry)| format!("{name}: {}", entry.print(depth + 1)))
            .collect();
        let short = format!("({})", line.join(", "));
        if short.len() <= 72 && !short.contains('\n') {
            return short;
        }
        let indent = "    ".repeat(depth + 1);
        let lines: String = line
            .iter()
            .map(|field| format!("{indent}{field},\n"))
            .collect();
        format!("(\n{lines}{})", "    ".repeat(depth))
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
        ] {
            scene.set(path, value.to_owned());
        }
        let expected = "// of a test
Scene(
    seed: 1,
    plugins: [
        Dataset(path: \"a.hdf5\"),
        Bc(
            actor: (optimizer: (weight_decay: 0.5, rule: AdamW)),
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
