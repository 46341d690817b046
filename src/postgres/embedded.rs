//! The embedded PostgreSQL, which muster runs itself if no database is configured.
//!
//! It lives in a directory of its own and listens only on a Unix socket that no other user can reach. The first process
//! that needs it starts it, the last one stops it: `muster serve`, a `muster key create` beside it, or a second
//! `muster serve` on another port.
//!
//! ```text
//! <data directory>/
//!   postgres/           the data directory of PostgreSQL
//!   run/                the socket, unless the path would be too long
//!   socket-directory    the directory of the socket in that case, in the system's temporary directory
//!   postgres.log        the log of PostgreSQL
//!   starting.lock       locked while PostgreSQL is started or stopped
//!   users.lock          locked, shared, by every process that uses it
//!   server.url          the URL of `muster serve`, which keeps it locked while it runs
//! ```
//!
//! After a `kill -9` of muster the locks are released and PostgreSQL still runs; the next process finds it by its pid file
//! and uses it. After a crash of the machine the pid file is stale: its process does not exist or is not PostgreSQL.
//!
//! # Decisions
//!
//! *muster serves with a role that owns nothing* ([`super::roles`]): a statement that should not run can't disable the
//! trigger of the audit log.
//!
//! *No password* (`trust`): only the owner and root can enter the directory of the socket, and they could read a stored
//! password, too.
//!
//! *As root, PostgreSQL runs as an account of its own*, see `account`.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::account;
use super::data_dir::{self, DataDirError};
use super::programs::{Programs, ProgramsNotFound};
use super::roles;

/// How long PostgreSQL may take to start, including crash recovery.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long PostgreSQL may take to stop: less than supervisors allow.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The prefix of the directory of an unfinished `initdb`; the process ID follows.
const UNFINISHED: &str = "unfinished-";

/// Locked, shared, by every process that uses PostgreSQL.
const USERS_FILE: &str = "users.lock";

/// The URL of a server, which keeps the file locked: that of a server that was killed is not mistaken for one that runs.
const SERVER_FILE: &str = "server.url";

/// The file of PostgreSQL that contains its major version, and is there once the data directory is initialized.
const VERSION_FILE: &str = "postgres/PG_VERSION";

/// The port is part of the socket's name; nothing listens on it.
const PORT: u16 = 5432;

/// The name of the superuser and of the database.
const NAME: &str = "muster";

/// A running embedded PostgreSQL that this process uses.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    data_dir: PathBuf,
    socket_dir: PathBuf,
    programs: Programs,
    settings: Vec<(String, String)>,
    /// Locked, shared, while this process uses PostgreSQL.
    users: File,
    /// Locked while this process is the server whose URL is in the file.
    server: OnceLock<File>,
    /// Whether this process initialized the data directory.
    pub is_new: bool,
}

/// Why the embedded PostgreSQL is not available.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The server programs are missing.
    #[error(transparent)]
    Programs(#[from] ProgramsNotFound),
    /// The data directory can't be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A PostgreSQL program failed.
    #[error("{doing} failed: {why}")]
    Failed {
        /// What muster was doing, such as `starting PostgreSQL`.
        doing: &'static str,
        /// The error, with the end of PostgreSQL's log.
        why: String,
    },
}

impl EmbeddedPostgres {
    /// Whether `data_dir` has an embedded PostgreSQL, or can't be read, in which case [`Self::open`] says why.
    #[must_use]
    pub fn may_exist(data_dir: &Path) -> bool {
        !matches!(data_dir.join(VERSION_FILE).try_exists(), Ok(false))
    }

    /// Whether a process uses the PostgreSQL of `data_dir`.
    #[must_use]
    pub fn is_in_use(data_dir: &Path) -> bool {
        let users = File::open(data_dir.join(USERS_FILE));
        users.is_ok_and(|users| matches!(users.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Checks that PostgreSQL is installed.
    ///
    /// # Errors
    /// [`EmbeddedError`], whose message says what to do.
    pub fn find_programs(search_path: &str) -> Result<(), EmbeddedError> {
        Programs::find(search_path, None)?;
        Ok(())
    }

    /// Uses the PostgreSQL of `data_dir`; initializes and starts it if necessary.
    ///
    /// `settings` are settings of PostgreSQL, which apply if this call starts it.
    ///
    /// # Errors
    /// [`EmbeddedError`], whose message says what to do.
    pub async fn open(data_dir: &Path, search_path: &str, settings: &[(&str, &str)]) -> Result<Self, EmbeddedError> {
        let data_dir = data_dir::prepare(data_dir)?;
        let starting = data_dir::lock_file(&data_dir, data_dir::FIRST_FILE)?;
        data_dir::lock(&data_dir, &starting).await?;

        let major = match fs::read_to_string(data_dir.join(VERSION_FILE)) {
            Ok(text) => text.trim().parse().ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(data_dir::unusable(&data_dir, &error).into()),
        };
        let programs = Programs::find(search_path, major)?;
        let users = data_dir::lock_file(&data_dir, USERS_FILE)?;
        let embedded = Self {
            socket_dir: data_dir::socket_dir(&data_dir)?,
            programs,
            settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            users,
            server: OnceLock::new(),
            is_new: major.is_none(),
            data_dir,
        };
        if embedded.is_new {
            embedded.init()?;
        }
        if !embedded.is_running().await? {
            embedded.start().await?;
        }
        embedded.create_database().await?;
        embedded.users.try_lock_shared().map_err(|error| embedded.unusable(&io::Error::other(error)))?;
        drop(starting);
        Ok(embedded)
    }

    /// The options of a connection as the role that serves requests.
    #[must_use]
    pub fn app_options(&self) -> PgConnectOptions {
        self.connect_options().username(roles::APP)
    }

    /// The options of a connection as the owner of the tables.
    #[must_use]
    pub fn owner_options(&self) -> PgConnectOptions {
        self.connect_options().username(roles::OWNER)
    }

    /// The options of a connection as the superuser.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host(&self.socket_dir.to_string_lossy())
            .port(PORT)
            .username(NAME)
            .database(NAME)
            .ssl_mode(sqlx::postgres::PgSslMode::Disable)
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The major version of PostgreSQL.
    #[must_use]
    pub const fn major(&self) -> u32 {
        self.programs.major
    }

    /// Restarts PostgreSQL if it has exited.
    ///
    /// # Errors
    /// When PostgreSQL does not start.
    pub async fn keep_running(&self) -> Result<(), EmbeddedError> {
        if self.pid().is_some() {
            return Ok(());
        }
        let starting = data_dir::lock_file(&self.data_dir, data_dir::FIRST_FILE)?;
        data_dir::lock(&self.data_dir, &starting).await?;
        if !self.is_running().await? {
            tracing::warn!("embedded PostgreSQL exited; restarting");
            self.start().await?;
        }
        Ok(())
    }

    /// Ends the use of PostgreSQL, and stops it if no other process uses it.
    ///
    /// # Errors
    /// When PostgreSQL does not stop.
    pub async fn close(&self) -> Result<(), EmbeddedError> {
        let starting = data_dir::lock_file(&self.data_dir, data_dir::FIRST_FILE)?;
        data_dir::lock(&self.data_dir, &starting).await?;
        let _ = self.users.unlock();
        match self.users.try_lock() {
            Ok(()) => self.stop().await,
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(error)) => Err(self.unusable(&error)),
        }
    }

    /// Lets local commands know the URL of this server. Returns it, or that of the server that was first, for all to name the
    /// same one.
    ///
    /// # Errors
    /// When the data directory can't be written.
    pub fn publish_server_url(&self, url: &str) -> Result<String, EmbeddedError> {
        let mut file = data_dir::lock_file(&self.data_dir, SERVER_FILE)?;
        match file.try_lock() {
            Ok(()) => {
                let written = file.set_len(0).and_then(|()| file.write_all(url.as_bytes()));
                written.map_err(|error| self.unusable(&error))?;
                let _ = self.server.set(file);
                Ok(url.to_owned())
            }
            Err(TryLockError::WouldBlock) => Ok(self.server_url().unwrap_or_else(|| url.to_owned())),
            Err(TryLockError::Error(error)) => Err(self.unusable(&error)),
        }
    }

    /// The URL of the server that runs with this data directory.
    #[must_use]
    pub fn server_url(&self) -> Option<String> {
        let mut file = File::open(self.data_dir.join(SERVER_FILE)).ok()?;
        if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return None;
        }
        let mut url = String::new();
        file.read_to_string(&mut url).ok()?;
        Some(url).filter(|url| !url.is_empty())
    }

    fn init(&self) -> Result<(), EmbeddedError> {
        let target = self.data_dir.join("postgres");
        // Initialized in a temporary directory and renamed, so that a killed start leaves no partial data directory. Each
        // attempt has its own, because the initdb of a killed attempt may still be writing.
        for entry in fs::read_dir(&self.data_dir).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let fresh = self.data_dir.join(format!("{UNFINISHED}{}", std::process::id()));
        data_dir::make_dir(&fresh, self.account()).map_err(|error| self.unusable(&error))?;
        let output = self
            .command("initdb")
            .args(["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-instructions"])
            .arg(format!("--username={NAME}"))
            .arg("--pgdata")
            .arg(&fresh)
            .process_group(0)
            .output()
            .map_err(|error| self.failed("starting initdb", &error.to_string()))?;
        if !output.status.success() {
            return Err(self.failed("initdb", &reason(&String::from_utf8_lossy(&output.stderr))));
        }
        fs::rename(&fresh, &target).map_err(|error| self.unusable(&error))
    }

    async fn start(&self) -> Result<(), EmbeddedError> {
        self.remove_stale_files();
        data_dir::make_dir(&self.socket_dir, self.account()).map_err(|error| self.unusable(&error))?;
        let log = File::options().create(true).append(true).mode(0o600).open(self.data_dir.join("postgres.log"));
        let log = log.map_err(|error| self.unusable(&error))?;
        let errors = log.try_clone().map_err(|error| self.unusable(&error))?;
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.data_dir.join("postgres"))
            .arg("-k")
            .arg(&self.socket_dir)
            .args(["-p", &PORT.to_string()])
            .args(["-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c", "logging_collector=off"])
            // The log must not contain statements or values: they can be personal data.
            .args(["-c", "log_error_verbosity=terse", "-c", "log_min_error_statement=panic"]);
        for (key, value) in &self.settings {
            command.arg("-c").arg(format!("{key}={value}"));
        }
        // Its own process group: Ctrl-C must reach only muster, which then stops PostgreSQL.
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|error| self.failed("starting PostgreSQL", &error.to_string()))?;

        let start = Instant::now();
        while !self.is_responding().await {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(self.failed("starting PostgreSQL", &format!("the process exited ({status})")));
            }
            if start.elapsed() > START_TIMEOUT {
                return Err(self.failed("starting PostgreSQL", "no response"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Reaps the process when it exits.
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    async fn create_database(&self) -> Result<(), EmbeddedError> {
        let failed = |error: sqlx::Error| self.failed("creating the database", &error.to_string());
        let mut connection = self.connect_options().database("postgres").connect().await.map_err(failed)?;
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(NAME)
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        if !exists {
            sqlx::query("create database muster").execute(&mut connection).await.map_err(failed)?;
        }
        connection.close().await.map_err(failed)?;
        let failed = |error: sqlx::Error| self.failed("creating the roles of the database", &error.to_string());
        let mut connection = self.connect_options().connect().await.map_err(failed)?;
        roles::separate(&mut connection).await.map_err(failed)?;
        connection.close().await.map_err(failed)
    }

    async fn stop(&self) -> Result<(), EmbeddedError> {
        let Some(pid) = self.pid() else { return Ok(()) };
        // Fast shutdown: PostgreSQL closes all connections and writes a checkpoint.
        let _ = kill(pid, Signal::SIGINT);
        let start = Instant::now();
        while self.pid().is_some() {
            if start.elapsed() > STOP_TIMEOUT {
                return Err(self.failed("stopping PostgreSQL", "the process still runs"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Whether PostgreSQL runs. Waits while it is starting.
    async fn is_running(&self) -> Result<bool, EmbeddedError> {
        let start = Instant::now();
        while let Some(pid) = self.pid() {
            if self.is_responding().await {
                return Ok(true);
            }
            if start.elapsed() > START_TIMEOUT {
                return Err(self.failed("using PostgreSQL", &format!("process {pid} runs and does not respond")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(false)
    }

    async fn is_responding(&self) -> bool {
        let connected = async {
            let connection = self.connect_options().database("postgres").connect().await?;
            connection.close().await
        };
        matches!(tokio::time::timeout(CONNECT_TIMEOUT, connected).await, Ok(Ok(())))
    }

    /// The process ID of PostgreSQL, if it runs.
    fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.data_dir.join("postgres/postmaster.pid")).ok()?;
        let pid = text.lines().next()?.trim().parse().ok().map(Pid::from_raw)?;
        is_postgres_of(pid, &self.data_dir.join("postgres")).then_some(pid)
    }

    /// Removes the pid file and socket of a crashed PostgreSQL. PostgreSQL does so itself, unless another process has the
    /// same process ID now, as happens in containers.
    fn remove_stale_files(&self) {
        if self.pid().is_none() {
            let socket = self.socket_dir.join(format!(".s.PGSQL.{PORT}"));
            for file in [self.data_dir.join("postgres/postmaster.pid"), socket.with_extension("5432.lock"), socket] {
                let _ = fs::remove_file(file);
            }
        }
    }

    /// The user and group that PostgreSQL runs as; `None` for those of muster.
    fn account(&self) -> Option<(Uid, Gid)> {
        if !Uid::effective().is_root() {
            return None;
        }
        // An existing data directory keeps its owner.
        let owner = fs::metadata(self.data_dir.join("postgres")).ok().filter(|existing| existing.uid() != 0);
        owner.map(|existing| (Uid::from_raw(existing.uid()), Gid::from_raw(existing.gid()))).or_else(account::prepare)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.program(program));
        // The PG… variables of the environment are meant for other databases.
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir(&self.data_dir);
        if let Some((user, group)) = self.account() {
            command.uid(user.as_raw()).gid(group.as_raw());
        }
        command
    }

    fn unusable(&self, error: &io::Error) -> EmbeddedError {
        data_dir::unusable(&self.data_dir, error).into()
    }

    fn failed(&self, doing: &'static str, why: &str) -> EmbeddedError {
        let log = self.data_dir.join("postgres.log");
        // Before the first start there is no log.
        let end = fs::read_to_string(&log).map(|text| last_line(&text)).unwrap_or_default();
        let why = match end.as_str() {
            "" => why.to_owned(),
            end => format!("{why}; the last line of {} is: {end}", log.display()),
        };
        EmbeddedError::Failed { doing, why }
    }
}

/// Whether the process is the PostgreSQL of this data directory, as far as the system reports it.
fn is_postgres_of(pid: Pid, data_dir: &Path) -> bool {
    if kill(pid, None) == Err(nix::errno::Errno::ESRCH) {
        return false;
    }
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        // `4711 (postgres) S …`; `Z` is a zombie.
        Ok(stat) if stat.contains("(postgres) Z") => false,
        // The working directory of PostgreSQL is its data directory, which distinguishes it from a process with a
        // recycled PID.
        Ok(stat) => match fs::read_link(format!("/proc/{pid}/cwd")) {
            Ok(cwd) => cwd == data_dir,
            Err(_) => stat.contains("(postgres) "),
        },
        // Systems without /proc: the process exists, which must suffice.
        Err(_) => !Path::new("/proc/self/stat").exists(),
    }
}

/// Why a program of PostgreSQL failed: its first error message, or else its last line.
fn reason(text: &str) -> String {
    let error = |line: &str| {
        let (_, error) = ["FATAL:", "PANIC:", " error:"].iter().find_map(|label| line.split_once(label))?;
        Some(error.trim().to_owned())
    };
    text.lines().find_map(error).unwrap_or_else(|| last_line(text))
}

fn last_line(text: &str) -> String {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_first_error_message_or_the_last_line() {
        let full = "2026-11-26 13:25:40.257 UTC [31332] FATAL:  could not extend file \"base/1/2691\": No space left on device\n\
                    2026-11-26 13:25:40.257 UTC [31332] HINT:  Check free disk space.\n\
                    2026-11-26 13:25:40.257 UTC [31332] PANIC:  cannot abort transaction 1, it was already committed\n\
                    child process exited with exit code 134\n\
                    initdb: removing data directory \"/srv/x\"\n";
        assert_eq!(reason(full), "could not extend file \"base/1/2691\": No space left on device");
        let denied = "initdb: error: could not access directory \"/srv/x\": Permission denied\n";
        assert_eq!(reason(denied), "could not access directory \"/srv/x\": Permission denied");
        assert_eq!(reason("Killed\n\n"), "Killed");
        assert_eq!(reason(""), "");
    }
}
