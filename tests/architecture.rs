//! The rooms of the house keep to their rules: what is pure stays pure, dependencies point down, files stay small.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test as the tests do")]
#![allow(missing_docs, reason = "the names of the tests say it")]

use std::fs;
use std::path::{Path, PathBuf};

/// What no pure room may touch: clients, runtimes, clocks, randomness, the outside.
const IMPURE: [&str; 22] = [
    "kube::Client",
    "kube::Api",
    "kube::api::",
    "kube::client",
    "kube::runtime",
    "kube_client",
    "kube_runtime",
    "tokio",
    "reqwest",
    "futures",
    "Timestamp::now",
    "Zoned::now",
    "SystemTime",
    "Instant",
    "tracing",
    "rand::",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "println!",
];

/// Rooms without IO. `src/traffic` joins them as soon as it is there.
const PURE: [&str; 4] = ["src/api", "src/engine", "src/traffic", "src/sim"];

/// Which rooms a room must not know: dependencies point down only.
const ABOVE: [(&str, &[&str]); 5] = [
    (
        "src/api",
        &["engine", "traffic", "sim", "metric", "controller", "cli"],
    ),
    ("src/engine", &["traffic", "sim", "metric", "controller", "cli"]),
    ("src/traffic", &["engine", "sim", "metric", "controller", "cli"]),
    ("src/sim", &["metric", "controller", "cli"]),
    ("src/controller", &["sim", "cli"]),
];

/// Lines of one source file, tests and data aside.
const LONGEST: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files of a room: `src/x.rs` and everything under `src/x`.
fn sources(room: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let file = root().join(format!("{room}.rs"));
    if file.exists() {
        found.push(file);
    }
    collect(&root().join(room), &mut found);
    found.sort();
    found
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

fn is_test(path: &Path) -> bool {
    let path = path.strip_prefix(root()).unwrap();
    path.iter().any(|part| part == "tests" || part == "tests.rs")
}

/// The lines that are code: comments and the tests at the end of a file are not.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]" && line.trim() != "mod tests {")
        .map(|(n, line)| (n + 1, line.split("//").next().unwrap_or_default()))
}

/// Whether `word` is in the line as a path of its own, not as a part of a longer name.
fn mentions(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let open = word.ends_with(is_name) && after.is_some_and(is_name);
        !before.is_some_and(is_name) && !open
    })
}

fn violations(room: &str, words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for path in sources(room).into_iter().filter(|path| !is_test(path)) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text) {
            for word in words.iter().filter(|word| mentions(line, word)) {
                let path = path.strip_prefix(root()).unwrap().display();
                found.push(format!("{path}:{number}: {word}: {}", line.trim()));
            }
        }
    }
    found
}

#[test]
fn pure_rooms_import_no_client_no_runtime_and_no_clock() {
    let words: Vec<String> = IMPURE.iter().map(|word| (*word).to_owned()).collect();
    let found: Vec<String> = PURE.iter().flat_map(|room| violations(room, &words)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn dependencies_point_down_only() {
    let mut found = Vec::new();
    for (room, above) in ABOVE {
        let paths = |name: &&str| [format!("crate::{name}"), format!("serin::{name}")];
        let words: Vec<String> = above.iter().flat_map(paths).collect();
        found.extend(violations(room, &words));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_file_is_called_mod_and_none_is_too_long() {
    let mut found = Vec::new();
    for path in sources("src") {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        if path.file_name().is_some_and(|file| file == "mod.rs") {
            found.push(format!("{name}: use {}.rs", path.parent().unwrap().display()));
        }
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        if lines > LONGEST && !is_test(&path) {
            found.push(format!("{name}: {lines} lines, more than {LONGEST}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_rules_find_what_they_forbid() {
    assert!(mentions("use kube::{Client};", "kube::{Client}"));
    assert!(mentions("use tokio::time;", "tokio"));
    assert!(mentions("let now = jiff::Timestamp::now();", "Timestamp::now"));
    assert!(!mentions("let instantly = 1;", "Instant"));
    assert!(!mentions("let operand::x = 1;", "rand::"));
    assert!(!mentions("use crate::simple;", "crate::sim"));
    let text = "a\n// tokio\nb // tokio\n#[cfg(test)]\nmod tests {\n    use tokio;\n}\n";
    assert!(code(text).all(|(_, line)| !mentions(line, "tokio")));
    assert!(
        sources("src/engine").len() > 10,
        "the sources are where they are looked for"
    );
}
