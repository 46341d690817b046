//! Assessments of states that no integration test can cause.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta};

use super::read::{Connections, Limits, Link, Server, Times};
use super::{Cost, State, database, hashing, machine, space};
use crate::config::Config;

use State::{Ok, Problem, Warning};

#[test]
fn a_version_is_a_warning_after_its_end_of_life() {
    let today = NaiveDate::from_ymd_opt(2027, 11, 12).unwrap();
    let of = |number| database::version(number, today);
    assert_eq!((of(140_019).state, of(140_019).found.as_str()), (Problem, "PostgreSQL 14.19"));
    assert_eq!(of(150_018).found, "PostgreSQL 15.18, end of life since 2027-11-11");
    assert_eq!([of(150_018), of(160_010), of(180_000), of(190_000)].map(|one| one.state), [Warning, Ok, Ok, Ok]);
}

#[test]
fn clock_skew_of_up_to_a_second_is_tolerated() {
    let theirs = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let of = |milliseconds| {
        let ours = theirs + TimeDelta::milliseconds(milliseconds);
        database::clock(&Times { theirs, ours, round_trip: Duration::ZERO })
    };
    assert_eq!(
        [0, 999, -999, 1001, -9999, 10_001, -86_400_000].map(|apart| of(apart).state),
        [Ok, Ok, Ok, Warning, Warning, Problem, Problem]
    );
    assert_eq!(of(-2500).found, "differs from this machine's clock by 2.5 s");
}

#[test]
fn a_distant_database_or_an_unencrypted_connection_is_a_warning() {
    let of_latency = |milliseconds| database::latency("muster", Duration::from_millis(milliseconds)).state;
    assert_eq!([of_latency(1), of_latency(10), of_latency(11)], [Ok, Ok, Warning]);
    let of = |address: Option<&str>, is_encrypted| {
        database::link(&Link { address: address.map(str::to_owned), is_encrypted }).state
    };
    assert_eq!([of(None, false), of(Some("127.0.0.1"), false), of(Some("::1"), false)], [Ok, Ok, Ok]);
    assert_eq!([of(Some("10.0.0.7"), true), of(Some("10.0.0.7"), false)], [Ok, Warning]);
}

fn server() -> Server {
    Server {
        version: 170_000,
        encoding: "UTF8".to_owned(),
        is_standby: false,
        is_read_only: false,
        fsync: "on".to_owned(),
        full_page_writes: "on".to_owned(),
        synchronous_commit: "on".to_owned(),
        synchronous_standby_names: String::new(),
        standbys: 0,
        bytes: 0,
    }
}

#[test]
fn commits_that_block_forever_or_can_be_lost_are_found() {
    let waits = || Server { synchronous_standby_names: "ANY 1 (b, c)".to_owned(), ..server() };
    assert_eq!(database::replication(&server()).found, "primary; 0 standbys, asynchronous");
    assert_eq!(database::replication(&waits()).state, Problem);
    let replicated = database::replication(&Server { standbys: 2, ..waits() });
    assert_eq!(
        (replicated.state, replicated.found.as_str()),
        (Ok, "primary; 2 standbys; commits wait for ANY 1 (b, c)")
    );
    let local = "local".to_owned();
    assert_eq!(database::durability(&Server { synchronous_commit: local.clone(), ..server() }).state, Ok);
    assert_eq!(database::durability(&Server { synchronous_commit: local, ..waits() }).state, Warning);
    assert_eq!(database::durability(&Server { full_page_writes: "off".to_owned(), ..server() }).state, Problem);
}

#[test]
fn connections_are_counted_for_each_instance() {
    let config = Config::built_in().unwrap().database;
    let of = |possible, of_others| database::budget(&Connections { possible, of_others }, &config).state;
    // 32 each: 10, 16, 4 and 2.
    assert_eq!(
        [of(97, 0), of(64, 0), of(64, 1), of(32, 0), of(31, 0), of(5, 9)],
        [Ok, Ok, Warning, Warning, Problem, Problem]
    );
}

#[test]
fn a_timeout_that_cancels_a_batch_is_worse_than_one_that_cancels_a_migration() {
    let of = |limits| database::limits(limits).state;
    assert_eq!(of(Limits::default()), Ok);
    assert_eq!(of(Limits { transaction: 59_999, statement: 1, idle_session: 1 }), Problem);
    assert_eq!(of(Limits { transaction: 60_000, statement: 599_999, ..Limits::default() }), Warning);
    assert_eq!(of(Limits { statement: 600_000, idle_session: 600_000, ..Limits::default() }), Ok);
    assert_eq!(of(Limits { idle_session: 599_999, ..Limits::default() }), Warning);
}

#[test]
fn low_disk_space_is_found() {
    const GIB: u64 = 1024 * 1024 * 1024;
    let of = |free, all| space::assess(Path::new("/data"), free, all).state;
    assert_eq!([of(50 * GIB, 100 * GIB), of(9 * GIB, 100 * GIB), of(GIB, 4 * GIB)], [Ok, Warning, Warning]);
    assert_eq!(of(GIB / 5, GIB), Problem);
    assert_eq!(space::assess(Path::new("/data"), GIB / 8, GIB).found, "128 MiB of 1024 MiB free in /data");
}

#[test]
fn the_least_memory_limit_counts() {
    const MIB: u64 = 1024 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let (proc, groups) = (dir.path().join("proc"), dir.path().join("cgroup"));
    let write = |path: &Path, text: &str| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    assert_eq!(machine::limit(&proc, &groups), None);
    write(&proc.join("meminfo"), "MemFree: 1 kB\nMemTotal:        1048576 kB\n");
    let of_machine = Some((1024 * MIB, "of this machine"));
    assert_eq!(machine::limit(&proc, &groups), of_machine);
    // Version 2; the parent group has the limit.
    write(&proc.join("self/cgroup"), "0::/pods/muster\n");
    write(&groups.join("pods/muster/memory.max"), "max\n");
    assert_eq!(machine::limit(&proc, &groups), of_machine);
    write(&groups.join("pods/memory.max"), "536870912\n");
    let of_group = |mib| Some((mib * MIB, "that the control group (container) allows"));
    assert_eq!(machine::limit(&proc, &groups), of_group(512));
    // In a container, the path does not exist, but the root does.
    write(&proc.join("self/cgroup"), "0::/../../outside\n");
    write(&groups.join("memory.max"), "268435456\n");
    assert_eq!(machine::limit(&proc, &groups), of_group(256));
    // Version 1, among others.
    write(&proc.join("self/cgroup"), "12:cpu,cpuacct:/a\n7:memory:/docker/a\n");
    write(&groups.join("memory/docker/a/memory.limit_in_bytes"), "134217728\n");
    assert_eq!(machine::limit(&proc, &groups), of_group(128));

    let of = |hashing, limit: u64| machine::assess(hashing * MIB, Some((limit * MIB, "of this machine"))).state;
    assert_eq!([of(38, 237), of(38, 238), of(38, 493), of(38, 494)], [Problem, Warning, Warning, Ok]);
    assert_eq!(machine::assess(38 * MIB, None).state, Ok);
}

#[test]
fn a_hash_that_takes_over_a_second_is_a_warning() {
    let mut config = Config::built_in().unwrap();
    config.passwords.threads = 4;
    let cost =
        |milliseconds, per_second| Cost { memory_kib: 19456, iterations: 2, parallelism: 1, milliseconds, per_second };
    let found = hashing::assess(&config, Some(&cost(20.0, 200.0)), Some(1.0));
    assert_eq!(found.state, Ok);
    assert_eq!(
        found.found,
        "argon2id with m=19456 KiB, t=2, p=1: 20 ms per hash, 200 per second on 4 threads; 10000 passwords take 50 s"
    );
    let busy = hashing::assess(&config, Some(&cost(20.0, 200.0)), Some(2.35));
    let remark = "; measured under load (2.4 per core), so the machine is faster when idle";
    assert_eq!((busy.state, busy.found), (Ok, format!("{}{remark}", found.found)));
    assert_eq!(hashing::assess(&config, Some(&cost(1000.1, 4.0)), None).state, Warning);
    assert_eq!(hashing::assess(&config, None, None).found, "not measured");
}

#[test]
fn the_load_is_per_core() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(machine::load(dir.path()), None);
    fs::write(dir.path().join("loadavg"), "6.00 1.25 0.50 3/345 12345\n").unwrap();
    let cores = f64::from(u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap());
    assert_eq!(machine::load(dir.path()), Some(6.0 / cores));
}
