//! Databases that muster can't use, and what it says about them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::support::server::{muster, url};
use crate::support::{empty_database, migrated_database};
use crate::{Ran, run};

/// A new name of a role or a database.
fn name(what: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{what}_{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Runs a statement as the administrator.
async fn execute(database: &PgConnectOptions, statement: String) {
    let mut connection = database.connect().await.unwrap();
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// `muster` on a database, as a role.
fn as_role(database: &PgConnectOptions, role: &str) -> Command {
    let mut command = muster();
    command.env("MUSTER_DATABASE__URL", url(database).replace("//muster@", &format!("//{role}@")));
    command
}

fn serve(command: &mut Command) -> Ran {
    run(command.args(["serve", "--listen", "127.0.0.1:0"]))
}

fn socket(database: &PgConnectOptions) -> String {
    format!("the socket {}/.s.PGSQL.5432", database.get_host())
}

fn assert_fails(ran: Ran, sentence: &str) {
    assert_eq!((ran.status, ran.out.as_str(), ran.err), (Some(2), "", format!("error: {sentence}\n")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_unicode_is_refused() {
    let database = empty_database().await;
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = name("encoded");
        let create = format!("create database {name} encoding '{encoding}' locale 'C' template template0");
        execute(&database, create).await;
        let encoded = database.clone().database(&name);
        let sentence = format!(
            "the encoding of the database is {encoding}: names with characters outside this encoding can't be stored; create \
             a new database: `create database muster encoding 'UTF8' template template0`"
        );
        assert_fails(serve(&mut as_role(&encoded, "muster")), &sentence);
        for words in [&["migrate"][..], &["key", "list"]] {
            assert_fails(run(as_role(&encoded, "muster").args(words)), &sentence);
        }
        let mut connection = encoded.connect().await.unwrap();
        let tables: i64 = sqlx::query_scalar("select count(*) from pg_tables where schemaname = 'public'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(tables, 0, "nothing was created");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_rights_on_the_schema_is_told_which_to_grant() {
    let database = empty_database().await;
    let (role, place) = (name("poor"), socket(&database));
    execute(&database, format!("create role {role} login")).await;
    // The default since PostgreSQL 15.
    execute(&database, "revoke create on schema public from public".to_owned()).await;
    let advice = format!(
        "since PostgreSQL 15, only the owner of a database may create tables: run `alter database {} owner to {role}`, or \
         `grant usage, create on schema public to {role}`, as the owner; if {role} is only to serve, run \
         `muster migrate --grant-to {role}` as the owner instead",
        database.get_database().unwrap()
    );
    let denied = format!("can't use the database at {place}: permission denied for schema public; {advice}");
    assert_fails(run(as_role(&database, &role).arg("migrate")), &denied);
    assert_fails(serve(&mut as_role(&database, &role)), &denied);
    execute(&database, "revoke usage on schema public from public".to_owned()).await;
    let none = format!("can't use the database at {place}: no schema has been selected to create in; {advice}");
    assert_fails(run(as_role(&database, &role).arg("migrate")), &none);
    // The advice works.
    execute(&database, format!("grant usage, create on schema public to {role}")).await;
    assert_eq!(run(as_role(&database, &role).arg("migrate")).status, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_connections_is_told_which_limit_to_raise() {
    let database = empty_database().await;
    let (role, place) = (name("limited"), socket(&database));
    execute(&database, format!("create role {role} login connection limit 0")).await;
    execute(&database, format!("alter database {} owner to {role}", database.get_database().unwrap())).await;
    let sentence = format!(
        "can't use the database at {place}: too many connections for role \"{role}\"; raise `alter role {role} connection \
         limit …`, or lower `database.connections` and `database.batch_connections` of all instances"
    );
    assert_fails(serve(&mut as_role(&database, &role)), &sentence);
    assert_fails(run(as_role(&database, &role).args(["key", "list"])), &sentence);
    // One connection is not enough.
    execute(&database, format!("alter role {role} connection limit 1")).await;
    assert_fails(serve(&mut as_role(&database, &role)), &sentence);
}

/// PgBouncer before 1.21 in transaction mode, with one connection: it is given to one client after the other, with the
/// prepared statements of those that have left.
fn pooler(database: &PgConnectOptions) -> SocketAddr {
    let socket = format!("{}/.s.PGSQL.5432", database.get_host());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::<Mutex<Option<UnixStream>>>::default();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, socket, server) = (client.unwrap(), socket.clone(), Arc::clone(&server));
            std::thread::spawn(move || relay(client, &socket, &mut server.lock().unwrap()));
        }
    });
    address
}

/// Reads a length and the rest of the message; `None` at the end of the connection.
fn message(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    client.read_exact(&mut length).ok()?;
    let mut rest = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
    client.read_exact(&mut rest).ok()?;
    Some([&length[..], &rest].concat())
}

fn relay(mut client: TcpStream, socket: &str, pooled: &mut Option<UnixStream>) {
    const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();
    let Some(mut startup) = message(&mut client) else { return };
    if startup[4..8] == SSL_REQUEST {
        client.write_all(b"N").unwrap();
        startup = message(&mut client).unwrap();
    }
    let mut server = match pooled.take() {
        Some(server) => {
            // AuthenticationOk, ReadyForQuery.
            client.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").unwrap();
            server
        }
        None => {
            let mut server = UnixStream::connect(socket).unwrap();
            server.write_all(&startup).unwrap();
            server
        }
    };
    let has_left = Arc::new(AtomicBool::new(false));
    let back = {
        let (mut server, mut client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let has_left = Arc::clone(&has_left);
        server.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 8192];
            loop {
                match server.read(&mut bytes) {
                    Ok(0) => return,
                    Ok(read) => drop(client.write_all(&bytes[..read])),
                    Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                        if has_left.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                    Err(_) => return,
                }
            }
        })
    };
    let mut kind = [0];
    while client.read_exact(&mut kind).is_ok() && kind != *b"X" {
        let Some(rest) = message(&mut client) else { break };
        server.write_all(&[&kind[..], &rest].concat()).unwrap();
    }
    has_left.store(true, Ordering::Relaxed);
    back.join().unwrap();
    *pooled = Some(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_loses_prepared_statements_is_named_with_its_setting() {
    let database = migrated_database().await;
    let address = pooler(&database);
    let through_pooler = || {
        let mut command = muster();
        let url = format!("postgres://muster@{address}/{}?sslmode=disable", database.get_database().unwrap());
        command.env("MUSTER_DATABASE__URL", url);
        command
    };
    // Leaves prepared statements behind.
    run(through_pooler().arg("migrate"));
    let cause = "the connection pooler loses prepared statements; use PgBouncer 1.21 or newer with \
                 `max_prepared_statements`, or `pool_mode = session`";
    let sentence =
        format!("can't use the database at {address}: prepared statement \"sqlx_s_1\" already exists; {cause}");
    assert_fails(run(through_pooler().arg("migrate")), &sentence);
    assert_fails(serve(&mut through_pooler()), &sentence);
    assert_fails(run(through_pooler().args(["key", "list"])), &sentence);
}
