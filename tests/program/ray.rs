//! The Python package for Ray, `python/yarak_ray`, by its own tests.
//!
//! Runs where `YARAK_PYTHON` names a Python that has the packages ray\[tune\] and pytest, and says so where it does not.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::room::{ROOT, YARAK};

/// The Python that has them; says so where there is none.
fn python() -> Option<OsString> {
    let Some(python) = std::env::var_os("YARAK_PYTHON") else {
        eprintln!(
            "skipped: set YARAK_PYTHON to a Python that has the packages ray[tune] and pytest"
        );
        return None;
    };
    let import = Command::new(&python)
        .args(["-c", "import pytest, ray.tune"])
        .output();
    let there = import.is_ok_and(|it| it.status.success());
    if !there {
        eprintln!("skipped: {python:?} (YARAK_PYTHON) does not import `ray.tune` and `pytest`");
    }
    there.then_some(python)
}

#[test]
fn the_package_for_ray_passes_its_tests() {
    let Some(python) = python() else {
        return;
    };
    let package = Path::new(ROOT).join("python/yarak_ray");
    let output = Command::new(python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"])
        .current_dir(&package)
        .env("YARAK_BIN", YARAK)
        .env("PYTHONPATH", &package)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
