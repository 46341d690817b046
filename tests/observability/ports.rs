//! The address of the metrics server.

use std::fs::File;
use std::net::TcpListener;

use crate::support::migrated_database;
use crate::support::server::{ServerProcess, muster, url};

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_metrics_address_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let database = migrated_database().await;
    let mut command = muster();
    command.args(["serve", "--listen", "127.0.0.1:0"]).env("MUSTER_DATABASE__URL", url(&database));
    let output = command.env("MUSTER_METRICS__LISTEN", &address).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let sentence = "address in use; set `metrics.listen` to another address, or use port 0 for a free port";
    assert_eq!(said, format!("error: can't listen on {address}: {sentence}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_metrics_address_in_use_leaves_a_second_server_without_metrics() {
    // If this fails, another program uses the address, which is just as good.
    let _taken = TcpListener::bind("127.0.0.1:9464");
    let database = migrated_database().await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(&database)).env_remove("MUSTER_METRICS__LISTEN");
    let server = ServerProcess::start(command.stderr(File::create(log.path()).unwrap()));
    assert_eq!(server.actor("").get("/readyz").await.status, 200);
    assert!(!server.announced.iter().any(|line| line.starts_with("metrics:")), "{:?}", server.announced);
    let said = std::fs::read_to_string(log.path()).unwrap();
    let sentence = "metrics disabled: can't listen on 127.0.0.1:9464; set `metrics.listen` to another address";
    assert!(said.contains("WARN") && said.contains(sentence), "{said}");
}

#[test]
fn an_invalid_metrics_address_is_an_error() {
    let output = muster().args(["config", "check"]).env("MUSTER_METRICS__LISTEN", "everywhere").output().unwrap();
    let sentence = "error: `metrics.listen` must be HOST:PORT such as 0.0.0.0:9464, `auto` or empty\n";
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(2), sentence));
}
