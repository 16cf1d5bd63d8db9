//! The settings that differ between experiments, as a table.

use super::experiment::Experiment;
use super::labels::differences;
use crate::report::canvas::escaped;

/// The section; nothing where there is one experiment.
pub(super) fn section(experiments: &[Experiment], labels: &[String]) -> String {
    if experiments.len() < 2 {
        return String::new();
    }
    let mut section = String::from("<section>\n<h2>Settings that differ</h2>\n");
    let all: Vec<&Experiment> = experiments.iter().collect();
    match differences(&all) {
        None => {
            let unread = experiments.iter().zip(labels);
            let unread = unread.filter(|(one, _)| one.scene.is_none());
            let unread: Vec<&str> = unread.map(|(_, label)| label.as_str()).collect();
            section.push_str(&format!(
                "<p class=\"note\">Not compared: this program cannot read the scene of {}.</p>\n",
                escaped(&unread.join(", "))
            ));
        }
        Some(differences) if differences.is_empty() => {
            section.push_str("<p class=\"note\">None but names and seeds.</p>\n");
        }
        Some(differences) => {
            section.push_str(
                "<div class=\"wide\">\n<table class=\"settings\">\n<thead>\n<tr><td></td>",
            );
            for label in labels {
                section.push_str(&format!("<th scope=\"col\">{}</th>", escaped(label)));
            }
            section.push_str("</tr>\n</thead>\n<tbody>\n");
            for difference in &differences {
                let path = escaped(&difference.path);
                section.push_str(&format!("<tr><th scope=\"row\">{path}</th>"));
                for value in &difference.values {
                    section.push_str(&format!("<td>{}</td>", escaped(value)));
                }
                section.push_str("</tr>\n");
            }
            section.push_str("</tbody>\n</table>\n</div>\n");
        }
    }
    section.push_str("</section>\n");
    section
}

#[cfg(test)]
mod tests {
    use super::super::experiment::Run;
    use super::*;
    use crate::scene::{Scene, SceneRegistry};

    fn experiment(scene: &str) -> Experiment {
        Experiment {
            scene: Scene::parse("a.ron", scene, &SceneRegistry::new(), &[]).ok(),
            ..Experiment::of(vec![Run::default()])
        }
    }

    #[test]
    fn each_setting_that_differs_is_a_row_with_the_value_of_each_experiment() {
        let of = |steps: &str| experiment(&format!("Scene(name: \"<a>\", plugins: [], {steps})"));
        let labels = ["a", "<b>", "c"].map(str::to_owned);
        let all = [of("steps: 1, seed: 1"), of("steps: 2"), of("steps: 1")];
        let html = section(&all, &labels);
        assert!(
            html.contains("steps</th><td>1</td><td>2</td><td>1</td></tr>"),
            "{html}"
        );
        assert!(!html.contains("seed") && !html.contains("<b>") && html.contains("&lt;b&gt;"));
        assert_eq!(section(&all[..1], &labels[..1]), "");
        let same = section(&[of("steps: 1"), of("steps: 1, seed: 1")], &labels[..2]);
        assert!(same.contains("None but names and seeds"), "{same}");
        let unread = section(&[of("steps: 1"), experiment("?")], &labels[..2]);
        assert!(unread.contains("cannot read the scene of &lt;b&gt;"));
    }
}
