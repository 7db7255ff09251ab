//! A small HTTP server on loopback that answers as a test says, wrongly if need be.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query as sent.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A parameter of a form body or of the query, decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let query = self
            .target
            .split_once('?')
            .map_or(self.body.as_str(), |(_, query)| query);
        let url = reqwest::Url::parse(&format!("http://x/?{query}")).unwrap();
        url.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// What the server does with a request.
pub(crate) enum Answer {
    /// A proper answer: status, further header lines, body.
    Reply(u16, Vec<(&'static str, String)>, String),
    /// These bytes, then the connection is closed.
    Bytes(Vec<u8>),
    /// These bytes, then silence.
    Hang(Vec<u8>),
}

impl Answer {
    /// 200 with a JSON body.
    pub(crate) fn json(body: impl Into<String>) -> Self {
        Self::Reply(
            200,
            vec![("Content-Type", "application/json".to_owned())],
            body.into(),
        )
    }

    /// A status with a text body.
    pub(crate) fn status(status: u16, body: impl Into<String>) -> Self {
        Self::Reply(status, Vec::new(), body.into())
    }
}

/// The server; it ends with the value.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Request>>>,
    _task: Ends,
}

/// Ends a task with the value.
struct Ends(JoinHandle<()>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                connections.spawn(async move { serve(stream, &log, &*answer).await });
            }
        });
        Self {
            url,
            seen,
            _task: Ends(task),
        }
    }

    /// The same behind TLS, with a certificate for `localhost` by [`authority`].
    pub(crate) async fn start_tls(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let server = Self::start(answer).await;
        let behind = server.url.strip_prefix("http://").unwrap().to_owned();
        Self {
            url: format!("https://localhost:{}", tls_in_front_of(behind)),
            ..server
        }
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Request>>,
    answer: &(impl Fn(&Request) -> Answer + ?Sized),
) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    log.lock().unwrap().push(request.clone());
    match answer(&request) {
        Answer::Reply(status, headers, body) => {
            let lines = headers.iter().fold(String::new(), |lines, (name, value)| {
                format!("{lines}{name}: {value}\r\n")
            });
            let head = format!(
                "HTTP/1.1 {status} X\r\n{lines}Content-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(body.as_bytes()).await;
        }
        Answer::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Answer::Hang(bytes) => {
            let _ = stream.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
    }
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let mut request = Request {
        method: first.next()?.to_owned(),
        target: first.next()?.to_owned(),
        ..Request::default()
    };
    for line in lines {
        let (name, value) = line.split_once(':')?;
        request
            .headers
            .push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length: usize = request
        .header("content-length")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        body.extend_from_slice(&chunk[..count]);
    }
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}

/// An address on loopback where nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A file of the test's own authority.
fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/golden/tls/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The certificate of the test's own authority, in PEM.
pub(crate) fn authority() -> Vec<u8> {
    golden("ca.crt")
}

/// Ends TLS and hands the request on, one at a time; gives its port. It lives as long as the test's process.
fn tls_in_front_of(behind: String) -> u16 {
    use rustls::pki_types::pem::PemObject;
    use std::io::{Read, Write};

    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(&golden("server.crt")).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(&golden("server.key")).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = rustls::StreamOwned::new(connection, stream.unwrap());
            let (mut asked, mut chunk) = (Vec::new(), [0; 4096]);
            while !is_whole(&asked) {
                // One whose TLS fails never comes.
                let Ok(count @ 1..) = tls.read(&mut chunk) else {
                    break;
                };
                asked.extend_from_slice(&chunk[..count]);
            }
            if !is_whole(&asked) {
                continue;
            }
            let mut onward = std::net::TcpStream::connect(&behind).unwrap();
            onward.write_all(&asked).unwrap();
            let mut answer = Vec::new();
            let _ = onward.read_to_end(&mut answer);
            let _ = tls.write_all(&answer);
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    });
    port
}

/// Whether these bytes are a request with all of its body.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().unwrap());
    body.len() >= length
}
