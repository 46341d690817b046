//! The throttle: limits of attempts, in rows that all instances share (the generic cell rate algorithm on one column).
//!
//! | bucket | of | at once | then one per |
//! |---|---|---|---|
//! | account | an address, existing or not | `account_burst` | minute / `account_per_minute` |
//! | account, day | the same | `account_per_day` | day / `account_per_day` |
//! | known device | the address and a device cookie, instead of the two above | 10; 100 a day | 10 seconds |
//! | network | the address of the client, for IPv6 its /64; for single sign-on, too | `network_burst` failures | minute / `network_per_minute` |
//! | link | a link to set a password | 10 | 6 seconds |
//! | reset | an address for which a link is asked for | 3 | 10 minutes |
//! | reset, network | the address of the client, as above | 30 | minute |
//! | sso_create | a provider that creates accounts | `creates_per_hour` | hour / `creates_per_hour` |
//! | sso_logout | the address of a provider that ends sessions, as above | 100 | second |
//!
//! The database's clock decides. A bucket is the start of an HMAC: the table names nobody.

use std::net::IpAddr;
use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;

use super::device::Device;
use super::write;
use crate::app::App;
use crate::change::Change;
use crate::error::{Error, Result};
use crate::id::{Id, Organization, PasswordLink, SsoProvider};

pub(crate) use write::delete_old;

const DAY: TimeDelta = TimeDelta::days(1);
const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// A bucket from which an attempt takes a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// The kind, for metrics.
    pub(super) kind: &'static str,
    pub(super) id: [u8; 16],
    /// The time in which one token comes back.
    pub(super) cost: TimeDelta,
    /// The time in which all come back.
    pub(super) capacity: TimeDelta,
}

impl Bucket {
    /// A bucket of `burst` tokens, one of which comes back every `cost`.
    fn new(app: &App, kind: &'static str, of: &[&[u8]], burst: u32, cost: TimeDelta) -> Self {
        let mut text = kind.as_bytes().to_vec();
        for part in of {
            text.push(0);
            text.extend_from_slice(part);
        }
        let id = app.fingerprints.sign("throttle", &text);
        Self { kind, id, cost, capacity: cost * i32::try_from(burst).unwrap_or(i32::MAX) }
    }
}

/// Tokens that were taken.
#[derive(Debug)]
pub(crate) struct Taken(Vec<Bucket>);

/// A bucket that has no token left.
#[derive(Debug)]
pub(super) struct Throttled {
    pub(super) bucket: &'static str,
    pub(super) retry_after: Duration,
}

/// Takes a token for an attempt to set a password with a link: each makes muster check a password, which is expensive.
///
/// # Errors
/// `throttled`.
pub(crate) async fn limit_link(app: &App, organization_id: Id<Organization>, link_id: Id<PasswordLink>) -> Result<()> {
    let id = Uuid::from(link_id);
    let bucket = Bucket::new(app, "link", &[id.as_bytes()], 10, TimeDelta::seconds(6));
    take(app, organization_id, vec![bucket]).await.map(drop)
}

/// Takes one of the accounts that a provider may create.
///
/// # Errors
/// `throttled`.
pub(crate) async fn limit_creations(
    app: &App,
    organization_id: Id<Organization>,
    provider_id: Id<SsoProvider>,
) -> Result<()> {
    let (id, per_hour) = (Uuid::from(provider_id), app.config.sso.creates_per_hour);
    let bucket = Bucket::new(app, "sso_create", &[id.as_bytes()], per_hour, TimeDelta::hours(1) / per(per_hour));
    take(app, organization_id, vec![bucket]).await.map(drop)
}

/// Takes a token for a logout token, whose signature is expensive to check.
///
/// # Errors
/// `throttled`.
pub(crate) async fn limit_logouts(app: &App, organization_id: Id<Organization>, address: IpAddr) -> Result<()> {
    let bucket = Bucket::new(app, "sso_logout", &[&network(address)], 100, TimeDelta::seconds(1));
    take(app, organization_id, vec![bucket]).await.map(drop)
}

/// The buckets of an attempt to sign in.
pub(super) fn of_sign_in(app: &App, key: &str, device: Option<Device>, address: Option<IpAddr>) -> Vec<Bucket> {
    let mut buckets = of_account(app, key, device);
    buckets.extend(address.map(|address| of_network(app, address)));
    buckets
}

fn of_network(app: &App, address: IpAddr) -> Bucket {
    let settings = &app.config.sign_in;
    let cost = MINUTE / per(settings.network_per_minute);
    Bucket::new(app, "network", &[&network(address)], settings.network_burst, cost)
}

/// Takes a token for an attempt to sign in through a provider, which costs requests to it. A success gives it back.
///
/// # Errors
/// `throttled`.
pub(crate) async fn take_of_network(
    app: &App,
    organization_id: Id<Organization>,
    address: Option<IpAddr>,
) -> Result<Taken> {
    take(app, organization_id, address.map(|address| of_network(app, address)).into_iter().collect()).await
}

/// The buckets of a request for a link.
pub(super) fn of_reset(app: &App, key: &str, address: Option<IpAddr>) -> Vec<Bucket> {
    let mut buckets = vec![Bucket::new(app, "reset", &[key.as_bytes()], 3, MINUTE * 10)];
    if let Some(address) = address {
        buckets.push(Bucket::new(app, "reset_network", &[&network(address)], 30, MINUTE));
    }
    buckets
}

/// The network of a client.
fn network(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_bits().to_be_bytes().to_vec(),
        IpAddr::V6(address) => (address.to_bits() & (u128::MAX << 64)).to_be_bytes().to_vec(),
    }
}

/// The buckets of an attempt to guess the password of an account.
pub(super) fn of_account(app: &App, key: &str, device: Option<Device>) -> Vec<Bucket> {
    let settings = &app.config.sign_in;
    match device {
        Some(device) => vec![
            Bucket::new(app, "device", &[key.as_bytes(), &device], 10, TimeDelta::seconds(10)),
            Bucket::new(app, "device_day", &[key.as_bytes(), &device], 100, DAY / 100),
        ],
        None => vec![
            Bucket::new(
                app,
                "account",
                &[key.as_bytes()],
                settings.account_burst,
                MINUTE / per(settings.account_per_minute),
            ),
            Bucket::new(
                app,
                "account_day",
                &[key.as_bytes()],
                settings.account_per_day,
                DAY / per(settings.account_per_day),
            ),
        ],
    }
}

/// The ranges of the settings begin at 1.
fn per(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX).max(1)
}

/// Takes a token from each bucket, or none.
///
/// # Errors
/// `throttled`, which is counted; those of the database.
pub(super) async fn take(app: &App, organization_id: Id<Organization>, buckets: Vec<Bucket>) -> Result<Taken> {
    if !app.config.sign_in.throttle || buckets.is_empty() {
        return Ok(Taken(Vec::new()));
    }
    match write::take(app, organization_id, &buckets).await? {
        None => Ok(Taken(buckets)),
        Some(Throttled { bucket, retry_after }) => {
            app.metrics.sign_ins.count_throttled(bucket);
            Err(Error::throttled(retry_after))
        }
    }
}

/// Gives tokens back, after a success, or when nothing was tried. A failure is logged: they come back by themselves.
pub(crate) async fn give_back(app: &App, organization_id: Id<Organization>, Taken(buckets): Taken) {
    if buckets.is_empty() {
        return;
    }
    if let Err(error) = write::give_back(app, organization_id, &buckets).await {
        app.db.observe(&error);
        tracing::warn!(error = error.chain(), "failed to give the tokens of a sign-in back");
    }
}

/// As [`give_back`], in the change of the success.
pub(super) async fn give_back_in(change: &mut Change, Taken(buckets): &Taken) -> Result<()> {
    if buckets.is_empty() {
        return Ok(());
    }
    let organization_id = change.organization_id();
    write::give_back_in(change.connection(), organization_id, buckets).await
}
