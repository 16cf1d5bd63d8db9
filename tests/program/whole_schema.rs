//! The JSON Schema of whole scenes: what comes along is valid against it, and what is broken is not.

use std::fs;
use std::path::Path;

use serde_json::{Map, Number, Value, json};

use crate::room::{ROOT, Room, yarak};

/// A scene as JSON, by the rules that the schema's own documentation names.
struct Ron<'t> {
    rest: &'t str,
}

impl<'t> Ron<'t> {
    fn of(text: &'t str) -> Value {
        let mut ron = Ron { rest: text };
        let scene = ron.value();
        ron.skip();
        assert_eq!(ron.rest, "", "all is read");
        // Of the scene itself the name goes without saying.
        scene.get("Scene").cloned().unwrap_or(scene)
    }

    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with("//") {
                self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
            } else if self.rest.starts_with("/*") {
                self.rest = self.rest.split_once("*/").unwrap().1;
            } else if self.rest.starts_with("#![") {
                self.rest = self.rest.split_once(']').unwrap().1;
            } else {
                return;
            }
        }
    }

    fn takes(&mut self, sign: char) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|it| !belongs(it)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn value(&mut self) -> Value {
        self.skip();
        if self.rest.starts_with("r\"") {
            self.rest = &self.rest[2..];
            let (text, rest) = self.rest.split_once('"').unwrap();
            self.rest = rest;
            return text.into();
        }
        match self.rest.chars().next().unwrap() {
            '"' => {
                let mut items = serde_json::Deserializer::from_str(self.rest).into_iter::<Value>();
                let text = items.next().unwrap().unwrap();
                self.rest = &self.rest[items.byte_offset()..];
                text
            }
            '[' => self.list('[', ']'),
            '(' => self.group(),
            '{' => {
                assert!(self.takes('{'));
                let mut fields = Map::new();
                while !self.takes('}') {
                    let key = self.value().as_str().unwrap().to_owned();
                    assert!(self.takes(':'));
                    fields.insert(key, self.value());
                    self.takes(',');
                }
                fields.into()
            }
            '-' | '+' | '.' | '0'..='9' => {
                let word = self.word(|it| it.is_alphanumeric() || "+-._".contains(it));
                let word = word.replace('_', "");
                let number: Result<Number, _> = serde_json::from_str(&word);
                match number {
                    Ok(number) => number.into(),
                    Err(_) => json!(word.parse::<f64>().unwrap()),
                }
            }
            _ => {
                let name = self.word(|it| it.is_alphanumeric() || it == '_');
                match name {
                    "true" => return true.into(),
                    "false" => return false.into(),
                    "None" => return Value::Null,
                    _ => {}
                }
                if !self.rest.trim_start().starts_with('(') {
                    return name.into();
                }
                let content = self.group();
                match name {
                    "Some" => content,
                    name => json!({ name: content }),
                }
            }
        }
    }

    fn list(&mut self, open: char, close: char) -> Value {
        assert!(self.takes(open));
        let mut items = Vec::new();
        while !self.takes(close) {
            items.push(self.value());
            self.takes(',');
        }
        items.into()
    }

    /// Fields, one value, or several without names. What an edit of the order names first is its slot.
    fn group(&mut self) -> Value {
        assert!(self.takes('('));
        let (mut fields, mut items) = (Map::new(), Vec::new());
        while !self.takes(')') {
            let before = self.rest;
            let name = self.word(|it| it.is_alphanumeric() || it == '_');
            if !name.is_empty() && self.takes(':') {
                let value = self.value();
                fields.insert(name.to_owned(), value);
            } else {
                self.rest = before;
                items.push(self.value());
            }
            self.takes(',');
            self.skip();
        }
        match (fields.is_empty(), items.len()) {
            (true, 0) => json!({}),
            (true, 1) => items.remove(0),
            (true, _) => items.into(),
            (false, 0) => fields.into(),
            (false, _) => {
                fields.insert("slot".to_owned(), items.remove(0));
                fields.into()
            }
        }
    }
}

/// What of a value is not as the schema says, with the place. A keyword that is not known here is refused, so that none is passed over.
fn faults(schema: &Value, value: &Value, root: &Value, place: &str, found: &mut Vec<String>) {
    let Some(schema) = schema.as_object() else {
        panic!("{place}: no schema: {schema}");
    };
    let mut fault = |what: String| found.push(format!("{place}: {what}"));
    let number = |value: &Value| value.as_f64();
    let mut inside = Vec::new();
    for (keyword, said) in schema {
        match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "$defs" => {}
            "$ref" => {
                let pointer = said.as_str().unwrap().strip_prefix('#').unwrap();
                inside.push((root.pointer(pointer).unwrap(), value, place.to_owned()));
            }
            "type" => {
                let is = match said.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    "number" => value.is_number(),
                    "integer" => value.as_f64().is_some_and(|it| it.fract() == 0.0),
                    other => panic!("{other}"),
                };
                if !is {
                    fault(format!("{value} is no {said}"));
                }
            }
            "const" if value != said => fault(format!("{value} is not {said}")),
            "enum" if !said.as_array().unwrap().contains(value) => {
                fault(format!("{value} is none of {said}"));
            }
            "minimum" if number(value) < number(said) && value.is_number() => {
                fault(format!("{value} is below {said}"));
            }
            "maximum" if number(value) > number(said) => fault(format!("{value} is above {said}")),
            "exclusiveMinimum" if number(value) <= number(said) && value.is_number() => {
                fault(format!("{value} is not above {said}"));
            }
            "exclusiveMaximum" if number(value) >= number(said) => {
                fault(format!("{value} is not below {said}"));
            }
            "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                let count = value.as_array().map(Vec::len);
                let count = count.or(value.as_object().map(Map::len));
                let limit = said.as_u64().unwrap() as usize;
                let fits = match keyword.starts_with("min") {
                    true => count.is_none_or(|it| it >= limit),
                    false => count.is_none_or(|it| it <= limit),
                };
                if !fits {
                    fault(format!("{keyword}: {said}"));
                }
            }
            "required" => {
                for name in said.as_array().unwrap() {
                    let name = name.as_str().unwrap();
                    if value
                        .as_object()
                        .is_some_and(|fields| !fields.contains_key(name))
                    {
                        fault(format!("{name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = said.get(name) {
                        inside.push((schema, value, format!("{place}.{name}")));
                    }
                }
            }
            "additionalProperties" => {
                assert_eq!(said, &json!(false));
                let known = schema.get("properties").and_then(Value::as_object);
                for name in value.as_object().into_iter().flat_map(Map::keys) {
                    if !known.is_some_and(|known| known.contains_key(name)) {
                        fault(format!("{name} is not known"));
                    }
                }
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    inside.push((said, value, format!("{place}[{index}]")));
                }
            }
            "prefixItems" => {
                let schemas = said.as_array().unwrap();
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    if let Some(schema) = schemas.get(index) {
                        inside.push((schema, value, format!("{place}[{index}]")));
                    }
                }
            }
            "anyOf" | "oneOf" => {
                let mut why = Vec::new();
                let fits = said.as_array().unwrap().iter().filter(|schema| {
                    let mut found = Vec::new();
                    faults(schema, value, root, place, &mut found);
                    why.extend(found.first().cloned());
                    found.is_empty()
                });
                let count = fits.count();
                if count == 0 || (keyword == "oneOf" && count > 1) {
                    fault(format!("{count} of {keyword} fit: {}", why.join("; ")));
                }
            }
            "const" | "enum" | "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {}
            other => panic!("{place}: the validator does not know `{other}`"),
        }
    }
    for (schema, value, place) in inside {
        faults(schema, value, root, &place, found);
    }
}

fn schema() -> Value {
    serde_json::from_str(yarak(&["scene", "schema", "--json"]).result()).unwrap()
}

fn faults_of(schema: &Value, scene: &Value) -> Vec<String> {
    let mut found = Vec::new();
    faults(schema, scene, schema, "scene", &mut found);
    found
}

fn scenes(folder: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|it| it == "ron"));
    let texts = paths.map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (path.display().to_string(), text)
    });
    texts.collect()
}

#[test]
fn every_scene_that_comes_along_is_valid_against_the_schema_of_whole_scenes() {
    let schema = schema();
    let mut count = 0;
    for folder in [
        "scenes",
        "scenes/demonstrations",
        "scenes/templates",
        "tests/fixtures/robomimic_configs",
        "tests/fixtures/d3rlpy_configs",
        "tests/fixtures/corl_configs",
    ] {
        for (name, text) in scenes(folder) {
            let scene = Ron::of(&text);
            assert!(scene["plugins"].as_array().unwrap().len() > 1, "{name}");
            assert_eq!(faults_of(&schema, &scene), [""; 0], "{name}: {scene:#}");
            count += 1;
        }
    }
    assert!(count >= 40, "{count}");
    // What a run resolved its scene to, and what no scene here has.
    let with_all = r#"Scene(
        name: "all", seed: 1, device: "cuda:0", epochs: 3, seeds: [1, 2],
        plugins: [
            Td3Bc(actor: (encoder: Cnn, optimizer: (rule: Adam, learning_rate: Linear(initial: 1e-3, end: 0, over: Epochs(2))))),
            Evaluation(env: "gymnasium:Hopper-v5", every: Epochs(5), kwargs: {"xml_file": "a.xml"}, goal: Fixed([0.5])),
            TensorBoard,
        ],
        order: [
            Replace(Actor, with: "bc::clone_behavior"),
            InsertAfter(Critic, with: "a::b", as: Again, every: 2, when: Actor, in: Learn),
            MoveBefore("a::b", before: Critic),
            MoveAfter(Critic, after: Targets),
            Remove(Measure),
        ],
    )"#;
    assert_eq!(faults_of(&schema, &Ron::of(with_all)), [""; 0]);
}

#[test]
fn broken_scenes_are_not_valid_against_it_and_the_place_is_found() {
    let schema = schema();
    let plain = "Scene(steps: 1, plugins: [Td3Bc(alpha: 2.5)])";
    assert_eq!(faults_of(&schema, &Ron::of(plain)), [""; 0]);
    for (from, to, said) in [
        ("steps: 1, ", "", "none"),
        ("steps: 1", "steps: 0", "scene.steps: 0 is below 1"),
        ("alpha: 2.5", "alpha: -1", "Td3Bc.alpha: -1 is below 0"),
        ("alpha: 2.5", "alhpa: 2.5", "Td3Bc: alhpa is not known"),
        (
            "alpha: 2.5",
            "alpha: \"2.5\"",
            "Td3Bc.alpha: \"2.5\" is no \"number\"",
        ),
        ("Td3Bc(", "Td3Bd(", "Td3Bd is not known"),
        (
            "alpha: 2.5",
            "critic: (optimizer: (learning_rate: Constant(-1)))",
            "learning_rate",
        ),
        (
            "alpha: 2.5",
            "actor: (encoder: Mlp(hidden_sizes: [0]))",
            "encoder",
        ),
        (
            ")])",
            ")], order: [Replace(Actor)])",
            "scene.order[0].Replace: ",
        ),
        (")])", ")], oder: [])", "oder is not known"),
    ] {
        let broken = plain.replace(from, to);
        assert_ne!(broken, plain);
        let found = faults_of(&schema, &Ron::of(&broken));
        let all = found.join("\n");
        assert!(!found.is_empty(), "{broken}");
        assert!(said == "none" || all.contains(said), "{broken}\n{all}");
        // And yarak itself refuses them.
        let room = Room::new();
        room.write("broken.ron", &broken);
        room.yarak("scene check broken.ron")
            .refuses(&["broken.ron"]);
    }
    // What only the whole shows, two algorithms in it, no schema of this kind says.
    let two = Ron::of("Scene(steps: 1, plugins: [Td3Bc(), Bc()])");
    assert_eq!(faults_of(&schema, &two), [""; 0]);
}

#[test]
fn without_a_plugin_the_schema_is_asked_for_as_json() {
    yarak(&["scene", "schema"]).refuses(&["<NAME>"]);
    let of_one = yarak(&["scene", "schema", "Td3Bc", "--json"]);
    let mut of_one: Value = serde_json::from_str(of_one.result()).unwrap();
    of_one.as_object_mut().unwrap().remove("$schema");
    assert_eq!(schema()["$defs"]["Td3Bc"], of_one);
}
