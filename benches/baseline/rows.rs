//! Inserting rows with plain SQL in psql.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use super::program;

/// Kind of users.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    Sso,
    /// With an imported password hash.
    Hashed,
}

/// The hash of user `n`, in SQL; see [`crate::figures::hash`].
const HASH: &str = "'$argon2id$v=19$m=19456,t=2,p=1$' || lpad(n::text, 21, '0') || 'A$' || repeat('x', 42) || 'A'";

/// `INSERT … SELECT` of the same rows into the same tables, in one transaction, timed by psql. The rows come from a temporary
/// table, which is not part of the measurement. IDs are ordered by time, like muster's.
pub fn insert_select(database: &PgConnectOptions, rows: Rows, users: usize, round: usize) -> Duration {
    let is_sso = rows == Rows::Sso;
    let passwords = match rows {
        Rows::Sso => "",
        Rows::Hashed => {
            "insert into passwords (organization_id, user_id, phc, must_change, set_at)
            select :'organization_id', id, phc, false, :'at' from rows;"
        }
    };
    let script = format!(
        r"
        set client_min_messages = error;
        create temporary table rows as
            select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0') || '70008000'
                    || lpad(to_hex(n), 12, '0'))::uuid as id,
                'b{round}-' || n || '@example.com' as email, {HASH} as phc
            from generate_series(1, {users}) as n;
        analyze rows;
        select organization_id, gen_random_uuid() as batch_id, gen_random_uuid() as key_id, now() as at
            from organizations \gset
        \timing on
        begin;
        insert into batches (organization_id, batch_id, requested_by_kind, requested_by_id, source, user_count, created_at)
            values (:'organization_id', :'batch_id', 'api_key', :'key_id', 'http', {users}, :'at');
        insert into users (organization_id, user_id, email, email_key, email_key_version, name, is_sso_user, status,
                batch_id, created_at, updated_at)
            select :'organization_id', id, email, email, 1, 'Ada', {is_sso}, 'active', :'batch_id', :'at', :'at' from rows;
        insert into collaborators (organization_id, user_id, identity_id, permission_level, granted_by_kind,
                granted_by_id, granted_at)
            select :'organization_id', id, id, 'collaborator', 'api_key', :'key_id', :'at' from rows;
        {passwords}
        insert into audit_events (organization_id, event_id, occurred_at, actor_kind, actor_id, action, outcome,
                target_kind, target_id, batch_id, request_id, source_address)
            select :'organization_id', id, :'at', 'api_key', :'key_id', 'user.create', 'success', 'user', id,
                :'batch_id', :'batch_id', '127.0.0.1' from rows;
        commit;
        "
    );
    let text = execute(database, &script);
    let times: Vec<f64> =
        text.lines().filter_map(|line| line.strip_prefix("Time: ")?.split_whitespace().next()?.parse().ok()).collect();
    assert_eq!(times.len(), if is_sso { 6 } else { 7 }, "{text}");
    Duration::from_secs_f64(times.iter().sum::<f64>() / 1000.0)
}

/// Fills a database with users in one batch; their names and addresses are spread evenly over the alphabet, and three of four have
/// signed in.
pub fn fill(database: &PgConnectOptions, users: usize) {
    execute(
        database,
        &format!(
            r"
            create temporary table rows as
                select n, (lpad(to_hex(1700000000000 + n), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
                        || substr(md5(n::text), 4, 15))::uuid as id,
                    substr(md5('a' || n), 1, 16) || '@example.com' as email
                from generate_series(1, {users}) as n;
            select organization_id, gen_random_uuid() as batch_id, gen_random_uuid() as key_id, now() as at
                from organizations \gset
            insert into batches (organization_id, batch_id, requested_by_kind, requested_by_id, source, user_count, created_at)
                values (:'organization_id', :'batch_id', 'api_key', :'key_id', 'http', {users}, :'at');
            insert into users (organization_id, user_id, email, email_key, email_key_version, name, is_sso_user, status,
                    batch_id, created_at, updated_at, last_signed_in_at)
                select :'organization_id', id, email, email, 1, 'Ada ' || substr(email, 1, 6), true, 'active', :'batch_id', :'at', :'at',
                    case when n % 4 > 0 then :'at'::timestamptz - n % 400 * interval '1 day' end
                from rows;
            insert into collaborators (organization_id, user_id, identity_id, permission_level, granted_by_kind,
                    granted_by_id, granted_at)
                select :'organization_id', id, id, 'collaborator', 'api_key', :'key_id', :'at' from rows;
            insert into audit_events (organization_id, event_id, occurred_at, actor_kind, actor_id, action, outcome,
                    target_kind, target_id, batch_id, request_id, source_address)
                select :'organization_id', id, :'at', 'api_key', :'key_id', 'user.create', 'success', 'user', id,
                    :'batch_id', :'batch_id', '127.0.0.1' from rows;
            "
        ),
    );
    settle(database);
}

/// Runs the maintenance that PostgreSQL would otherwise run during the measurement, and gives the planner statistics.
pub fn settle(database: &PgConnectOptions) {
    execute(database, "vacuum analyze; checkpoint;");
}

/// Empties the tables that batches write, including their files, but keeps the planner's statistics.
pub fn forget_users(database: &PgConnectOptions) {
    execute(
        database,
        r"
        set session_replication_role = replica;
        delete from collaborators using users
            where users.user_id = collaborators.user_id and users.batch_id is not null;
        delete from users where batch_id is not null;
        delete from audit_events where batch_id is not null;
        delete from batches;
        reset session_replication_role;
        vacuum (full) collaborators;
        vacuum (full) users;
        vacuum (full) audit_events;
        vacuum (full) batches;
        ",
    );
}

/// Runs a script in psql and returns its output.
pub fn execute(database: &PgConnectOptions, script: &str) -> String {
    let mut psql = program("psql", database)
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database.get_database().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = psql.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}
