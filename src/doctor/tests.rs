//! Judgements of what no test can bring about.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta};

use super::read::{Connections, Limits, Link, Server, Times};
use super::{Cost, State, database, hashing, machine, space};
use crate::config::Config;

use State::{Ok, Problem, Warning};

#[test]
fn versions_are_fine_until_nobody_mends_them() {
    let today = NaiveDate::from_ymd_opt(2027, 11, 12).unwrap();
    let of = |number| database::version(number, today);
    assert_eq!((of(140_019).state, of(140_019).found.as_str()), (Problem, "PostgreSQL 14.19"));
    assert_eq!(of(150_018).found, "PostgreSQL 15.18, whose last release came on 2027-11-11");
    assert_eq!([of(150_018), of(160_010), of(180_000), of(190_000)].map(|one| one.state), [Warning, Ok, Ok, Ok]);
}

#[test]
fn clocks_may_be_a_second_apart() {
    let theirs = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let of = |milliseconds| {
        let ours = theirs + TimeDelta::milliseconds(milliseconds);
        database::clock(&Times { theirs, ours, took: Duration::ZERO })
    };
    assert_eq!(
        [0, 999, -999, 1001, -9999, 10_001, -86_400_000].map(|apart| of(apart).state),
        [Ok, Ok, Ok, Warning, Warning, Problem, Problem]
    );
    assert_eq!(of(-2500).found, "2.5 s apart from this machine's");
}

#[test]
fn what_is_answered_far_away_or_read_on_the_way_is_a_warning() {
    let took = |milliseconds| database::answers("muster", Duration::from_millis(milliseconds)).state;
    assert_eq!([took(1), took(10), took(11)], [Ok, Ok, Warning]);
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
fn commits_that_wait_for_nobody_or_for_ever_are_found() {
    let waits = || Server { synchronous_standby_names: "ANY 1 (b, c)".to_owned(), ..server() };
    assert_eq!(database::replication(&server()).found, "primary; 0 standbys, none waited for");
    assert_eq!(database::replication(&waits()).state, Problem);
    let followed = database::replication(&Server { standbys: 2, ..waits() });
    assert_eq!((followed.state, followed.found.as_str()), (Ok, "primary; 2 standbys; commits wait for ANY 1 (b, c)"));
    let local = "local".to_owned();
    assert_eq!(database::durability(&Server { synchronous_commit: local.clone(), ..server() }).state, Ok);
    assert_eq!(database::durability(&Server { synchronous_commit: local, ..waits() }).state, Warning);
    assert_eq!(database::durability(&Server { full_page_writes: "off".to_owned(), ..server() }).state, Problem);
}

#[test]
fn connections_are_counted_for_each_instance() {
    let config = Config::built_in().unwrap().database;
    let of = |possible, of_others| database::budget(&Connections { possible, of_others }, &config).state;
    // 28 each: 10, 16 and 2.
    assert_eq!(
        [of(97, 0), of(56, 0), of(56, 1), of(28, 0), of(27, 0), of(5, 9)],
        [Ok, Ok, Warning, Warning, Problem, Problem]
    );
}

#[test]
fn limits_that_cut_off_a_batch_are_worse_than_those_that_cut_off_a_migration() {
    let of = |limits| database::limits(limits).state;
    assert_eq!(of(Limits::default()), Ok);
    assert_eq!(of(Limits { transaction: 59_999, statement: 1, idle_session: 1 }), Problem);
    assert_eq!(of(Limits { transaction: 60_000, statement: 599_999, ..Limits::default() }), Warning);
    assert_eq!(of(Limits { statement: 600_000, idle_session: 600_000, ..Limits::default() }), Ok);
    assert_eq!(of(Limits { idle_session: 599_999, ..Limits::default() }), Warning);
}

#[test]
fn the_disk_has_to_have_room() {
    const GIB: u64 = 1024 * 1024 * 1024;
    let of = |free, all| space::judge(Path::new("/data"), free, all).state;
    assert_eq!([of(50 * GIB, 100 * GIB), of(9 * GIB, 100 * GIB), of(GIB, 4 * GIB)], [Ok, Warning, Warning]);
    assert_eq!(of(GIB / 5, GIB), Problem);
    assert_eq!(space::judge(Path::new("/data"), GIB / 8, GIB).found, "128 MiB of 1024 MiB free in /data");
}

#[test]
fn the_least_limit_of_memory_counts() {
    const MIB: u64 = 1024 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let (proc, groups) = (dir.path().join("proc"), dir.path().join("cgroup"));
    let write = |path: &Path, text: &str| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    assert_eq!(machine::limit(&proc, &groups), None);
    write(&proc.join("meminfo"), "MemFree: 1 kB\nMemTotal:        1048576 kB\n");
    let machine_has = Some((1024 * MIB, "of this machine"));
    assert_eq!(machine::limit(&proc, &groups), machine_has);
    // Version 2; the group around the process's own has the limit.
    write(&proc.join("self/cgroup"), "0::/pods/muster\n");
    write(&groups.join("pods/muster/memory.max"), "max\n");
    assert_eq!(machine::limit(&proc, &groups), machine_has);
    write(&groups.join("pods/memory.max"), "536870912\n");
    let group_has = |mib| Some((mib * MIB, "that the control group (container) allows"));
    assert_eq!(machine::limit(&proc, &groups), group_has(512));
    // In a container of its own view the path is not to be found, and its root is.
    write(&proc.join("self/cgroup"), "0::/../../outside\n");
    write(&groups.join("memory.max"), "268435456\n");
    assert_eq!(machine::limit(&proc, &groups), group_has(256));
    // Version 1, among others.
    write(&proc.join("self/cgroup"), "12:cpu,cpuacct:/a\n7:memory:/docker/a\n");
    write(&groups.join("memory/docker/a/memory.limit_in_bytes"), "134217728\n");
    assert_eq!(machine::limit(&proc, &groups), group_has(128));

    let of = |hashing, limit: u64| machine::judge(hashing * MIB, Some((limit * MIB, "of this machine"))).state;
    assert_eq!([of(38, 237), of(38, 238), of(38, 493), of(38, 494)], [Problem, Warning, Warning, Ok]);
    assert_eq!(machine::judge(38 * MIB, None).state, Ok);
}

#[test]
fn a_hash_that_takes_over_a_second_is_a_warning() {
    let mut config = Config::built_in().unwrap();
    config.passwords.threads = 4;
    let cost =
        |milliseconds, per_second| Cost { memory_kib: 19456, iterations: 2, parallelism: 1, milliseconds, per_second };
    let found = hashing::judge(&config, Some(&cost(20.0, 200.0)), Some(1.0));
    assert_eq!(found.state, Ok);
    assert_eq!(
        found.found,
        "argon2id with m=19456 KiB, t=2, p=1: 20 ms a hash, 200 a second on 4 threads; 10000 passwords take 50 s"
    );
    let busy = hashing::judge(&config, Some(&cost(20.0, 200.0)), Some(2.35));
    let words = "; measured while others were at work (load 2.4 a core): it is faster alone";
    assert_eq!((busy.state, busy.found), (Ok, format!("{}{words}", found.found)));
    assert_eq!(hashing::judge(&config, Some(&cost(1000.1, 4.0)), None).state, Warning);
    assert_eq!(hashing::judge(&config, None, None).found, "not measured");
}

#[test]
fn the_load_is_that_of_one_core() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(machine::load(dir.path()), None);
    fs::write(dir.path().join("loadavg"), "6.00 1.25 0.50 3/345 12345\n").unwrap();
    let cores = f64::from(u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap());
    assert_eq!(machine::load(dir.path()), Some(6.0 / cores));
}
