//! The database server: version, replication, connections, limits, clock.

use std::time::Duration;

use chrono::NaiveDate;
use sqlx::{Connection, PgConnection};

use super::read::{self, Connections, Limits, Link, Server, Times};
use super::{Finding, Subject, rights};
use crate::config;
use crate::postgres::Database;

/// The oldest major version that muster is tested with.
const OLDEST: i32 = 15;

/// When the last release of each major version comes (the versioning policy of postgresql.org).
const LAST_RELEASES: [(i32, (i32, u32, u32)); 4] =
    [(15, (2027, 11, 11)), (16, (2028, 11, 9)), (17, (2029, 11, 8)), (18, (2030, 11, 14))];

/// How long an answer may take. A change asks the database about ten times.
const QUICK: Duration = Duration::from_millis(10);

/// How far the clocks may be apart: sessions and keys end by muster's, and so do leases on batches by the database's.
const CLOCK_WARNING: f64 = 1.0;
const CLOCK_PROBLEM: f64 = 10.0;

/// The longest transaction of muster's, in milliseconds: a batch of 100,000.
const LONGEST_TRANSACTION: i64 = 60_000;

/// How long a migration may take, in milliseconds.
const LONGEST_MIGRATION: i64 = 600_000;

/// How long the pool keeps a connection that has nothing to do, in milliseconds.
const IDLE: i64 = 600_000;

pub(super) fn unreachable(why: &str) -> Finding {
    Finding::problem(
        "database.connection",
        why,
        "muster does not start, and answers 503 while it runs",
        "start the database, or mend database.url; the private one is made by `muster serve`",
    )
}

/// Connects, and looks at everything that can be asked.
pub(super) async fn examine(database: &Database, subject: &Subject<'_>) -> Vec<Finding> {
    let mut connection = match database.connect().await {
        Ok(connection) => connection,
        Err(error) => return vec![unreachable(&refused(database, &error))],
    };
    let mut findings = Vec::new();
    if let Err(error) = ask(&mut connection, database, subject, &mut findings).await {
        findings.push(unreachable(&refused(database, &error)));
    }
    let _ = connection.close().await;
    findings
}

async fn ask(
    connection: &mut PgConnection,
    database: &Database,
    subject: &Subject<'_>,
    findings: &mut Vec<Finding>,
) -> sqlx::Result<()> {
    let times = read::times(connection, subject.clock).await?;
    findings.push(answers(&database.name_and_address(), times.took));
    let server = read::server(connection).await?;
    findings.push(version(server.version, times.ours.date_naive()));
    findings.push(encoding(&server.encoding));
    findings.push(replication(&server));
    findings.push(durability(&server));
    findings.push(size(server.bytes, subject.private.is_some()));
    findings.push(link(&read::link(connection).await?));
    findings.push(budget(&read::connections(connection).await?, &subject.config.database));
    findings.push(limits(read::limits(connection).await?));
    findings.push(clock(&times));
    findings.extend(rights::examine(connection, subject.private.is_some(), times.ours).await?);
    Ok(())
}

/// What sqlx says without the line of PostgreSQL's source, and without the URL.
fn refused(database: &Database, error: &sqlx::Error) -> String {
    let why = error.as_database_error().map_or_else(|| error.to_string(), |said| said.message().to_owned());
    format!("the database at {} can't be used: {why}", database.address())
}

pub(super) fn answers(name: &str, took: Duration) -> Finding {
    let milliseconds = took.as_secs_f64() * 1000.0;
    let found = format!("{name} answers in {milliseconds:.1} ms");
    if took <= QUICK {
        return Finding::ok("database.connection", found);
    }
    Finding::warning(
        "database.connection",
        found,
        "each request waits for several answers",
        "run muster near the database: in the same zone, without a tunnel between them",
    )
}

pub(super) fn version(number: i32, today: NaiveDate) -> Finding {
    const CHECK: &str = "database.version";
    let (major, minor) = (number / 10_000, number % 10_000);
    let found = format!("PostgreSQL {major}.{minor}");
    if major < OLDEST {
        return Finding::problem(
            CHECK,
            found,
            "muster was never tried with it",
            format!("move the data to PostgreSQL {OLDEST} or newer, with pg_upgrade or pg_dump"),
        );
    }
    let last = LAST_RELEASES.iter().find(|(version, _)| *version == major);
    let last = last.and_then(|(_, (year, month, day))| NaiveDate::from_ymd_opt(*year, *month, *day));
    match last {
        Some(last) if last < today => Finding::warning(
            CHECK,
            format!("{found}, whose last release came on {last}"),
            "its faults are not mended any more",
            "move the data to a newer version, with pg_upgrade or pg_dump",
        ),
        _ => Finding::ok(CHECK, found),
    }
}

pub(super) fn encoding(encoding: &str) -> Finding {
    if encoding == "UTF8" {
        return Finding::ok("database.encoding", encoding);
    }
    Finding::problem(
        "database.encoding",
        encoding,
        "names in other scripts can't be stored",
        "make the database anew: `create database muster encoding 'UTF8' template template0`",
    )
}

pub(super) fn replication(server: &Server) -> Finding {
    const CHECK: &str = "database.replication";
    const FOLLOW: &str = "give database.url the address of the primary; with several hosts behind it, one that follows \
                          the primary";
    if server.is_standby {
        return Finding::problem(CHECK, "this is a standby", "nothing can be written", FOLLOW);
    }
    if server.is_read_only {
        return Finding::problem(
            CHECK,
            "default_transaction_read_only is on",
            "nothing can be written",
            "find out who made it read-only and why; then `alter database … reset default_transaction_read_only`",
        );
    }
    let standbys = server.standbys;
    if server.synchronous_standby_names.is_empty() {
        return Finding::ok(CHECK, format!("primary; {standbys} standbys, none waited for"));
    }
    if standbys == 0 {
        return Finding::problem(
            CHECK,
            "primary; synchronous_standby_names is set and no standby is connected",
            "every commit waits until one is",
            "mend the standby, or take it out of synchronous_standby_names and reload",
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
            "a crash of the machine can destroy the database",
            "turn both on in postgresql.conf and reload",
        );
    }
    if synchronous_commit == "off" {
        return Finding::problem(
            CHECK,
            found,
            "a crash loses batches that were answered with 200",
            "turn it on in postgresql.conf, or for muster: `alter role … set synchronous_commit = on`",
        );
    }
    if synchronous_commit == "local" && !server.synchronous_standby_names.is_empty() {
        return Finding::warning(
            CHECK,
            found,
            "after a failover, batches that were answered with 200 can be missing",
            "set it to `on`",
        );
    }
    Finding::ok(CHECK, found)
}

/// How large it is. What is free on another machine's disk PostgreSQL does not tell.
fn size(bytes: i64, is_private: bool) -> Finding {
    let found = format!("{} MiB", bytes / (1024 * 1024));
    let found = if is_private { found } else { format!("{found}; what is free on its disk can't be seen from here") };
    Finding::ok("database.size", found)
}

pub(super) fn link(link: &Link) -> Finding {
    const CHECK: &str = "database.encryption";
    match &link.address {
        None => Finding::ok(CHECK, "a socket on this machine"),
        Some(address) if link.is_encrypted => Finding::ok(CHECK, format!("TLS to {address}")),
        Some(address) if address.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()) => {
            Finding::ok(CHECK, format!("not encrypted, to {address}, which is this machine"))
        }
        Some(address) => Finding::warning(
            CHECK,
            format!("not encrypted, to {address}"),
            "names, addresses and password hashes can be read on the way, unless the network is encrypted itself",
            "turn `ssl` on in PostgreSQL, and end database.url with `?sslmode=verify-full`",
        ),
    }
}

pub(super) fn budget(connections: &Connections, config: &config::Database) -> Finding {
    const CHECK: &str = "database.connections";
    let each = i64::from(config.connections) + i64::from(config.batch_connections) + 2;
    let Connections { possible, of_others } = *connections;
    let instances = possible.saturating_sub(of_others).max(0) / each;
    let found = format!(
        "an instance of muster takes up to {each} of {possible}, others have {of_others}: enough for {}",
        if instances == 1 { "one instance".to_owned() } else { format!("{instances} instances") }
    );
    let advice = "raise max_connections, or lower database.connections and database.batch_connections";
    match instances {
        0 => Finding::problem(CHECK, found, "under load requests get 503 for want of a connection", advice),
        1 => Finding::warning(
            CHECK,
            found,
            "when a new instance is started before the old one stops, there are too few",
            advice,
        ),
        _ => Finding::ok(CHECK, found),
    }
}

pub(super) fn limits(limits: Limits) -> Finding {
    const CHECK: &str = "database.timeouts";
    let too_short = |limit: i64, least: i64| limit > 0 && limit < least;
    let show = |limit: i64| if limit == 0 { "none".to_owned() } else { format!("{limit} ms") };
    if too_short(limits.transaction, LONGEST_TRANSACTION) {
        return Finding::problem(
            CHECK,
            format!("transaction_timeout = {}", show(limits.transaction)),
            "long batches fail",
            "`alter role … set transaction_timeout = 0`: muster limits its transactions itself",
        );
    }
    if too_short(limits.statement, LONGEST_MIGRATION) {
        return Finding::warning(
            CHECK,
            format!("statement_timeout = {}", show(limits.statement)),
            "a migration of much data can be cut off; changes are not concerned, they set their own",
            "`alter role … set statement_timeout = 0`",
        );
    }
    if too_short(limits.idle_session, IDLE) {
        return Finding::warning(
            CHECK,
            format!("idle_session_timeout = {}", show(limits.idle_session)),
            "PostgreSQL closes connections that muster keeps for later",
            "`alter role … set idle_session_timeout = 0`",
        );
    }
    Finding::ok(CHECK, "PostgreSQL sets none that is too short; muster limits each change itself")
}

pub(super) fn clock(times: &Times) -> Finding {
    const CHECK: &str = "database.clock";
    let apart = (times.ours - times.theirs).as_seconds_f64().abs();
    let found = format!("{:.1} s apart from this machine's", apart);
    let meaning = "keys, sessions and batches end too early or too late, and the audit log has wrong times";
    let advice = "have NTP set both clocks (chrony, systemd-timesyncd): `timedatectl` says whether it does";
    if apart > CLOCK_PROBLEM {
        Finding::problem(CHECK, found, meaning, advice)
    } else if apart > CLOCK_WARNING {
        Finding::warning(CHECK, found, meaning, advice)
    } else {
        Finding::ok(CHECK, "goes with this machine's, to the second")
    }
}
