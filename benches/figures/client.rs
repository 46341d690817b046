//! A minimal blocking HTTP/1.1 client with one keep-alive connection, so that the client's own cost does not distort the
//! results.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Client threads; pgbench gets the same number.
const THREADS: usize = 2;

/// Keeps all connections busy, each with one request at a time, and returns responses per second. `send` sends the `n`th
/// request of a connection.
pub fn saturate(clients: Vec<Client>, seconds: u64, send: impl Fn(&mut Client, usize, usize) + Sync) -> f64 {
    let (start, share) = (Instant::now(), clients.len().div_ceil(THREADS));
    let mut clients: Vec<_> = clients.into_iter().enumerate().collect();
    let done: usize = std::thread::scope(|scope| {
        let running: Vec<_> =
            clients.chunks_mut(share).map(|some| scope.spawn(|| keep_busy(some, start, seconds, &send))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    done as f64 / start.elapsed().as_secs_f64()
}

fn keep_busy(
    clients: &mut [(usize, Client)],
    start: Instant,
    seconds: u64,
    send: impl Fn(&mut Client, usize, usize),
) -> usize {
    let mut answered = vec![0; clients.len()];
    for (connection, client) in clients.iter_mut() {
        send(client, *connection, 0);
    }
    while start.elapsed().as_secs() < seconds {
        let mut waiting: Vec<_> =
            clients.iter().map(|(_, client)| PollFd::new(client.stream.as_fd(), PollFlags::POLLIN)).collect();
        poll(&mut waiting, PollTimeout::NONE).unwrap();
        let ready: Vec<usize> = (0..waiting.len()).filter(|place| waiting[*place].any().unwrap()).collect();
        for place in ready {
            let (connection, client) = &mut clients[place];
            client.receive(200);
            answered[place] += 1;
            send(client, *connection, answered[place]);
        }
    }
    // Drain the requests in flight; their responses are late and don't count.
    clients.iter_mut().for_each(|(_, client)| {
        client.receive(200);
    });
    answered.into_iter().sum()
}

pub struct Client {
    stream: TcpStream,
    token: String,
    received: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr, token: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, token: token.to_owned(), received: vec![0; 64 * 1024] }
    }

    /// Sends a GET and reads the response.
    pub fn get(&mut self, path: &str) {
        self.send_get(path);
        self.receive(200);
    }

    /// Sends a GET.
    pub fn send_get(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n", self.token);
        self.send(&[request.as_bytes()]);
    }

    /// Sends a GET with the cookie of a session instead of the key, and reads the response.
    pub fn get_with_session(&mut self, path: &str, token: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\ncookie: __Host-Http-muster={token}\r\n\r\n");
        self.send(&[request.as_bytes()]);
        self.receive(200);
    }

    /// Sends JSON and reads the response.
    pub fn post(&mut self, path: &str, body: &str) {
        self.send_post(path, body);
        self.receive(200);
    }

    /// Sends JSON.
    pub fn send_post(&mut self, path: &str, body: &str) {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        self.send(&[request.as_bytes()]);
    }

    /// Sends a list of users and reads the whole response.
    pub fn create(&mut self, body: &str, headers: &str) -> usize {
        self.send_create(body, headers);
        self.receive(200)
    }

    /// Sends a list of users.
    pub fn send_create(&mut self, body: &str, headers: &str) {
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{headers}\r\n",
            crate::support::BATCH,
            self.token,
            body.len()
        );
        // A short body in one packet, a long one without a copy.
        if body.len() < 4096 {
            self.send(&[format!("{head}{body}").as_bytes()]);
        } else {
            self.send(&[head.as_bytes(), body.as_bytes()]);
        }
    }

    fn send(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.stream.write_all(part).unwrap();
        }
    }

    /// Reads a whole response, and panics unless it has this status.
    pub fn receive(&mut self, status: u16) -> usize {
        let (answered, length, start) = self.read();
        assert_eq!(answered, status, "{start}");
        length
    }

    /// Reads a whole response and returns its status.
    pub fn status(&mut self) -> u16 {
        self.read().0
    }

    /// Reads a whole response: its status, the length of its body, and the start of the body.
    fn read(&mut self) -> (u16, usize, String) {
        let mut filled = 0;
        let head = loop {
            if let Some(end) = self.received[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            let read = self.stream.read(&mut self.received[filled..]).unwrap();
            assert!(read > 0, "the server closed the connection");
            filled += read;
        };
        let text = std::str::from_utf8(&self.received[..head]).unwrap();
        let length: usize = text
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(name, value)| name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?)
            .unwrap_or_else(|| panic!("no content-length: {text}"));
        let answered: u16 = text.split(' ').nth(1).unwrap().parse().unwrap();
        let body = match answered {
            200 => String::new(),
            _ => String::from_utf8_lossy(&self.received[head..filled]).into_owned(),
        };
        let mut left = length - (filled - head);
        while left > 0 {
            let space = left.min(self.received.len());
            let read = self.stream.read(&mut self.received[..space]).unwrap();
            assert!(read > 0, "the server closed the connection");
            left -= read;
        }
        (answered, length, body)
    }
}
