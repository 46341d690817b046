//! `muster healthcheck`: whether the server that has these settings lives. For containers, whose images have no
//! other program that could ask.
//!
//! # Decisions
//!
//! - **It asks `/livez`, not `/readyz`.** What watches containers ends those that are not healthy, and no restart
//!   brings a database back. Load balancers and Kubernetes ask `/readyz` themselves.
//! - **A server that can't be reached is exit status 1**, elsewhere 2: to what watches containers, 1 is "unhealthy",
//!   and 2 is reserved.
//! - **A server that is to speak TLS lives when it answers with an alert** (RFC 8446, section 6), and only then: the
//!   question is asked in plain text, since a server may want a client certificate, which a probe inside its container
//!   has not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Exit, ServeArgs, output};
use crate::config;

/// How long the server may take to answer: less than what a health check is given.
const PATIENCE: Duration = Duration::from_secs(3);

/// The first byte of a TLS record that is an alert (RFC 8446, section 5.1).
const ALERT: u8 = 21;

/// The longest beginning of an answer that is looked at: a status line, or a record.
const ENOUGH: u64 = 12;

pub(super) async fn run(args: &ServeArgs) -> Result<(), Exit> {
    let config = args.load()?;
    let listening = config::resolve(&config.server.listen).map_err(Exit::usage)?;
    if listening.port() == 0 {
        return Err(Exit::Usage("which port the server took is not known: set server.listen to one".to_owned()));
    }
    let address = SocketAddr::new(reachable(listening.ip()), listening.port());
    let answer = match tokio::time::timeout(PATIENCE, ask(address)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(refused(format!("no answer from {address}: {error}"))),
        Err(_) => return Err(refused(format!("no answer from {address} within {} s", PATIENCE.as_secs()))),
    };
    let lives = match config.server.certificate_files() {
        Some(_) => answer.first() == Some(&ALERT),
        None => answer.starts_with(b"HTTP/1.1 200"),
    };
    if lives {
        return output::print("it lives");
    }
    Err(refused(format!("what answers at {address} is not a server that lives")))
}

const fn refused(sentence: String) -> Exit {
    Exit::Refused(Some(sentence))
}

/// Where a server is reached from its own machine that listens on this address.
const fn reachable(listening: IpAddr) -> IpAddr {
    match listening {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    }
}

/// The beginning of the answer.
async fn ask(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ENOUGH).read_to_end(&mut answer).await?;
    Ok(answer)
}
