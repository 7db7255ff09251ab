//! `serin analyze` as a program: its exit codes, and what it takes from flags and environment.

#![allow(missing_docs, reason = "the names of the tests say it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must say so and end")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;

/// Everything that a server was asked.
type Seen = Arc<Mutex<String>>;

/// A Prometheus whose every query is this number.
fn answer(number: &str) -> String {
    let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{number}]}}}}"#);
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn one(number: &str) -> String {
    format!(r#"{{"metric":{{}},"value":[1700000000,"{number}"]}}"#)
}

fn talk(stream: &mut (impl Read + Write), seen: &Seen, answer: &str) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    // The body of a query is a form, and its last parameter is the timeout.
    while !String::from_utf8_lossy(&bytes).contains("timeout=") {
        let Ok(count @ 1..) = stream.read(&mut chunk) else {
            return;
        };
        bytes.extend_from_slice(&chunk[..count]);
    }
    seen.lock().push_str(&String::from_utf8_lossy(&bytes));
    let _ = stream.write_all(answer.as_bytes());
    let _ = stream.flush();
}

fn listen(with: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(with));
    port
}

/// By http.
fn plain(result: &str) -> (String, Seen) {
    let (seen, answer) = (Seen::default(), answer(result));
    let log = Arc::clone(&seen);
    let port = listen(move |mut stream| talk(&mut stream, &log, &answer));
    (format!("http://127.0.0.1:{port}"), seen)
}

/// By https, with a certificate of the tests' own authority.
fn secure(result: &str) -> String {
    use rustls::pki_types::pem::PemObject;
    let file = |name: &str| std::fs::read(golden(name)).unwrap();
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(&file("server.crt")).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(&file("server.key")).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (config, answer) = (Arc::new(config), answer(result));
    let port = listen(move |stream| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut tls = rustls::StreamOwned::new(connection, stream);
        talk(&mut tls, &Seen::default(), &answer);
        tls.conn.send_close_notify();
        let _ = tls.flush();
    });
    format!("https://localhost:{port}")
}

fn golden(name: &str) -> String {
    format!("{}/tests/golden/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

const TEMPLATE: &str = "
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: rate}
spec:
  args: [{name: limit}]
  metrics:
  - name: rate
    successCondition: len(result) > 0 && result[0] <= {{args.limit}}
    failureCondition: len(result) > 0 && result[0] > {{args.limit}}
    provider: {prometheus: {query: up AUTH}}
";

/// Runs the program on the template, by its standard input, with nothing of this process' environment.
fn analyze(template: &str, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_serin"))
        .args(["analyze", "-f", "-", "--arg", "limit=0.01"])
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(template.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

fn template(authentication: &str) -> String {
    TEMPLATE.replace("up AUTH", &format!("up{authentication}"))
}

#[test]
fn it_exits_0_1_or_2_for_success_failure_and_everything_else() {
    let gone = "http://127.0.0.1:1".to_owned();
    for (address, code, words) in [
        (plain(&one("0.001")).0, 0, "rate: Successful (1 successful)"),
        (plain(&one("0.5")).0, 1, "rate: Failed (1 failed)"),
        (plain("").0, 2, "rate: Inconclusive (1 inconclusive)"),
        (gone, 2, "connection refused"),
    ] {
        let output = analyze(&template(""), &["--prometheus-address", &address], &[]);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(words), "{text}");
    }
    let broken = template("").replace("result[0] >", "resalt >");
    let output = analyze(&broken, &["--prometheus-address", "http://x"], &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("metrics[0] (\"rate\"): failureCondition"), "{text}");
}

#[test]
fn the_default_address_comes_by_flag_or_environment_and_the_flag_wins() {
    let ((good, asked), (bad, not_asked)) = (plain(&one("0")), plain(&one("1")));
    let variable = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS";
    let by_environment = analyze(&template(""), &[], &[(variable, &bad)]);
    assert_eq!(by_environment.status.code(), Some(1), "{}", said(&by_environment));
    not_asked.lock().clear();
    let by_flag = analyze(
        &template(""),
        &["--prometheus-address", &good],
        &[(variable, &bad)],
    );
    assert_eq!(by_flag.status.code(), Some(0), "{}", said(&by_flag));
    assert_eq!(
        (asked.lock().is_empty(), not_asked.lock().is_empty()),
        (false, true)
    );
}

#[test]
fn it_signs_with_the_credentials_of_its_environment() {
    let (address, seen) = plain(&one("0"));
    let signed = template(", authentication: {sigv4: {region: eu-west-1}}");
    let args = ["--prometheus-address", &address];
    let without = analyze(&signed, &args, &[("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")]);
    assert_eq!(without.status.code(), Some(2));
    let text = said(&without);
    assert!(
        text.contains(
            "provider.prometheus.authentication.sigv4: needs AWS credentials in the controller's environment"
        ),
        "{text}"
    );
    assert!(seen.lock().is_empty());
    let env = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hush-hush"),
    ];
    let with = analyze(&signed, &args, &env);
    assert_eq!(with.status.code(), Some(0), "{}", said(&with));
    let asked = seen.lock().clone();
    assert!(
        asked.contains("authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
            && !asked.contains("hush-hush"),
        "{asked}"
    );
    let role = signed.replace("region:", "roleArn: r, region:");
    let text = said(&analyze(&role, &args, &env));
    assert!(
        text.contains(
            "metrics[0] (\"rate\"): provider.prometheus.authentication.sigv4.roleArn: \"r\" is not the ARN of a role"
        ),
        "{text}"
    );
}

#[test]
fn it_measures_as_the_role_of_the_metric() {
    let (address, seen) = plain(&one("0"));
    let sts = listen(|mut stream| {
        let mut chunk = [0; 4096];
        let mut asked = String::new();
        while !asked.contains("RoleSessionName=serin") {
            let count = stream.read(&mut chunk).unwrap();
            assert!(count > 0, "{asked}");
            asked.push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
        let signed =
            asked.contains("/eu-west-1/sts/aws4_request") && asked.contains("Credential=AKIDEXAMPLE/");
        let body = if signed {
            "<R><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>hush</SecretAccessKey>\
             <SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></R>"
        } else {
            "<R/>"
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length:";
        stream
            .write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes())
            .unwrap();
    });
    let role = "arn:aws:iam::123456789012:role/prometheus-reader";
    let signed = template(&format!(
        ", authentication: {{sigv4: {{region: eu-west-1, roleArn: '{role}'}}}}"
    ));
    let endpoint = format!("http://127.0.0.1:{sts}");
    let env = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hush-hush"),
        ("AWS_ENDPOINT_URL_STS", endpoint.as_str()),
    ];
    let output = analyze(&signed, &["--prometheus-address", &address], &env);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let asked = seen.lock().clone();
    assert!(
        asked.contains("Credential=ASIAROLE/") && asked.contains("x-amz-security-token: t"),
        "{asked}"
    );
}

#[test]
fn a_server_is_trusted_by_the_authority_that_is_given() {
    let address = secure(&one("0"));
    let args = ["--prometheus-address", &address];
    // An empty folder, so that the system's authorities do not matter.
    let stranger = analyze(&template(""), &args, &[("SSL_CERT_DIR", "/nowhere")]);
    assert_eq!(stranger.status.code(), Some(2));
    assert!(said(&stranger).contains("TLS"), "{}", said(&stranger));
    let ca = golden("ca.crt");
    for output in [
        analyze(&template(""), &[args[0], args[1], "--metric-ca-file", &ca], &[]),
        analyze(&template(""), &args, &[("SERIN_METRIC_CA_FILE", &ca)]),
        analyze(&template(", insecure: true"), &args, &[]),
    ] {
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    let absent = analyze(
        &template(""),
        &[args[0], args[1], "--metric-ca-file", "/nowhere/ca"],
        &[],
    );
    assert_eq!(absent.status.code(), Some(2));
    assert!(
        said(&absent).contains("cannot read --metric-ca-file /nowhere/ca"),
        "{}",
        said(&absent)
    );
}
