//! `serin`: the controller, and what goes with it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use serin::cli::analyze::{self, Inputs, When};
use serin::cli::flags;
use serin::controller::leader::{Election, LEASE_NAME};
use serin::controller::process::{self, JobTarget, Limit, Options};
use serin::metric::aws;
use serin::metric::http::TransportOptions;
use serin::metric::provider::{Measurer, MeasurerOptions};
use tokio::sync::watch;

/// Progressive delivery for Kubernetes: canary, blue-green and rolling releases, gated by Prometheus.
#[derive(Parser)]
#[command(name = "serin", version, propagate_version = true, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the controller.
    Controller(Box<ControllerArgs>),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
    /// Run an AnalysisTemplate against a real Prometheus, now or over past data, without a cluster.
    Analyze(AnalyzeArgs),
}

/// Exit code: 0 for success, 1 for failure, 2 for inconclusive or error.
#[derive(Args)]
struct AnalyzeArgs {
    /// File of the template, with those that it includes; - is standard input.
    #[arg(short, long)]
    file: PathBuf,
    /// Run this template of the file (again for more); else all that no other includes.
    #[arg(long)]
    template: Vec<String>,
    /// The value of an argument, also where it is that of a Secret in the cluster.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    arg: Vec<(String, String)>,
    /// Measure each metric once, as it was at this moment: 2026-11-13T10:00:00Z, Unix seconds, or -36h.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["from", "to", "step"])]
    at: Option<String>,
    /// Run the whole analysis on past data, from this moment on.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// End the run at this moment at the latest (default: now).
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "from")]
    to: Option<String>,
    /// Measure every so often, whatever the metrics' intervals say.
    #[arg(long, value_name = "DURATION", requires = "from", value_parser = seconds)]
    step: Option<Duration>,
    /// The Prometheus of metrics that name none.
    #[arg(long, env = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS")]
    prometheus_address: Option<String>,
    #[command(flatten)]
    measuring: MeasuringArgs,
}

/// How metric providers are spoken to. Credentials for `sigv4` come from the environment, by the variables of AWS' own
/// libraries: see `metric::aws`.
#[derive(Args)]
struct MeasuringArgs {
    /// File of certificate authorities in PEM that metric providers may have, beside those of the system.
    #[arg(long, env = "SERIN_METRIC_CA_FILE", value_name = "FILE")]
    metric_ca_file: Option<PathBuf>,
}

impl MeasuringArgs {
    fn options(&self) -> anyhow::Result<MeasurerOptions> {
        let read = |path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("cannot read --metric-ca-file {}", path.display()))
        };
        let given = self
            .metric_ca_file
            .as_ref()
            .filter(|path| !path.as_os_str().is_empty());
        let transport = TransportOptions {
            ca_pem: given.map(read).transpose()?,
            ..TransportOptions::default()
        };
        Ok(MeasurerOptions {
            transport,
            aws: aws::Environment::read(|name| std::env::var(name).ok()),
        })
    }
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Args)]
struct ControllerArgs {
    /// Path of a kubeconfig; else the environment's KUBECONFIG, or the service account of the pod.
    #[arg(long)]
    kubeconfig: Option<String>,
    /// The context of the kubeconfig.
    #[arg(long)]
    context: Option<String>,
    /// The cluster of the kubeconfig, instead of the context's.
    #[arg(long)]
    cluster: Option<String>,
    /// The user of the kubeconfig, instead of the context's.
    #[arg(long)]
    user: Option<String>,
    /// The address of the API server, instead of the cluster's.
    #[arg(long, short = 's', value_name = "URL")]
    server: Option<http::Uri>,
    /// Act as this user.
    #[arg(long = "as", value_name = "USER")]
    impersonate: Option<String>,
    /// Act as a member of this group (again for more).
    #[arg(long = "as-group", value_name = "GROUP", requires = "impersonate")]
    impersonate_groups: Vec<String>,
    /// Watch only the controller's own namespace; ClusterAnalysisTemplates cannot be used then.
    #[arg(long, env = "SERIN_NAMESPACED", default_value_t = false, action = clap::ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    namespaced: bool,
    /// The controller's own namespace, where its lease is (default: that of the service account, else argo-rollouts).
    #[arg(long, short = 'n', env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// Work on objects that carry this instance id only; without it, on those that carry none.
    #[arg(long, env = "SERIN_INSTANCE_ID", default_value = "")]
    instance_id: String,
    /// Which controllers run: always all of them.
    #[arg(long, env = "SERIN_CONTROLLERS", value_delimiter = ',', hide = true)]
    controllers: Vec<String>,
    /// Elect one leader among the replicas.
    #[arg(long, env = "SERIN_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    leader_elect: bool,
    /// How long a leader that went silent is believed to live.
    #[arg(long, env = "SERIN_LEADER_ELECTION_LEASE_DURATION", default_value = "15s", value_parser = seconds)]
    leader_election_lease_duration: Duration,
    /// How long a leader tries to renew its lease before it gives up: less than the lease duration.
    #[arg(long, env = "SERIN_LEADER_ELECTION_RENEW_DEADLINE", default_value = "10s", value_parser = seconds)]
    leader_election_renew_deadline: Duration,
    /// The pause between two tries: less than the renew deadline.
    #[arg(long, env = "SERIN_LEADER_ELECTION_RETRY_PERIOD", default_value = "2s", value_parser = seconds)]
    leader_election_retry_period: Duration,
    /// Calls to the API server a second, in the long run; 0 is no limit: the API server has its own. What a limit holds
    /// back for 10 s is given up, and tried again later. The lease is never held back.
    #[arg(long, env = "SERIN_QPS", default_value_t = 0.0, value_parser = not_negative)]
    qps: f64,
    /// Calls at once after a time of rest, where --qps sets a limit.
    #[arg(long, env = "SERIN_BURST", default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..))]
    burst: u32,
    /// After so many seconds a Rollout is looked at although nothing was heard of it.
    #[arg(long, env = "SERIN_ROLLOUT_RESYNC", default_value_t = 900, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..))]
    rollout_resync: u64,
    /// Rollouts worked on at once.
    #[arg(long, env = "SERIN_ROLLOUT_THREADS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    rollout_threads: u16,
    /// AnalysisRuns worked on at once.
    #[arg(long, env = "SERIN_ANALYSIS_THREADS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    analysis_threads: u16,
    /// The Prometheus of metrics that name none.
    #[arg(long, env = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS")]
    prometheus_address: Option<String>,
    #[command(flatten)]
    measuring: MeasuringArgs,
    /// Path of the kubeconfig of another cluster, which the Jobs of analyses go to.
    #[arg(long, env = "ARGO_ROLLOUTS_ANALYSIS_JOB_KUBECONFIG")]
    analysis_job_kubeconfig: Option<String>,
    /// Another namespace for the Jobs of analyses than that of the AnalysisRun.
    #[arg(long, env = "ARGO_ROLLOUTS_ANALYSIS_JOB_NAMESPACE")]
    analysis_job_namespace: Option<String>,
    /// Port of /healthz and /readyz.
    #[arg(long = "healthzPort", aliases = ["healthzport", "healthz-port"], env = "SERIN_HEALTHZ_PORT",
          default_value_t = 8080)]
    healthz_port: u16,
    /// Port of /metrics.
    #[arg(long = "metricsPort", aliases = ["metricsport", "metrics-port"], env = "SERIN_METRICS_PORT",
          default_value_t = 8090)]
    metrics_port: u16,
    /// What to log: error, warn, info, debug, trace, or a filter such as serin=debug.
    #[arg(
        long = "loglevel",
        alias = "log-level",
        env = "SERIN_LOG",
        default_value = "info"
    )]
    log_level: String,
    /// text or json.
    #[arg(long = "logformat", alias = "log-format", env = "SERIN_LOG_FORMAT", default_value = "text",
          value_parser = ["text", "json", ""], hide_possible_values = true)]
    log_format: String,
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if number.is_finite() && number >= 0.0 {
        Ok(number)
    } else {
        Err("it must not be negative".to_owned())
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let parsed = serin::engine::duration::parse_positive(text).map_err(|e| e.to_string())?;
    Duration::try_from(parsed).map_err(|e| e.to_string())
}

fn main() -> anyhow::Result<()> {
    let mut needless = Vec::new();
    let mut args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    // Flags of the contract that mean nothing here are the controller's only.
    if args.get(1).is_some_and(|command| command == "controller") {
        (args, needless) = flags::take_out(args).map_err(anyhow::Error::msg)?;
    }
    match Cli::parse_from(args).command {
        Command::Controller(args) => controller(*args, &needless),
        Command::Analyze(args) => {
            let code = analyze(&args).unwrap_or_else(|error| {
                eprintln!("error: {error:#}");
                2
            });
            std::process::exit(i32::from(code))
        }
        Command::Crds => {
            use std::io::Write as _;
            let text: Vec<String> = serin::api::crds().iter().map(serin::api::crds_yaml).collect();
            std::io::stdout()
                .write_all(text.join("---\n").as_bytes())
                .context("cannot print")
        }
    }
}

fn analyze(args: &AnalyzeArgs) -> anyhow::Result<u8> {
    let manifests = if args.file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?
    } else {
        std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?
    };
    let now = serin::controller::clock::now();
    let moment = |text: &str| analyze::moment(text, now).map_err(anyhow::Error::msg);
    let when = match (&args.at, &args.from) {
        (Some(at), _) => When::At(moment(at)?),
        (None, Some(from)) => When::Between {
            from: moment(from)?,
            to: args.to.as_deref().map_or(Ok(now), moment)?,
            step: args.step.map(TryInto::try_into).transpose()?,
        },
        (None, None) => When::Now,
    };
    let inputs = Inputs {
        manifests,
        templates: args.template.clone(),
        args: args.arg.clone(),
    };
    // As in the controller.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let measurer = Measurer::new(args.measuring.options()?).context("cannot set up the HTTP client")?;
    let address = args.prometheus_address.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut out = std::io::stdout();
    let ended = runtime.block_on(analyze::analyze(&inputs, when, address, &measurer, &mut out));
    Ok(ended.map_err(anyhow::Error::msg)?.code())
}

fn controller(args: ControllerArgs, needless: &[String]) -> anyhow::Result<()> {
    log(&args)?;
    for sentence in needless {
        tracing::warn!("{sentence}");
    }
    check(&args)?;
    // An error means that a provider is installed already: ours is as good as any.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: the work is waiting and a little JSON. More of them only pass it back and forth, and each has a heap.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(args))
}

/// Whether the flags go together. Error: one sentence.
fn check(args: &ControllerArgs) -> anyhow::Result<()> {
    let (lease, renew, retry) = (
        args.leader_election_lease_duration,
        args.leader_election_renew_deadline,
        args.leader_election_retry_period,
    );
    anyhow::ensure!(
        lease > renew && renew > retry,
        "--leader-election-lease-duration ({lease:?}) must be above --leader-election-renew-deadline ({renew:?}), and that \
         above --leader-election-retry-period ({retry:?}): else two could lead at once"
    );
    anyhow::ensure!(
        lease >= Duration::from_secs(1),
        "--leader-election-lease-duration ({lease:?}) must be a second at least: a Lease counts in seconds"
    );
    let known = ["rollouts", "analysis", "experiments", "services", "ingresses"];
    if let Some(other) = args.controllers.iter().find(|one| !known.contains(&one.as_str())) {
        anyhow::bail!("--controllers: there is no controller {other:?}");
    }
    anyhow::ensure!(
        args.controllers.is_empty() || args.controllers.iter().any(|one| one == "rollouts"),
        "--controllers: Rollouts and analyses always run together here; leave the flag out"
    );
    Ok(())
}

fn log(args: &ControllerArgs) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(flags::log_filter(&args.log_level))
        .with_context(|| format!("--loglevel {:?} is no level and no filter", args.log_level))?;
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // Spans of the runtime repeat what every line of ours names already.
    let filter = filter.add_directive("kube_runtime=off".parse()?);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    if args.log_format == "json" {
        log.json().init();
    } else {
        log.init();
    }
    Ok(())
}

async fn serve(args: ControllerArgs) -> anyhow::Result<()> {
    let mut config = config(&args).await?;
    // The passes have their own backoff, with the object's name in the log; one inside the client would hide failures
    // and hold a worker for minutes.
    config.default_retry = false;
    let own = args.namespace.clone().unwrap_or_else(|| {
        let inferred = config.default_namespace.clone();
        if inferred == "default" {
            "argo-rollouts".to_owned()
        } else {
            inferred
        }
    });
    let options = Options {
        namespace: args.namespaced.then(|| own.clone()),
        election: args.leader_elect.then(|| election(&args, &own)),
        instance_id: args.instance_id,
        rollout_threads: args.rollout_threads,
        analysis_threads: args.analysis_threads,
        limit: (args.qps > 0.0).then_some(Limit {
            qps: args.qps,
            burst: args.burst,
        }),
        resync: Duration::from_secs(args.rollout_resync),
        prometheus_address: args.prometheus_address,
        measuring: args.measuring.options()?,
        jobs: JobTarget {
            kubeconfig: args.analysis_job_kubeconfig,
            namespace: args.analysis_job_namespace,
        },
        healthz_port: args.healthz_port,
        metrics_port: args.metrics_port,
    };
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        signalled().await;
        tracing::info!("told to stop");
        // Nobody listens any more only when the process ends anyway.
        let _ = stop.send(true);
    });
    process::run(config, options, stopped).await
}

/// Which API server, and who this process is there.
async fn config(args: &ControllerArgs) -> anyhow::Result<kube::Config> {
    let options = kube::config::KubeConfigOptions {
        context: args.context.clone(),
        cluster: args.cluster.clone(),
        user: args.user.clone(),
    };
    let chosen = options.context.is_some() || options.cluster.is_some() || options.user.is_some();
    let mut config = match &args.kubeconfig {
        Some(path) => {
            let file = kube::config::Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the kubeconfig {path}"))?;
            kube::Config::from_custom_kubeconfig(file, &options)
                .await
                .context("cannot use the kubeconfig")?
        }
        None if chosen => kube::Config::from_kubeconfig(&options)
            .await
            .context("cannot use the kubeconfig")?,
        None => kube::Config::infer()
            .await
            .context("found no cluster: neither a kubeconfig nor a service account")?,
    };
    if let Some(server) = &args.server {
        config.cluster_url = server.clone();
    }
    if let Some(user) = &args.impersonate {
        config.auth_info.impersonate = Some(user.clone());
        let groups = args.impersonate_groups.clone();
        config.auth_info.impersonate_groups = Some(groups).filter(|groups| !groups.is_empty());
    }
    Ok(config)
}

fn election(args: &ControllerArgs, namespace: &str) -> Election {
    let name = if args.instance_id.is_empty() {
        LEASE_NAME.to_owned()
    } else {
        format!("{LEASE_NAME}-{}", args.instance_id)
    };
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "serin".to_owned());
    let start = serin::controller::clock::now().as_nanosecond();
    Election {
        namespace: namespace.to_owned(),
        name,
        identity: format!("{host}_{}_{start:x}", std::process::id()),
        lease_duration: args.leader_election_lease_duration,
        renew_deadline: args.leader_election_renew_deadline,
        retry_period: args.leader_election_retry_period,
    }
}

async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
