//! Rollouts in the hands of `kubectl argo rollouts` itself: its commands work unchanged, and what it shows is right.

use crate::support::World;

#[path = "plugin/analysis.rs"]
mod analysis;
#[path = "plugin/blue_green.rs"]
mod blue_green;
#[path = "plugin/canary.rs"]
mod canary;
#[path = "plugin/views.rs"]
mod views;
#[path = "plugin/workload.rs"]
mod workload;

const NAME: &str = "app";

/// What `get rollout` printed.
struct View(String);

/// A ReplicaSet or an AnalysisRun in the tree of [`View`].
#[derive(Debug, PartialEq, Eq)]
struct Leaf {
    /// The revision under which it stands.
    revision: u32,
    /// `ReplicaSet` or `AnalysisRun`.
    kind: String,
    /// Its status, without the icon.
    status: String,
    /// The last column: `stable`, `canary`, ...
    info: String,
}

impl View {
    async fn of(world: &World, name: &str) -> View {
        View(world.argo(&["get", "rollout", name, "--no-color"]).await)
    }

    /// The value behind a name such as `Status`; nothing where it is not there.
    fn field(&self, name: &str) -> &str {
        let start = format!("{name}:");
        let mut lines = self.0.lines().map(str::trim);
        lines
            .find_map(|line| line.strip_prefix(&start))
            .unwrap_or_default()
            .trim()
    }

    /// Status and message, the status without its icon.
    fn status(&self) -> (&str, &str) {
        let status = self.field("Status");
        (status.split(' ').next_back().unwrap(), self.field("Message"))
    }

    /// The images, with what is said of each.
    fn images(&self) -> Vec<&str> {
        let mut lines = self.0.lines().skip_while(|line| !line.starts_with("Images:"));
        let first = lines.next().and_then(|line| line.strip_prefix("Images:"));
        let more = lines.take_while(|line| line.starts_with(' '));
        first.into_iter().chain(more).map(str::trim).collect()
    }

    /// ReplicaSets and AnalysisRuns of the tree, from above.
    fn leaves(&self) -> Vec<Leaf> {
        let mut revision = 0;
        let mut leaves = Vec::new();
        for line in self.0.lines() {
            let line = line.trim_start_matches([' ', '├', '└', '│', '─']);
            if let Some(number) = line.strip_prefix("# revision:") {
                revision = number.trim().parse().unwrap();
            }
            if !line.starts_with(['⧉', 'α']) {
                continue;
            }
            // Columns are two blanks apart, or more.
            let columns: Vec<&str> = line
                .split("  ")
                .map(str::trim)
                .filter(|c| !c.is_empty())
                .collect();
            let column = |n: usize| columns.get(n).copied().unwrap_or_default();
            leaves.push(Leaf {
                revision,
                kind: column(1).to_owned(),
                status: column(2).split(' ').next_back().unwrap().to_owned(),
                info: column(4).to_owned(),
            });
        }
        leaves
    }

    /// The ReplicaSets of the tree: revision, status, and what is said of each.
    fn sets(&self) -> Vec<(u32, String, String)> {
        let sets = self.leaves().into_iter().filter(|leaf| leaf.kind == "ReplicaSet");
        sets.map(|leaf| (leaf.revision, leaf.status, leaf.info)).collect()
    }

    /// Panics, with all that was printed, where these are not the ReplicaSets of the tree.
    #[track_caller]
    fn assert_sets(&self, want: &[(u32, &str, &str)]) {
        let sets = self.sets();
        let sets: Vec<(u32, &str, &str)> = sets
            .iter()
            .map(|(n, status, info)| (*n, &**status, &**info))
            .collect();
        assert_eq!(sets, want, "{}", self.0);
    }
}
