//! The database server: version, replication, connections, limits, clock.

use std::time::Duration;

use chrono::NaiveDate;
use sqlx::{Connection, PgConnection};

use super::read::{self, Connections, Limits, Link, Server, Times};
use super::{Finding, Subject, rights};
use crate::config;
use crate::postgres::{Database, ENCODING_ADVICE, ENCODING_MEANING, RESERVED};

/// The oldest supported major version: the oldest that muster is tested with.
const OLDEST_VERSION: i32 = 15;

/// The end of life of each major version (the versioning policy of postgresql.org).
const END_OF_LIFE: [(i32, (i32, u32, u32)); 4] =
    [(15, (2027, 11, 11)), (16, (2028, 11, 9)), (17, (2029, 11, 8)), (18, (2030, 11, 14))];

/// The longest acceptable round trip. A change takes about ten of them.
const MAX_ROUND_TRIP: Duration = Duration::from_millis(10);

/// The tolerated clock skew in seconds. muster takes its times from the database; its log and certificates do not.
const SKEW_WARNING: f64 = 1.0;
const SKEW_PROBLEM: f64 = 10.0;

/// The longest transaction, in milliseconds: a batch of 100,000 users.
const LONGEST_TRANSACTION: i64 = 60_000;

/// The longest migration, in milliseconds.
const LONGEST_MIGRATION: i64 = 600_000;

/// How long the pools keep idle connections, in milliseconds: the default of sqlx.
const IDLE: i64 = 600_000;

pub(super) fn unreachable(why: &str) -> Finding {
    Finding::problem(
        "database.connection",
        why,
        "muster does not start; running instances answer 503",
        "start the database, or correct `database.url`; `muster serve` creates the embedded PostgreSQL",
    )
}

/// Connects and runs all checks of the database.
pub(super) async fn examine(database: &Database, subject: &Subject<'_>) -> Vec<Finding> {
    let mut connection = match database.connect().await {
        Ok(connection) => connection,
        Err(error) => return vec![unreachable(&connection_error(database, &error))],
    };
    let mut findings = Vec::new();
    if let Err(error) = run_checks(&mut connection, database, subject, &mut findings).await {
        findings.push(unreachable(&connection_error(database, &error)));
    }
    let _ = connection.close().await;
    findings
}

async fn run_checks(
    connection: &mut PgConnection,
    database: &Database,
    subject: &Subject<'_>,
    findings: &mut Vec<Finding>,
) -> sqlx::Result<()> {
    let times = read::times(connection, subject.clock).await?;
    findings.push(latency(&database.name_and_address(), times.round_trip));
    let server = read::server(connection).await?;
    findings.push(version(server.version, times.ours.date_naive()));
    findings.push(encoding(&server.encoding));
    findings.push(replication(&server));
    findings.push(durability(&server));
    findings.push(size(server.bytes, subject.embedded_data_dir.is_some()));
    findings.push(link(&read::link(connection).await?));
    findings.push(budget(&read::connections(connection).await?, &subject.config.database));
    findings.push(limits(read::limits(connection).await?));
    findings.push(clock(&times));
    findings.extend(rights::examine(connection, subject, times.ours).await?);
    Ok(())
}

/// The error without the source line in PostgreSQL that sqlx adds, and without the URL.
fn connection_error(database: &Database, error: &sqlx::Error) -> String {
    let why = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    format!("can't use the database at {}: {why}", database.address())
}

pub(super) fn latency(name: &str, round_trip: Duration) -> Finding {
    let milliseconds = round_trip.as_secs_f64() * 1000.0;
    let found = format!("{name} responds in {milliseconds:.1} ms");
    if round_trip <= MAX_ROUND_TRIP {
        return Finding::ok("database.connection", found);
    }
    Finding::warning(
        "database.connection",
        found,
        "each request takes several round trips",
        "run muster close to the database: in the same zone, without a tunnel",
    )
}

pub(super) fn version(number: i32, today: NaiveDate) -> Finding {
    const CHECK: &str = "database.version";
    let (major, minor) = (number / 10_000, number % 10_000);
    let found = format!("PostgreSQL {major}.{minor}");
    if major < OLDEST_VERSION {
        return Finding::problem(
            CHECK,
            found,
            "unsupported PostgreSQL version",
            format!("upgrade to PostgreSQL {OLDEST_VERSION} or newer, with pg_upgrade or pg_dump"),
        );
    }
    let last = END_OF_LIFE.iter().find(|(version, _)| *version == major);
    let last = last.and_then(|(_, (year, month, day))| NaiveDate::from_ymd_opt(*year, *month, *day));
    match last {
        Some(last) if last < today => Finding::warning(
            CHECK,
            format!("{found}, end of life since {last}"),
            "the version gets no more fixes, not even for vulnerabilities",
            "upgrade to a newer version, with pg_upgrade or pg_dump",
        ),
        _ => Finding::ok(CHECK, found),
    }
}

pub(super) fn encoding(encoding: &str) -> Finding {
    if encoding == "UTF8" {
        return Finding::ok("database.encoding", encoding);
    }
    Finding::problem("database.encoding", encoding, ENCODING_MEANING, ENCODING_ADVICE)
}

pub(super) fn replication(server: &Server) -> Finding {
    const CHECK: &str = "database.replication";
    const USE_PRIMARY: &str =
        "set `database.url` to the primary, or to an address that follows the primary after a failover";
    if server.is_standby {
        return Finding::problem(CHECK, "the server is a standby", "all changes are rejected", USE_PRIMARY);
    }
    if server.is_read_only {
        return Finding::problem(
            CHECK,
            "default_transaction_read_only is on",
            "all changes are rejected",
            "find out who set it and why; then run `alter database … reset default_transaction_read_only`",
        );
    }
    let standbys = server.standbys;
    if server.synchronous_standby_names.is_empty() {
        return Finding::ok(CHECK, format!("primary; {standbys} standbys, asynchronous"));
    }
    if standbys == 0 {
        return Finding::problem(
            CHECK,
            "primary; synchronous_standby_names is set, but no standby is connected",
            "every commit blocks until a standby connects",
            "repair the standby, or remove it from synchronous_standby_names and reload",
        );
    }
    Finding::ok(CHECK, format!("primary; {standbys} standbys; commits wait for {}", server.synchronous_standby_names))
}

pub(super) fn durability(server: &Server) -> Finding {
    const CHECK: &str = "database.durability";
    let Server { fsync, full_page_writes, synchronous_commit, .. } = server;
    let found =
        format!("synchronous_commit = {synchronous_commit}, fsync = {fsync}, full_page_writes = {full_page_writes}");
    if fsync == "off" || full_page_writes == "off" {
        return Finding::problem(
            CHECK,
            found,
            "a crash of the machine can corrupt the database",
            "set both to `on` in postgresql.conf and reload",
        );
    }
    if synchronous_commit == "off" {
        return Finding::problem(
            CHECK,
            found,
            "a crash can lose batches that were acknowledged with 200",
            "set it to `on` in postgresql.conf, or only for muster: `alter role … set synchronous_commit = on`",
        );
    }
    if synchronous_commit == "local" && !server.synchronous_standby_names.is_empty() {
        return Finding::warning(
            CHECK,
            found,
            "a failover can lose batches that were acknowledged with 200",
            "set it to `on`",
        );
    }
    Finding::ok(CHECK, found)
}

/// The size of the database. PostgreSQL does not report the free space on its disk.
fn size(bytes: i64, is_embedded: bool) -> Finding {
    let found = format!("{} MiB", bytes / (1024 * 1024));
    let found = if is_embedded { found } else { format!("{found}; the free space on its disk is unknown") };
    Finding::ok("database.size", found)
}

pub(super) fn link(link: &Link) -> Finding {
    const CHECK: &str = "database.encryption";
    match &link.address {
        None => Finding::ok(CHECK, "Unix socket on this machine"),
        Some(address) if link.is_encrypted => Finding::ok(CHECK, format!("TLS to {address}")),
        Some(address) if address.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()) => {
            Finding::ok(CHECK, format!("not encrypted, to {address} on this machine"))
        }
        Some(address) => Finding::warning(
            CHECK,
            format!("not encrypted, to {address}"),
            "names, addresses and password hashes cross the network in clear text, unless the network itself is encrypted",
            "set `ssl = on` in PostgreSQL, and append `?sslmode=verify-full` to `database.url`",
        ),
    }
}

pub(super) fn budget(connections: &Connections, config: &config::Database) -> Finding {
    const CHECK: &str = "database.connections";
    let each = i64::from(config.connections) + i64::from(config.batch_connections) + i64::from(RESERVED) + 2;
    let Connections { possible, of_others } = *connections;
    let instances = possible.saturating_sub(of_others).max(0) / each;
    let found = format!(
        "an instance of muster uses up to {each} of {possible} connections, other programs use {of_others}; enough for {}",
        if instances == 1 { "1 instance".to_owned() } else { format!("{instances} instances") }
    );
    let advice = "raise max_connections, or lower `database.connections` and `database.batch_connections`";
    match instances {
        0 => Finding::problem(CHECK, found, "under load, requests get 503 because no connection is free", advice),
        1 => Finding::warning(
            CHECK,
            found,
            "too few for a rolling update, which starts the new instance before it stops the old one",
            advice,
        ),
        _ => Finding::ok(CHECK, found),
    }
}

pub(super) fn limits(limits: Limits) -> Finding {
    const CHECK: &str = "database.timeouts";
    let Limits { transaction, statement, idle_session } = limits;
    let too_short = |limit: i64, least: i64| limit > 0 && limit < least;
    if too_short(transaction, LONGEST_TRANSACTION) {
        return Finding::problem(
            CHECK,
            format!("transaction_timeout = {transaction} ms"),
            "large batches fail",
            "`alter role … set transaction_timeout = 0`; muster sets its own timeouts",
        );
    }
    let canceled = "a long migration can be cancelled; requests are not affected, because they set their own timeout";
    let closed = "PostgreSQL closes idle connections of the pools";
    let others = [
        ("statement_timeout", statement, LONGEST_MIGRATION, canceled),
        ("idle_session_timeout", idle_session, IDLE, closed),
    ];
    match others.into_iter().find(|(_, limit, least, _)| too_short(*limit, *least)) {
        Some((name, limit, _, meaning)) => {
            Finding::warning(CHECK, format!("{name} = {limit} ms"), meaning, format!("`alter role … set {name} = 0`"))
        }
        None => Finding::ok(CHECK, "no timeout of the server is too short; muster sets its own for each change"),
    }
}

pub(super) fn clock(times: &Times) -> Finding {
    const CHECK: &str = "database.clock";
    let skew = (times.ours - times.theirs).as_seconds_f64().abs();
    let found = format!("differs from this machine's clock by {skew:.1} s");
    let meaning =
        "times in muster's log differ from those in the audit log, and certificates expire by this machine's clock";
    let advice = "synchronize both clocks with NTP (chrony, systemd-timesyncd); check with `timedatectl`";
    if skew > SKEW_PROBLEM {
        Finding::problem(CHECK, found, meaning, advice)
    } else if skew > SKEW_WARNING {
        Finding::warning(CHECK, found, meaning, advice)
    } else {
        Finding::ok(CHECK, "differs from this machine's clock by less than a second")
    }
}
