//! An SMTP server that keeps what it gets, and misbehaves on request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    Accept,
    /// Answers a command with this reply.
    Reply(&'static str, &'static str),
    /// Closes the connection instead of answering a command.
    CloseAt(&'static str),
    /// Never answers a command; `""`: not even the connection.
    SilentAt(&'static str),
}

/// A message.
#[derive(Clone, Debug)]
pub struct Received {
    pub to: String,
    /// The headers and the text.
    pub message: String,
}

impl Received {
    /// The text, without the encoding of long lines.
    pub fn text(&self) -> String {
        let (head, body) = self.message.split_once("\r\n\r\n").unwrap();
        match head.contains("quoted-printable") {
            true => body.replace("=\r\n", "").replace("=3D", "="),
            false => body.to_owned(),
        }
    }

    /// The link in the text.
    pub fn link(&self) -> String {
        let text = self.text();
        let link = text.split_whitespace().find(|word| word.contains("/password/"));
        link.unwrap_or_else(|| panic!("{text}")).to_owned()
    }
}

#[derive(Debug)]
struct State {
    behavior: Behavior,
    commands: Vec<String>,
    received: Vec<Received>,
}

/// A server, until the runtime ends.
#[derive(Clone, Debug)]
pub struct SmtpServer {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl SmtpServer {
    pub async fn start(behavior: Behavior) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State { behavior, commands: Vec::new(), received: Vec::new() };
        let server = Self { address: listener.local_addr().unwrap(), state: Arc::new(Mutex::new(state)) };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let server = accepting.clone();
                tokio::spawn(async move { server.serve(connection).await });
            }
        });
        server
    }

    pub fn set(&self, behavior: Behavior) {
        self.state.lock().unwrap().behavior = behavior;
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }

    /// The commands of all connections.
    pub fn commands(&self) -> Vec<String> {
        self.state.lock().unwrap().commands.clone()
    }

    async fn serve(&self, connection: TcpStream) -> Option<()> {
        let mut connection = BufReader::new(connection);
        let (mut to, mut line) = (String::new(), String::new());
        let mut command = String::new();
        loop {
            let behavior = self.state.lock().unwrap().behavior;
            let reply = match behavior {
                Behavior::SilentAt(at) if at == command => std::future::pending().await,
                Behavior::CloseAt(at) if at == command => return None,
                Behavior::Reply(at, reply) if at == command => reply,
                _ => match command.as_str() {
                    "" => "220 mail.example.org ESMTP",
                    "EHLO" => "250-mail.example.org\r\n250 8BITMIME",
                    "DATA" => "354 go ahead",
                    "QUIT" => "221 bye",
                    _ => "250 fine",
                },
            };
            connection.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
            if command == "DATA" && reply.starts_with("354") {
                let mut message = String::new();
                loop {
                    line.clear();
                    connection.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
                    if line == ".\r\n" {
                        break;
                    }
                    message.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                command = "MESSAGE".to_owned();
                if !matches!(behavior, Behavior::CloseAt(at) | Behavior::Reply(at, _) | Behavior::SilentAt(at) if at == command)
                {
                    self.state.lock().unwrap().received.push(Received { to: to.clone(), message });
                }
                continue;
            }
            line.clear();
            connection.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            command = line.split([' ', '\r']).next().unwrap_or_default().to_uppercase();
            self.state.lock().unwrap().commands.push(command.clone());
            if let Some(address) = line.strip_prefix("RCPT TO:<") {
                address.split('>').next().unwrap_or_default().clone_into(&mut to);
            }
        }
    }
}
