//! `yarak report`: what is on the page, where it is written, and that no file is lost.

use std::fs;

use crate::room::Room;

/// A room with a run of two seeds, `a`, and one of other settings, `b`. Both have the scene's name.
fn runs() -> Room {
    let room = Room::new();
    room.yarak("train tiny.ron --run a --seeds 0,1 --steps 60")
        .ends_with(0);
    room.yarak("train tiny.ron --run b --steps 60 --set Td3Bc.alpha=0")
        .ends_with(0);
    room
}

fn read(room: &Room, name: &str) -> String {
    fs::read_to_string(room.path(name)).unwrap()
}

#[test]
fn a_page_has_the_score_large_the_rest_small_and_what_the_run_is() {
    let room = runs();
    assert_eq!(room.yarak("report a").result(), "a/report.html\n");
    let page = read(&room, "a/report.html");
    assert!(page.contains("<title>tiny</title>"));
    let charts: Vec<&str> = page.split("<svg ").skip(1).collect();
    assert!(charts.len() > 10);
    assert!(charts[0].contains("width=\"1200\"") && charts[0].contains("evaluate/return"));
    assert!(charts[1..].iter().all(|it| it.contains("width=\"400\"")));
    for part in [
        "a/seed_0: up to step 60",
        "a/seed_1: up to step 60",
        // What it learns, in order, with conditions and what is written.
        "<h3>Learn</h3>",
        "<strong>Critic</strong>",
        "td3_bc::update_actor",
        "of Critic</span>",
        "writes Metrics, Net&lt;Actor&gt;",
        // Policies to compare with.
        ">\nexpert -",
        "\"label\":\"tiny\"",
        "\"runs\":2}",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for absent in [
        "Settings that differ",
        "<h2>Videos",
        "http://www.w3.org/1999",
    ] {
        assert!(!page.contains(absent), "{absent}");
    }
    // The page is the runs', byte for byte.
    assert_eq!(room.yarak("report a").result(), "a/report.html\n");
    assert_eq!(read(&room, "a/report.html"), page);
}

#[test]
fn experiments_of_one_name_are_told_apart_and_their_settings_compared() {
    let room = runs();
    assert_eq!(room.yarak("report a b").result(), "report.html\n");
    let page = read(&room, "report.html");
    for part in [
        "<title>tiny</title>",
        "tiny, alpha: 2.5",
        "tiny, alpha: 0.0",
        "Td3Bc.alpha</th><td>2.5</td><td>0.0</td>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<h3>Learn</h3>").count(), 1, "drawn once");
    room.yarak("report a b --metric evaluate/return").result();
    let picture = read(&room, "report.svg");
    assert!(
        picture.contains("tiny, alpha: 2.5, mean of 2") && picture.contains("tiny, alpha: 0.0")
    );
    // Of the same settings it is the folder that tells them apart.
    room.yarak("report a/seed_0 a/seed_1 --metric loss")
        .result();
    let picture = read(&room, "a/report.svg");
    assert!(picture.contains("tiny (a/seed_0)") && picture.contains("tiny (a/seed_1)"));
}

#[test]
fn a_page_is_in_its_runs_folder_and_nothing_else_is_replaced_unasked() {
    let room = runs();
    let refused = |words: &str, file: &str| {
        let before = read(&room, file);
        let remedy = [file, "there is something already", "--out", "--force"];
        room.yarak(words).refuses(&remedy);
        assert_eq!(read(&room, file), before);
    };
    let writes = |words: &str, file: &str| {
        assert_eq!(room.yarak(words).result(), format!("{file}\n"));
    };
    writes("report b", "b/report.html");
    writes("report a/seed_0 a/seed_1", "a/report.html");
    writes("report b --metric loss", "b/report.svg");
    refused("report b --metric actor/loss", "b/report.svg");
    writes("report b --metric actor/loss --force", "b/report.svg");
    // The run's own page is made anew; somebody's page of the same name is not.
    writes("report b", "b/report.html");
    room.write("b/report.html", "<!doctype html><title>mine</title>");
    refused("report b", "b/report.html");
    writes("report b --force", "b/report.html");
    // Elsewhere even a page of ours may be of other runs.
    writes("report a b", "report.html");
    refused("report a b", "report.html");
    refused("report b --out report.html", "report.html");
    writes("report b --out report.html --force", "report.html");
    refused("report b --out tiny.ron", "tiny.ron");
    room.yarak("report b --out a --force")
        .refuses(&["a: this is a folder", "--out"]);
    room.yarak("report a ./a")
        .refuses(&["./a: this run is named twice"]);
    let leftover = fs::read_dir(room.path("b")).unwrap();
    let leftover = leftover.filter(|it| {
        let name = it.as_ref().unwrap().file_name();
        name.to_string_lossy().contains("writing")
    });
    assert_eq!(leftover.count(), 0);
}

#[test]
fn a_video_in_a_runs_folder_is_in_its_page() {
    let room = runs();
    room.yarak("eval b --episodes 1 --video b/swing.gif")
        .result();
    room.write("b/no.gif", "no picture");
    fs::write(room.path("a/large.gif"), {
        let mut bytes = fs::read(room.path("b/swing.gif")).unwrap();
        bytes.resize(5 << 20, 0);
        bytes
    })
    .unwrap();
    room.yarak("report a b").result();
    let page = read(&room, "report.html");
    assert!(page.contains("<h2>Videos</h2>") && page.contains("data:image/gif;base64,R0lGODlh"));
    assert!(page.contains("alt=\"b/swing.gif\"") && !page.contains("no.gif"));
    assert!(page.contains("<img src=\"a/large.gif\"") && page.len() < 4 << 20);
    room.yarak("report a").result();
    assert!(read(&room, "a/report.html").contains("<img src=\"large.gif\""));
}

#[test]
fn what_this_program_cannot_build_has_a_page_all_the_same() {
    let room = runs();
    let scene = read(&room, "b/scene.ron").replace("Td3Bc(", "Td3BcOfMine(");
    room.write("b/scene.ron", &scene);
    room.yarak("report a b").result();
    let page = read(&room, "report.html");
    for part in [
        "The drawing of tiny (b) is left out: b/scene.ron:",
        "Td3BcOfMine",
        "Not compared: this program cannot read the scene of tiny (b).",
        "<h3>Learn</h3>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    room.yarak("report b --metric loss").result();
}

#[test]
fn a_report_has_the_learning_rate_itself_and_no_mean_of_it() {
    let room = Room::new();
    let scene = read(&room, "tiny.ron");
    let constant = scene
        .replace(
            "learning_rate: Multistep(initial: 3e-3, decay_factor: 0.3, epoch_schedule: [2, 4])",
            "learning_rate: Constant(3e-4)",
        )
        .replace("every: 30", "every: 300")
        .replace("Evaluation(every: 50", "Evaluation(every: 300")
        .replace("Validation(every: 40", "Validation(every: 300");
    assert!(constant.contains("learning_rate: Constant(3e-4)"));
    room.write("constant.ron", &constant);
    room.yarak("train constant.ron --run run").ends_with(0);
    let rows = read(&room, "run/metrics.jsonl");
    let last = rows.lines().last().unwrap();
    assert!(last.contains("\"learning_rate/critic\": 0.0003,"), "{rows}");
}
