//! The demo: a good release that goes all the way and a bad one that is taken back, with real pods and
//! real requests. It applies three versions of one Rollout, touches nothing else, and judges from what the
//! watches and the client saw whether each claim holds. `run.sh` makes the world around it.

mod api;
mod claims;
mod record;
mod story;
#[cfg(test)]
mod tests;
mod view;
mod world;

use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use futures::{Stream, StreamExt, stream};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::api::{Cluster, Settings, condition_line, manifest};
use crate::claims::{Claim, judge, mark, summary};
use crate::record::{BAD, FIRST, GOOD, REPLICAS, Record, RolledBack};
use crate::view::Screen;
use crate::world::{Change, World};

/// How often the view is drawn anew without any news, for its clock.
const REDRAW: Duration = Duration::from_millis(500);

/// How long each chapter may take: some four times what it takes on two cores.
const FIRST_LIMIT: Duration = Duration::from_secs(120);
const LOAD_LIMIT: Duration = Duration::from_secs(90);
const GOOD_LIMIT: Duration = Duration::from_secs(360);
const BAD_LIMIT: Duration = Duration::from_secs(180);
const QUIET_LIMIT: Duration = Duration::from_secs(30);

/// The client's requests before version 2 comes: enough for a share to mean something.
const WARM_UP: u64 = 400;

#[derive(Debug, Parser)]
#[command(about = "Shows a good and a bad release; exit status 0 only if all of it happened as claimed")]
struct Args {
    /// The folder of the manifests.
    #[arg(long, default_value = "examples/demo")]
    manifests: PathBuf,
    /// The image of the demo's app, instead of that in the manifests.
    #[arg(long)]
    image: Option<String>,
    /// The Prometheus that the controller asks; the demo asks it once whether it knows the app.
    #[arg(long)]
    prometheus: String,
    /// Put this controller instance id on the demo's objects.
    #[arg(long)]
    instance_id: Option<String>,
    /// The controller's log, shown from its end when something went wrong.
    #[arg(long)]
    controller_log: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // kube and reqwest use the same provider; an error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut screen = Screen::new();
    match demo(&args, &mut screen).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // With no terminal to write to there is nobody to tell.
            let _ = screen.finish(&[String::new(), format!("The demo could not be shown: {error:#}")]);
            ExitCode::FAILURE
        }
    }
}

async fn demo(args: &Args, screen: &mut Screen) -> Result<bool> {
    let cluster = Cluster::connect(Settings {
        image: args.image.clone(),
        instance_id: args.instance_id.clone(),
    })
    .await?;
    let rollout = manifest(&args.manifests, "rollout.yaml")?;
    for file in ["service.yaml", "analysis.yaml"] {
        cluster.apply(manifest(&args.manifests, file)?).await?;
    }
    let (send, counts) = mpsc::channel(64);
    let counts = stream::unfold(counts, async |mut counts| Some((counts.recv().await?, counts)));
    let mut stage = Stage {
        news: Box::pin(stream::select(cluster.watch(), counts)),
        world: World::default(),
        record: Record::default(),
        screen,
        chapter: String::new(),
        start: Instant::now(),
    };
    let ended = tokio::select! {
        ended = play(&cluster, &rollout, args, &mut stage, send) => ended,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    };
    let took = stage.start.elapsed();
    let mut claims = judge(&stage.record);
    if let Err(error) = ended {
        claims.push(Claim {
            text: "the story came to its end".into(),
            holds: false,
            seen: format!("{error:#}"),
        });
    }
    let good = claims.iter().all(|claim| claim.holds);
    let mut lines = summary(&claims, &stage.record, took);
    if !good {
        lines.extend(autopsy(&cluster, &stage.world, args).await);
    }
    stage.screen.finish(&lines)?;
    Ok(good)
}

/// The story. What it waits for ends it early only when it can no longer come.
async fn play(
    cluster: &Cluster,
    rollout: &Value,
    args: &Args,
    stage: &mut Stage<'_>,
    send: mpsc::Sender<Change>,
) -> Result<()> {
    stage.chapter("version 1: the first deployment, 10 pods");
    cluster.apply_version(rollout, FIRST, "0").await?;
    stage
        .until("version 1 to be Healthy", FIRST_LIMIT, |world| {
            Ok(world.promoted(FIRST))
        })
        .await?;
    stage.record.first_healthy = Some(mark(stage.at(), &stage.world.load));

    stage.chapter("version 1 under load: 200 requests a second through the Service");
    cluster
        .start_load(manifest(&args.manifests, "load.yaml")?, send)
        .await?;
    let warm = |world: &World| Ok(world.load.requests() >= WARM_UP);
    stage
        .until("the client to get its first answers", LOAD_LIMIT, warm)
        .await?;
    let hash = stage.world.rollout.current.clone();
    stage.beside(scraped(&args.prometheus, &hash)).await?;

    stage.chapter("version 2: a good release, 10 - 25 - 50 - 100 %");
    stage.record.good_started = Some(mark(stage.at(), &stage.world.load));
    cluster.apply_version(rollout, GOOD, "0").await?;
    let promoted = |world: &World| {
        if world.aborted(GOOD) {
            bail!("version 2 was aborted: {}", world.rollout.message);
        }
        Ok(world.promoted(GOOD))
    };
    stage
        .until("version 2 to be promoted", GOOD_LIMIT, promoted)
        .await?;
    stage.record.good_promoted = Some(mark(stage.at(), &stage.world.load));

    stage.chapter("version 3: a bad release, 5 % errors");
    stage.record.bad_started = Some(mark(stage.at(), &stage.world.load));
    let generation = cluster.apply_version(rollout, BAD, "5").await?;
    let rolled_back = |world: &World| {
        if world.promoted(BAD) {
            bail!("version 3 was promoted");
        }
        Ok(world.aborted(BAD)
            && world.rollout.phase == "Degraded"
            && world.available(GOOD) == REPLICAS
            && world.replicas(BAD) == 0)
    };
    stage
        .until("version 3 to be rolled back", BAD_LIMIT, rolled_back)
        .await?;
    let mut last = stage.world.load.clone();
    let quiet = |world: &World| {
        // Two seconds of answers, none of them from version 3.
        if world.load.of(BAD).requests != last.of(BAD).requests {
            last = world.load.clone();
        }
        Ok(world.load.elapsed_ms >= last.elapsed_ms + 2000)
    };
    stage
        .until("the last request to version 3", QUIET_LIMIT, quiet)
        .await?;
    let rollout = &stage.world.rollout;
    stage.record.rolled_back = Some(RolledBack {
        mark: mark(stage.at(), &stage.world.load),
        phase: rollout.phase.clone(),
        message: rollout.message.clone(),
        generation: (generation, rollout.generation),
    });
    Ok(())
}

struct Stage<'a> {
    news: Pin<Box<dyn Stream<Item = Change> + Send>>,
    world: World,
    record: Record,
    screen: &'a mut Screen,
    chapter: String,
    start: Instant,
}

impl Stage<'_> {
    fn at(&self) -> Duration {
        self.start.elapsed()
    }

    fn chapter(&mut self, title: &str) {
        title.clone_into(&mut self.chapter);
        // A terminal that is gone is met again, with an error, at the next drawing.
        let _ = self.screen.say(self.at(), &format!("== {title}"));
    }

    /// Shows what comes until `reached` says yes; its error, the time limit or a client that is gone end it.
    async fn until(
        &mut self,
        what: &str,
        limit: Duration,
        mut reached: impl FnMut(&World) -> Result<bool>,
    ) -> Result<()> {
        let end = tokio::time::sleep(limit);
        tokio::pin!(end);
        while !reached(&self.world)? {
            tokio::select! {
                () = self.turn() => {}
                () = &mut end => bail!("waited {} s for {what}", limit.as_secs()),
            }
            if let Some(why) = &self.world.load_ended {
                bail!("waited for {what}, but the client ended: {why}");
            }
        }
        Ok(())
    }

    /// Goes on showing while something else is done.
    async fn beside(&mut self, other: impl Future<Output = Result<()>>) -> Result<()> {
        tokio::pin!(other);
        loop {
            tokio::select! {
                done = &mut other => return done,
                () = self.turn() => {}
            }
        }
    }

    /// Takes one piece of news, or none for a while, and shows it.
    async fn turn(&mut self) {
        if let Ok(Some(change)) = tokio::time::timeout(REDRAW, self.news.next()).await {
            let before = self.world.clone();
            self.world.apply(change);
            self.record.note(&self.world);
            for line in story::news(&before, &self.world) {
                let _ = self.screen.say(self.at(), &line);
            }
        }
        let _ = self.screen.draw(&self.world, &self.chapter, self.at());
    }
}

/// Waits until Prometheus has the app's counter under the label that the analysis asks for.
async fn scraped(prometheus: &str, hash: &str) -> Result<()> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .build()?;
    let url = format!("{}/api/v1/query", prometheus.trim_end_matches('/'));
    let query = format!("sum(rate(http_requests_total{{pod_template_hash=\"{hash}\"}}[10s])) > 0");
    let end = Instant::now() + LOAD_LIMIT;
    loop {
        let answer = async {
            let response = client
                .get(&url)
                .query(&[("query", &query)])
                .send()
                .await?
                .error_for_status()?;
            response.json::<Value>().await
        };
        let problem = match answer.await {
            Ok(body) if body.pointer("/data/result/0").is_some() => return Ok(()),
            Ok(_) => format!("it has no answer to {query}"),
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() > end {
            return Err(anyhow::anyhow!(problem)).with_context(|| {
                format!(
                    "Prometheus at {prometheus} does not know the app (does it scrape the pods of {}?)",
                    api::NAMESPACE
                )
            });
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn autopsy(cluster: &Cluster, world: &World, args: &Args) -> Vec<String> {
    let rollout = &world.rollout;
    let mut lines = vec![
        String::new(),
        format!("Rollout: {} {}", rollout.phase, rollout.message),
    ];
    lines.extend(rollout.conditions.iter().map(condition_line));
    lines.push("ReplicaSets: version, revision, wanted, existing, ready".to_owned());
    for set in world.sets.values() {
        let world::ReplicaSet {
            version,
            revision,
            desired,
            replicas,
            available,
            ..
        } = set;
        lines.push(format!("  {version} {revision} {desired} {replicas} {available}"));
    }
    lines.push("AnalysisRuns".to_owned());
    for (name, run) in &world.runs {
        lines.push(format!(
            "  {name} {} {} {}",
            run.phase,
            run.values.join(" "),
            run.message
        ));
    }
    lines.extend(cluster.state().await);
    if let Some(path) = &args.controller_log {
        lines.push(format!("The end of {}", path.display()));
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let all: Vec<_> = text.lines().collect();
                lines.extend(
                    all.iter()
                        .skip(all.len().saturating_sub(40))
                        .map(|line| format!("  {line}")),
                );
            }
            Err(error) => lines.push(format!("  {error}")),
        }
    }
    lines
}
