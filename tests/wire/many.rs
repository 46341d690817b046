//! Many connections at once.

use std::io::Write;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::support::Actor;
use crate::support::server::ServerProcess;
use crate::{LIVEZ, connect, serve, to_the_end};

/// The resident memory of the server, in KiB.
pub fn resident(server: &ServerProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_connections_do_not_delay_other_clients() {
    // Fewer if the file descriptor limit of this machine is lower.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let many = usize::try_from(hard.min(11_000) - 1_000).unwrap();
    assert!(many > 0);
    let server = serve(&[("SERVER__MAX_CONNECTIONS", "12000"), ("TEST_LIMITS", "header_timeout=120")]).await;
    let before = resident(&server);
    let mut held: Vec<_> = (0..many)
        .map(|n| {
            let mut stream = connect(&server);
            // Half of them send nothing, half an incomplete head.
            let begun: &[u8] = if n % 2 == 0 { b"GET /livez HTTP/1.1\r\nHost: x\r\n" } else { b"" };
            stream.write_all(begun).unwrap();
            stream
        })
        .collect();
    for path in ["/livez", "/readyz"] {
        let start = Instant::now();
        assert_eq!(Actor::new(server.address, None).get(path).await.status, 200);
        assert!(start.elapsed() < Duration::from_secs(5), "{path}: {:?}", start.elapsed());
    }
    let each = (resident(&server) - before) / u64::try_from(many).unwrap();
    assert!(each <= 40, "{each} KiB for each of {many}");
    // A held connection is served once its request is complete.
    held[0].write_all(b"Connection: close\r\n\r\n").unwrap();
    assert!(to_the_end(&mut held[0]).0.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_wait() {
    let server =
        serve(&[("SERVER__WORKERS", "1"), ("SERVER__MAX_CONNECTIONS", "20"), ("TEST_LIMITS", "header_timeout=2")])
            .await;
    let mut silent: Vec<_> = (0..20).map(|_| connect(&server)).collect();
    // Until the server has accepted them.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let start = Instant::now();
    let mut one_more = connect(&server);
    one_more.write_all(&[&LIVEZ[..LIVEZ.len() - 2], b"Connection: close\r\n\r\n"].concat()).unwrap();
    let (said, _) = to_the_end(&mut one_more);
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    let took = start.elapsed();
    assert!(took > Duration::from_millis(800) && took < Duration::from_secs(6), "{took:?}");
    let (said, _) = to_the_end(&mut silent[0]);
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
}
