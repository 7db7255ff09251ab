//! The clusters that are up: those of the suite, after its tests.

use std::collections::BTreeMap;
use std::process::Command;

/// A cluster by what `tests/cluster/cluster env` prints of it.
pub struct Up {
    /// Its name.
    pub name: String,
    env: BTreeMap<String, String>,
}

impl Up {
    /// A variable, such as `KUBECONFIG`; it panics where there is none.
    pub fn get(&self, variable: &str) -> &str {
        let found = self.env.get(variable);
        found.unwrap_or_else(|| panic!("cluster {} has no {variable}", self.name))
    }
}

/// All of them.
pub fn up() -> Vec<Up> {
    let names = script(&["status"]);
    let names = names.lines().filter_map(|line| line.split_whitespace().next());
    names
        .map(|name| {
            let env = script(&["env", name]);
            let lines = env
                .lines()
                .filter_map(|line| line.strip_prefix("export ")?.split_once('='));
            Up {
                name: name.to_owned(),
                env: lines
                    .map(|(key, value)| (key.to_owned(), value.trim_matches('\'').to_owned()))
                    .collect(),
            }
        })
        .collect()
}

fn script(args: &[&str]) -> String {
    let script = format!("{}/tests/cluster/cluster", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(script).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}
