//! The least client that speaks HTTP/1.1: one connection that is kept, blocking. What measures must
//! not be what is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

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

    /// Sends a GET and reads the answer.
    pub fn get(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: muster\r\nauthorization: Bearer {}\r\n\r\n", self.token);
        self.exchange(&[request.as_bytes()], 200);
    }

    /// Sends JSON and reads the answer.
    pub fn post(&mut self, path: &str, body: &str) {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: muster\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        self.exchange(&[request.as_bytes()], 200);
    }

    /// Sends a list of users and reads the whole answer.
    pub fn create(&mut self, body: &str, headers: &str) -> usize {
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: muster\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{headers}\r\n",
            crate::support::BATCH,
            self.token,
            body.len()
        );
        // A short one in one packet, a long one without a copy.
        if body.len() < 4096 {
            self.exchange(&[format!("{head}{body}").as_bytes()], 200)
        } else {
            self.exchange(&[head.as_bytes(), body.as_bytes()], 200)
        }
    }

    fn exchange(&mut self, parts: &[&[u8]], status: u16) -> usize {
        for part in parts {
            self.stream.write_all(part).unwrap();
        }
        let mut filled = 0;
        let head = loop {
            if let Some(end) = self.received[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            let read = self.stream.read(&mut self.received[filled..]).unwrap();
            assert!(read > 0, "the server hung up");
            filled += read;
        };
        let text = std::str::from_utf8(&self.received[..head]).unwrap();
        let length: usize = text
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or_else(|| panic!("no length: {text}"));
        let answered: u16 = text.split(' ').nth(1).unwrap().parse().unwrap();
        if answered != status {
            let body = String::from_utf8_lossy(&self.received[head..filled]).into_owned();
            panic!("{answered}: {body}");
        }
        let mut left = length - (filled - head);
        while left > 0 {
            let space = left.min(self.received.len());
            let read = self.stream.read(&mut self.received[..space]).unwrap();
            assert!(read > 0, "the server hung up");
            left -= read;
        }
        length
    }
}
