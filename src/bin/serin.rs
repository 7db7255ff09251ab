//! `serin`: the controller, and what goes with it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use serin::cli::analyze::{self, Inputs, When};
use serin::controller::leader::{Election, LEASE_NAME};
use serin::controller::process::{self, JobTarget, Options};
use serin::metric::http::TransportOptions;
use serin::metric::provider::{Measurer, MeasurerOptions};
use serin::metric::sigv4::AwsCredentials;
use tokio::sync::watch;

/// Progressive delivery for Kubernetes: canary, blue-green and rolling releases, gated by Prometheus.
#[derive(Parser)]
#[command(name = "serin", version, about)]
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

/// How metric providers are spoken to. Credentials for `sigv4` are read from the environment: `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
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
            aws: AwsCredentials::from_env(|name| std::env::var(name).ok()),
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
    /// Watch only the controller's own namespace; ClusterAnalysisTemplates cannot be used then.
    #[arg(long, env = "SERIN_NAMESPACED")]
    namespaced: bool,
    /// The controller's own namespace, where its lease is (default: that of the service account, else argo-rollouts).
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// Work on objects that carry this instance id only; without it, on those that carry none.
    #[arg(long, env = "SERIN_INSTANCE_ID", default_value = "")]
    instance_id: String,
    /// Elect one leader among the replicas.
    #[arg(long, env = "SERIN_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    leader_elect: bool,
    /// How long a leader that went silent is believed to live.
    #[arg(long, default_value = "15s", value_parser = seconds)]
    leader_election_lease_duration: Duration,
    /// How long a leader tries to renew its lease before it gives up.
    #[arg(long, default_value = "10s", value_parser = seconds)]
    leader_election_renew_deadline: Duration,
    /// The pause between two tries.
    #[arg(long, default_value = "2s", value_parser = seconds)]
    leader_election_retry_period: Duration,
    /// Rollouts worked on at once.
    #[arg(long, default_value_t = 10)]
    rollout_threads: u16,
    /// AnalysisRuns worked on at once.
    #[arg(long, default_value_t = 30)]
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
    #[arg(
        long = "healthzPort",
        alias = "healthz-port",
        env = "SERIN_HEALTHZ_PORT",
        default_value_t = 8080
    )]
    healthz_port: u16,
    /// Port of /metrics.
    #[arg(long = "metricsPort", aliases = ["metricsport", "metrics-port"], env = "SERIN_METRICS_PORT",
          default_value_t = 8090)]
    metrics_port: u16,
    /// What to log: error, warn, info, debug, or a filter such as serin=debug.
    #[arg(
        long = "loglevel",
        alias = "log-level",
        env = "SERIN_LOG",
        default_value = "info"
    )]
    log_level: String,
    /// text or json.
    #[arg(long = "logformat", alias = "log-format", default_value = "text", value_parser = ["text", "json", ""])]
    log_format: String,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let parsed = serin::engine::duration::parse_positive(text).map_err(|e| e.to_string())?;
    Duration::try_from(parsed).map_err(|e| e.to_string())
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Controller(args) => controller(*args),
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

fn controller(args: ControllerArgs) -> anyhow::Result<()> {
    log(&args)?;
    // An error means that a provider is installed already: ours is as good as any.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: the work is waiting and a little JSON. More of them only pass it back and forth, and each has a heap.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(args))
}

fn log(args: &ControllerArgs) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&args.log_level)
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
    let mut config = match &args.kubeconfig {
        Some(path) => {
            let file = kube::config::Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the kubeconfig {path}"))?;
            let options = kube::config::KubeConfigOptions {
                context: args.context.clone(),
                ..kube::config::KubeConfigOptions::default()
            };
            kube::Config::from_custom_kubeconfig(file, &options)
                .await
                .context("cannot use the kubeconfig")?
        }
        None => kube::Config::infer()
            .await
            .context("found no cluster: neither a kubeconfig nor a service account")?,
    };
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
    let client = kube::Client::try_from(config).context("cannot set up the client")?;
    let options = Options {
        namespace: args.namespaced.then(|| own.clone()),
        election: args.leader_elect.then(|| election(&args, &own)),
        instance_id: args.instance_id,
        rollout_threads: args.rollout_threads,
        analysis_threads: args.analysis_threads,
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
    process::run(client, options, stopped).await
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
