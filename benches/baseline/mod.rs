//! What the machine can do at all: the least work that gives the same rows.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use sqlx::postgres::PgConnectOptions;

/// A password that passes the policy, another one for each `n`.
pub fn password(n: usize) -> String {
    format!("kT9$wqzPlr-{n:05}")
}

/// Bare Argon2id: as many threads as cores, each with memory that it uses again and again, nothing
/// else. The parameters are muster's defaults.
pub struct Hashes {
    memory: Vec<Vec<Block>>,
    params: Params,
}

impl Hashes {
    pub fn new() -> Self {
        let params = Params::new(19456, 2, 1, Some(32)).unwrap();
        let threads = std::thread::available_parallelism().unwrap().get();
        let mut hashes = Self { memory: vec![vec![Block::default(); params.block_count()]; threads], params };
        hashes.run(threads * 4);
        hashes
    }

    /// The time for `count` hashes over all threads.
    pub fn run(&mut self, count: usize) -> Duration {
        let start = Instant::now();
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for memory in &mut self.memory {
                let (next, params) = (&next, self.params.clone());
                scope.spawn(move || {
                    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                    loop {
                        let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if n >= count {
                            return;
                        }
                        let mut tag = [0; 32];
                        let salt: [u8; 16] = rand::random();
                        argon2
                            .hash_password_into_with_memory(password(n).as_bytes(), &salt, &mut tag, &mut *memory)
                            .unwrap();
                        std::hint::black_box(tag);
                    }
                });
            }
        });
        start.elapsed()
    }
}

/// `INSERT … SELECT` of the same rows into the same tables, in one transaction in psql. The rows are
/// in a temporary table beforehand; only the inserts and the commit are timed, by psql itself.
pub fn insert_select(database: &PgConnectOptions, users: usize, round: usize) -> Duration {
    let script = format!(
        r"
        set client_min_messages = error;
        create temporary table rows as
            select gen_random_uuid() as user_id, gen_random_uuid() as identity_id, gen_random_uuid() as event_id,
                'b{round}-' || n || '@example.com' as email
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
            select :'organization_id', user_id, email, email, 1, 'Ada', true, 'active', :'batch_id', :'at', :'at' from rows;
        insert into collaborators (organization_id, user_id, identity_id, permission_level, granted_by_kind,
                granted_by_id, granted_at)
            select :'organization_id', user_id, identity_id, 'collaborator', 'api_key', :'key_id', :'at' from rows;
        insert into audit_events (organization_id, event_id, occurred_at, actor_kind, actor_id, action, outcome,
                target_kind, target_id, batch_id, request_id, source_address)
            select :'organization_id', event_id, :'at', 'api_key', :'key_id', 'user.create', 'success', 'user', user_id,
                :'batch_id', :'batch_id', '127.0.0.1' from rows;
        commit;
        "
    );
    let mut psql = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", database.get_host(), "-U", "muster", "-d"])
        .arg(database.get_database().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = psql.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let times: Vec<f64> =
        text.lines().filter_map(|line| line.strip_prefix("Time: ")?.split_whitespace().next()?.parse().ok()).collect();
    assert_eq!(times.len(), 6, "{text}");
    Duration::from_secs_f64(times.iter().sum::<f64>() / 1000.0)
}
