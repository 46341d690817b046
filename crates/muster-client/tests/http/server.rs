//! A minimal HTTP server: sends prepared responses, one per connection, and records the requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_client::Client;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// The API key of [`Server::client`].
pub const TOKEN: &str = "amk_test_key";

/// A prepared response.
pub struct Answer {
    status: &'static str,
    headers: Vec<String>,
    body: String,
    delay: Duration,
    /// Number of bytes to send before closing the connection; all by default.
    cut: Option<usize>,
}

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET /path HTTP/1.1`
    pub line: String,
    /// `name: value`, with lower-case names.
    pub headers: Vec<String>,
    pub body: String,
}

pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Answer {
    pub fn new(status: &'static str, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), delay: Duration::ZERO, cut: None }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(format!("{name}: {value}"));
        self
    }

    /// Closes the connection after reading the request.
    pub fn none() -> Self {
        Self { cut: Some(0), ..Self::new("200 OK", "") }
    }

    /// Sends only some bytes.
    pub fn cut(self, bytes: usize) -> Self {
        Self { cut: Some(bytes), ..self }
    }

    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    fn text(&self) -> String {
        let headers: String = self.headers.iter().map(|header| format!("{header}\r\n")).collect();
        let (status, length, body) = (self.status, self.body.len(), &self.body);
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
    }
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|header| header.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Server {
    /// Sends these responses, then refuses connections.
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let answers: Vec<Answer> = answers.into_iter().collect();
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            for answer in answers {
                let (stream, _) = listener.accept().await.unwrap();
                let request = exchange(stream, &answer).await;
                seen.lock().unwrap().push(request);
            }
        });
        Self { url, requests }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url, TOKEN).unwrap()
    }

    /// A client with a retry limit.
    pub fn client_with(&self, patience: Duration) -> Client {
        Client::builder(&self.url).token(TOKEN).retry_for(patience).follow_for(patience).build().unwrap()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The request lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.line).collect()
    }
}

/// Reads a request and responds.
pub async fn exchange(stream: impl AsyncReadExt + AsyncWriteExt + Unpin, answer: &Answer) -> Request {
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    tokio::time::sleep(answer.delay).await;
    // The client may have timed out.
    let text = answer.text();
    let _ = stream.write_all(&text.as_bytes()[..answer.cut.unwrap_or(text.len())]).await;
    let _ = stream.shutdown().await;
    let line = head.remove(0);
    Request { line, headers: head, body: String::from_utf8(body).unwrap() }
}
