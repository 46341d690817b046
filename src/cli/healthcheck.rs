//! `muster healthcheck`: the liveness probe of a container image, which has no other HTTP client.
//!
//! # Decisions
//!
//! - **It probes `/livez`, not `/readyz`.** Container runtimes restart unhealthy containers, and a restart does not
//!   bring a database back. Load balancers and Kubernetes probe `/readyz` themselves.
//! - **An unreachable server is exit status 1**, unlike in other commands: for Docker, 1 means "unhealthy" and 2 is
//!   reserved.
//! - **With TLS, a server is alive if it answers a plain-text request with a TLS alert** (RFC 8446, section 6). The
//!   probe does not speak TLS because the server may require a client certificate, which a container does not have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::args::ServeArgs;
use super::{Exit, output};
use crate::config;

/// Response timeout; shorter than the usual timeout of a health check.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Content type of a TLS alert record, its first byte (RFC 8446, section 5.1).
const ALERT: u8 = 21;

/// Bytes of the response to read: enough for a status line or a TLS record header.
const RESPONSE_BYTES: u64 = 12;

pub(super) async fn run(args: &ServeArgs) -> Result<(), Exit> {
    let config = args.load()?;
    let listening = config::resolve(&config.server.listen).map_err(Exit::usage)?;
    if listening.port() == 0 {
        return Err(Exit::usage("can't check a server on a random port; set `server.listen` to a fixed port"));
    }
    let address = SocketAddr::new(reachable(listening.ip()), listening.port());
    let response = match tokio::time::timeout(TIMEOUT, probe(address)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(Exit::rejected(format!("no response from {address}: {error}"))),
        Err(_) => return Err(Exit::rejected(format!("no response from {address} within {} s", TIMEOUT.as_secs()))),
    };
    let is_alive = match config.server.certificate_files() {
        Some(_) => response.first() == Some(&ALERT),
        None => response.starts_with(b"HTTP/1.1 200"),
    };
    if is_alive {
        return output::print("alive");
    }
    Err(Exit::rejected(format!("unexpected response from {address}")))
}

/// The address at which a server is reached from its own machine: an unspecified address becomes loopback.
const fn reachable(listening: IpAddr) -> IpAddr {
    match listening {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    }
}

/// Sends the request and returns the first bytes of the response.
async fn probe(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.take(RESPONSE_BYTES).read_to_end(&mut response).await?;
    Ok(response)
}
