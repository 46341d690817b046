//! The private PostgreSQL: for people who want to start with nothing.
//!
//! It lives in a folder of its own and listens on a Unix socket only, which nobody but its
//! user can reach. Whoever comes first starts it, whoever leaves last stops it, and nobody
//! has to know which of the two they are: `muster serve`, `muster key create` beside it, a
//! second `muster serve` on another port.
//!
//! ```text
//! <data directory>/
//!   postgres/           PostgreSQL's own files
//!   run/                the socket
//!   postgres.log        what PostgreSQL says
//!   starting.lock       held while starting or stopping
//!   users.lock          held, shared, by everyone who uses it
//! ```
//!
//! After a `kill -9` the locks are gone with the process and PostgreSQL is still running:
//! the next one to come finds it by its pid file and goes on with it. After a crash of the
//! machine the pid file is stale: its process is gone, or is not PostgreSQL.
//!
//! # Decisions
//!
//! The connection needs no password (`trust`): the socket's folder lets only its owner (and
//! root) in, which is the same set of people who could read a stored password.
//! As root the cluster runs as user `postgres`, or `nobody` where that is missing, because
//! PostgreSQL refuses to run as root.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::data_dir::{self, DataDirError};
use super::programs::{Programs, ProgramsNotFound};

/// How long PostgreSQL may take to start, recovery after a crash included.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take to stop: less than what supervisors allow.
const STOP_TIME: Duration = Duration::from_secs(15);

/// How long it may take to answer a connection.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// What the folder of an unfinished first start is named, before its number.
const UNFINISHED: &str = "unfinished-";

/// The port names the socket; nothing listens on it.
const PORT: u16 = 5432;

/// The user and the database inside.
const NAME: &str = "muster";

/// A running private PostgreSQL that this process uses.
#[derive(Debug)]
pub struct Cluster {
    data_dir: PathBuf,
    socket_dir: PathBuf,
    programs: Programs,
    settings: Vec<(String, String)>,
    /// Held, shared, as long as this process uses the cluster.
    users: File,
    /// Whether this process made the data directory's contents.
    pub is_new: bool,
}

/// Why there is no private PostgreSQL. Each text says what to do.
#[derive(Debug)]
pub enum ClusterError {
    /// Its programs are missing.
    Programs(ProgramsNotFound),
    /// The data directory can't be used.
    DataDir(DataDirError),
    /// A PostgreSQL program failed.
    Failed {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        said: String,
    },
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Programs(error) => error.fmt(f),
            Self::DataDir(error) => error.fmt(f),
            Self::Failed { doing, said } => write!(f, "{doing} failed: {said}"),
        }
    }
}

impl std::error::Error for ClusterError {}

impl From<DataDirError> for ClusterError {
    fn from(error: DataDirError) -> Self {
        Self::DataDir(error)
    }
}

impl From<ProgramsNotFound> for ClusterError {
    fn from(error: ProgramsNotFound) -> Self {
        Self::Programs(error)
    }
}

impl Cluster {
    /// Finds the cluster of `data_dir` running, or starts it, or makes it first.
    ///
    /// `settings` are PostgreSQL's, for a cluster that this call starts.
    ///
    /// # Errors
    /// [`ClusterError`], each kind of which says what to do.
    pub async fn open(data_dir: &Path, search_path: &str, settings: &[(&str, &str)]) -> Result<Self, ClusterError> {
        // First: where there are none, as in a container, a folder is of no use either.
        Programs::find(search_path, None)?;
        let data_dir = data_dir::prepare(data_dir)?;
        let starting = data_dir::lock_file(&data_dir, data_dir::FIRST_FILE)?;
        data_dir::lock(&data_dir, &starting).await?;

        let postgres_dir = data_dir.join("postgres");
        let major = fs::read_to_string(postgres_dir.join("PG_VERSION")).ok().and_then(|text| text.trim().parse().ok());
        let programs = Programs::find(search_path, major)?;
        let users = data_dir::lock_file(&data_dir, "users.lock")?;
        let cluster = Self {
            socket_dir: data_dir::socket_dir(&data_dir),
            programs,
            settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            users,
            is_new: major.is_none(),
            data_dir,
        };
        if cluster.is_new {
            cluster.init()?;
        }
        if !cluster.is_running().await? {
            cluster.start().await?;
        }
        cluster.create_database().await?;
        cluster.users.try_lock_shared().map_err(|error| cluster.unusable(&io::Error::other(error)))?;
        drop(starting);
        Ok(cluster)
    }

    /// How to connect.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host(&self.socket_dir.to_string_lossy())
            .port(PORT)
            .username(NAME)
            .database(NAME)
            .ssl_mode(sqlx::postgres::PgSslMode::Disable)
    }

    /// Where it is.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// PostgreSQL's major version.
    #[must_use]
    pub const fn major(&self) -> u32 {
        self.programs.major
    }

    /// Starts PostgreSQL again if it has died.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn keep_running(&self) -> Result<(), ClusterError> {
        if self.pid().is_some() {
            return Ok(());
        }
        let starting = data_dir::lock_file(&self.data_dir, data_dir::FIRST_FILE)?;
        data_dir::lock(&self.data_dir, &starting).await?;
        if !self.is_running().await? {
            tracing::warn!("the private PostgreSQL was gone; starting it again");
            self.start().await?;
        }
        Ok(())
    }

    /// Leaves the cluster, which is not to be used any more. If nobody else uses it, PostgreSQL stops.
    ///
    /// # Errors
    /// When PostgreSQL doesn't stop.
    pub async fn close(&self) -> Result<(), ClusterError> {
        let starting = data_dir::lock_file(&self.data_dir, data_dir::FIRST_FILE)?;
        data_dir::lock(&self.data_dir, &starting).await?;
        let _ = self.users.unlock();
        match self.users.try_lock() {
            Ok(()) => self.stop().await,
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(error)) => Err(self.unusable(&error)),
        }
    }

    fn init(&self) -> Result<(), ClusterError> {
        let target = self.data_dir.join("postgres");
        // Made elsewhere and renamed: a first start that is killed leaves nothing half made behind.
        // Each attempt has a folder of its own, because a killed one's initdb may still be writing.
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
            return Err(self.failed("making the database", &reason(&String::from_utf8_lossy(&output.stderr))));
        }
        fs::rename(&fresh, &target).map_err(|error| self.unusable(&error))
    }

    async fn start(&self) -> Result<(), ClusterError> {
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
            // Neither the statement nor the values that an error is about: they can name people.
            .args(["-c", "log_error_verbosity=terse", "-c", "log_min_error_statement=panic"]);
        for (key, value) in &self.settings {
            command.arg("-c").arg(format!("{key}={value}"));
        }
        // A process group of its own: Ctrl-C is for muster, which then stops PostgreSQL in order.
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|error| self.failed("starting PostgreSQL", &error.to_string()))?;

        let start = Instant::now();
        while !self.answers().await {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(self.failed("starting PostgreSQL", &format!("it ended ({status})")));
            }
            if start.elapsed() > PATIENCE {
                return Err(self.failed("starting PostgreSQL", "it does not answer"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Somebody has to wait for the child, or it stays a zombie when it ends.
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    async fn create_database(&self) -> Result<(), ClusterError> {
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
        connection.close().await.map_err(failed)
    }

    async fn stop(&self) -> Result<(), ClusterError> {
        let Some(pid) = self.pid() else { return Ok(()) };
        // SIGINT is PostgreSQL's fast shutdown: connections are ended, everything is written.
        let _ = kill(pid, Signal::SIGINT);
        let start = Instant::now();
        while self.pid().is_some() {
            if start.elapsed() > STOP_TIME {
                return Err(self.failed("stopping PostgreSQL", "it does not stop"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Whether PostgreSQL runs and answers. One that is still starting is waited for.
    async fn is_running(&self) -> Result<bool, ClusterError> {
        let start = Instant::now();
        while let Some(pid) = self.pid() {
            if self.answers().await {
                return Ok(true);
            }
            if start.elapsed() > PATIENCE {
                return Err(self.failed("using PostgreSQL", &format!("it runs (process {pid}) and does not answer")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(false)
    }

    async fn answers(&self) -> bool {
        let connected = async {
            let connection = self.connect_options().database("postgres").connect().await?;
            connection.close().await
        };
        matches!(tokio::time::timeout(ANSWER_TIME, connected).await, Ok(Ok(())))
    }

    /// PostgreSQL's process, if it lives.
    fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.data_dir.join("postgres/postmaster.pid")).ok()?;
        let pid = text.lines().next()?.trim().parse().ok().map(Pid::from_raw)?;
        serves(pid, &self.data_dir.join("postgres")).then_some(pid)
    }

    /// Removes what a crashed PostgreSQL left behind. PostgreSQL does this itself unless
    /// another process has got the old one's number, as happens in containers.
    fn remove_stale_files(&self) {
        if self.pid().is_none() {
            let socket = self.socket_dir.join(format!(".s.PGSQL.{PORT}"));
            for file in [self.data_dir.join("postgres/postmaster.pid"), socket.with_extension("5432.lock"), socket] {
                let _ = fs::remove_file(file);
            }
        }
    }

    /// The account that PostgreSQL runs as; `None` for that of muster itself.
    fn account(&self) -> Option<(Uid, Gid)> {
        if !Uid::effective().is_root() {
            return None;
        }
        // A cluster that exists goes on as whoever owns it.
        let owner = fs::metadata(self.data_dir.join("postgres")).ok().filter(|existing| existing.uid() != 0);
        owner.map(|existing| (Uid::from_raw(existing.uid()), Gid::from_raw(existing.gid()))).or_else(|| {
            ["postgres", "nobody"]
                .iter()
                .find_map(|name| User::from_name(name).ok().flatten())
                .map(|user| (user.uid, user.gid))
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.program(program));
        // PostgreSQL reads PG… variables; those of the caller are meant for other databases.
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

    fn unusable(&self, error: &io::Error) -> ClusterError {
        data_dir::unusable(&self.data_dir, error).into()
    }

    fn failed(&self, doing: &'static str, said: &str) -> ClusterError {
        let log = self.data_dir.join("postgres.log");
        let tail = fs::read_to_string(&log).map(|text| last_line(&text)).unwrap_or_default();
        let said = if tail.is_empty() {
            said.to_owned()
        } else {
            format!("{said}; the end of {} says: {tail}", log.display())
        };
        ClusterError::Failed { doing, said }
    }
}

/// Whether the process lives and is the PostgreSQL of this folder, as far as the system tells.
fn serves(pid: Pid, folder: &Path) -> bool {
    if kill(pid, None) == Err(nix::errno::Errno::ESRCH) {
        return false;
    }
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        // `4711 (postgres) S …`; a zombie has ended and only waits to be waited for.
        Ok(stat) if stat.contains("(postgres) Z") => false,
        // PostgreSQL works in its data directory, which tells it from another one with a recycled number.
        Ok(stat) => match fs::read_link(format!("/proc/{pid}/cwd")) {
            Ok(cwd) => cwd == folder,
            Err(_) => stat.contains("(postgres) "),
        },
        // Systems without /proc: the signal has to do.
        Err(_) => !Path::new("/proc/self/stat").exists(),
    }
}

/// Why one of PostgreSQL's programs ended: the first error that it tells, or else what it said last.
fn reason(text: &str) -> String {
    let told = |line: &str| {
        let (_, error) = ["FATAL:", "PANIC:", " error:"].iter().find_map(|label| line.split_once(label))?;
        Some(error.trim().to_owned())
    };
    text.lines().find_map(told).unwrap_or_else(|| last_line(text))
}

fn last_line(text: &str) -> String {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_postgresql_ended_for_the_first_error_that_it_told() {
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
