//! Flags of the contract that mean nothing to this controller. Installs pass them (`extraArgs` of a chart): each is taken
//! out with one sentence, so that such an install starts as it is, and nobody wonders.

/// What is said of a flag that changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It does without: the flag may be left out.
    Needless(&'static str),
    /// What the flag asks for is not there: who passed it must know before anything runs.
    Refused(&'static str),
}

use Answer::{Needless, Refused};

/// Whether a value follows a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Value,
    /// Only as `--flag=false`.
    Switch,
}

use Takes::{Switch, Value};

const QUEUE: &str = "there is no such queue here";
const ROUTER: &str = "this router is not supported";
const LOGIN: &str = "write it into a kubeconfig and pass that with --kubeconfig";

/// The contract's flags (section 5.1) that are not this controller's own. A leading group of names shares the sentence.
const FLAGS: [(&[&str], Takes, Answer); 12] = [
    (
        &["service-threads", "ingress-threads", "experiment-threads"],
        Value,
        Needless(QUEUE),
    ),
    (
        &[
            "ephemeral-metadata-threads",
            "ephemeral-metadata-update-pod-retries",
        ],
        Value,
        Needless("pods are changed within the passes of their Rollout, and tried again with them"),
    ),
    (
        &["kloglevel", "v"],
        Value,
        Needless("--loglevel is for everything, such as --loglevel=info,kube=debug"),
    ),
    (
        &[
            "istio-api-version",
            "ambassador-api-version",
            "traffic-split-api-version",
            "traefik-api-group",
            "traefik-api-version",
            "appmesh-crd-version",
            "ingress-api-version",
            "alb-ingress-classes",
            "nginx-ingress-classes",
        ],
        Value,
        Needless(ROUTER),
    ),
    (
        &["aws-target-group-binding-api-version", "alb-tag-key-resource-id"],
        Value,
        Needless(ROUTER),
    ),
    (
        &["aws-verify-target-group", "alb-verify-weight"],
        Switch,
        Refused("target groups are not verified, for this router is not supported"),
    ),
    (
        &["self-service-notification-enabled"],
        Switch,
        Refused("this controller sends no notifications"),
    ),
    (
        &["enable-pprof-address"],
        Value,
        Refused("this is no Go program; memory and time are in /metrics"),
    ),
    (
        &["cache-dir", "disable-compression", "request-timeout"],
        Value,
        Needless("calls have a limit of 10 s, and nothing is cached on disk"),
    ),
    (
        &[
            "certificate-authority",
            "client-certificate",
            "client-key",
            "tls-server-name",
            "token",
            "username",
            "password",
            "as-uid",
        ],
        Value,
        Refused(LOGIN),
    ),
    (&["insecure-skip-tls-verify"], Switch, Refused(LOGIN)),
    (
        &["match-server-version"],
        Switch,
        Needless("any served version of the API server is taken"),
    ),
];

/// The arguments without the flags that mean nothing here, and a sentence for each that was among them. Error: the
/// sentence of one that asks for what is not there.
///
/// Worked: `["--service-threads", "5", "--qps=10"]` leaves `["--qps=10"]`. `--aws-verify-target-group=false` asks for
/// nothing, and is taken out silently.
pub fn take_out(args: impl IntoIterator<Item = String>) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut kept, mut said) = (Vec::new(), Vec::new());
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (arg.as_str(), None),
        };
        let short = name
            .strip_prefix("--")
            .or_else(|| name.strip_prefix('-').filter(|name| *name == "v"));
        let found = short.and_then(|short| FLAGS.iter().find(|(names, _, _)| names.contains(&short)));
        let Some((_, takes, answer)) = found else {
            kept.push(arg);
            continue;
        };
        let off = match (takes, value) {
            (Switch, value) => value == Some("false"),
            (Value, Some(value)) => value.is_empty(),
            (Value, None) => {
                let next = args.next_if(|next| !next.starts_with("--"));
                next.is_some_and(|value| value.is_empty())
            }
        };
        match answer {
            _ if off => {}
            Needless(why) => said.push(format!("{name} changes nothing: {why}; it can be left out")),
            Refused(why) => return Err(format!("{name}: {why}")),
        }
    }
    Ok((kept, said))
}

/// `--loglevel` in the words of this program: those of the contract are `debug`, `info`, `warn`, `error`, and `trace`,
/// `warning`, `fatal` and `panic`, which its logging library knows too.
pub fn log_filter(level: &str) -> &str {
    match level {
        "" => "info",
        "warning" => "warn",
        "fatal" | "panic" => "error",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(args: &[&str]) -> Vec<String> {
        args.iter().map(|arg| (*arg).to_owned()).collect()
    }

    #[test]
    fn flags_that_mean_nothing_here_are_taken_out_with_a_sentence() {
        let args = strings(&[
            "serin",
            "controller",
            "--service-threads",
            "5",
            "--qps=10",
            "--istio-api-version=v1beta1",
            "--aws-verify-target-group=false",
            "--enable-pprof-address",
            "",
            "-v=4",
            "--namespaced",
        ]);
        let (kept, said) = take_out(args).unwrap();
        assert_eq!(
            kept,
            strings(&["serin", "controller", "--qps=10", "--namespaced"])
        );
        assert_eq!(
            said,
            [
                "--service-threads changes nothing: there is no such queue here; it can be left out",
                "--istio-api-version changes nothing: this router is not supported; it can be left out",
                "-v changes nothing: --loglevel is for everything, such as --loglevel=info,kube=debug; it can be left out",
            ]
        );
    }

    #[test]
    fn what_is_asked_for_and_not_there_is_refused() {
        for (arg, want) in [
            (
                "--self-service-notification-enabled",
                "--self-service-notification-enabled: this controller sends no notifications",
            ),
            (
                "--token=abc",
                "--token: write it into a kubeconfig and pass that with --kubeconfig",
            ),
            (
                "--enable-pprof-address=:6060",
                "--enable-pprof-address: this is no Go program; memory and time are in /metrics",
            ),
        ] {
            assert_eq!(take_out(strings(&[arg])), Err(want.to_owned()));
        }
    }

    #[test]
    fn levels_of_the_contract_are_known() {
        let words = ["info", "warning", "fatal", "debug", "", "serin=debug"].map(log_filter);
        assert_eq!(words, ["info", "warn", "error", "debug", "info", "serin=debug"]);
    }
}
