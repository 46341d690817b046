//! Taking back: stopping a batch that is running, removing the users of one that was created.

use std::sync::Arc;

use super::lease;
use super::read::{self, Member, Summary};
use super::write;
use crate::app::App;
use crate::audit::Target;
use crate::caller::{Action, Caller};
use crate::change::Change;
use crate::collaborators::owners;
use crate::error::{Code, Error, Result};
use crate::id::{Batch, Id, User};
use crate::report::{Finding, Report};

/// Stops a batch before it is created. Nothing of it will exist.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` when it is not running, or no longer.
pub async fn cancel(app: &Arc<App>, caller: &Caller, batch_id: Id<Batch>) -> Result<Summary> {
    // A batch that died is failed, not cancelled.
    lease::reap(app, Some((caller.organization_id, batch_id))).await?;
    app.change_many(caller, Action::BatchCancel, Target::Batch(batch_id), async |change| {
        match write::locked_state(change, batch_id).await?.as_deref() {
            None => Err(read::not_found(batch_id)),
            Some("running") => write::cancel(change, batch_id).await,
            Some(state) => {
                let sentence = format!("batch {batch_id} is {state}: only a running one can be cancelled");
                Err(Error::new(Code::Conflict, sentence))
            }
        }
    })
    .await?;
    read::get(app, caller, batch_id).await
}

/// How to undo.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Only find out who would be removed.
    pub dry_run: bool,
    /// Keep those who have been used since and remove the others, instead of removing nobody.
    pub keep_used: bool,
}

/// Whom undoing a batch removes.
#[derive(Debug)]
pub struct Undone {
    /// Those who are removed, or would be, in the order of the list.
    pub removed: Vec<Member>,
    /// Those who stay, and why.
    pub kept: Vec<(Member, Use)>,
}

/// What has become of a user since their batch, so that removing them would lose something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// They have signed in.
    SignedIn,
    /// Somebody has changed them: their profile, password, permission level or groups.
    Changed,
    /// Something belongs to them, such as an API key.
    InUse,
}

impl Use {
    /// A stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::Changed => "changed",
            Self::InUse => "in_use",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::SignedIn => "has signed in since",
            Self::Changed => "was changed since",
            Self::InUse => "has an API key",
        }
    }

    fn from_database(code: &str) -> Self {
        [Self::SignedIn, Self::Changed].into_iter().find(|reason| reason.code() == code).unwrap_or(Self::InUse)
    }
}

/// Removes the users of a batch who have never signed in and were not changed since, with their
/// memberships and passwords. If some were, nobody is removed, unless `keep_used` says to keep
/// just those. All or none.
///
/// # Errors
/// `forbidden`; `not_found`; `conflict` when the batch is not one that was created, or was undone before;
/// `batch_in_use` with a finding for each user in the way, by their place in the list; `last_owner` with one for each owner.
pub async fn undo(app: &App, caller: &Caller, batch_id: Id<Batch>, options: Options) -> Result<Undone> {
    app.change_many(caller, Action::BatchUndo, Target::Batch(batch_id), async |change| {
        if options.dry_run {
            change.take_back();
        }
        // A batch can have made owners.
        owners::lock(change).await?;
        match write::locked_state(change, batch_id).await?.as_deref() {
            None => return Err(read::not_found(batch_id)),
            Some("created") => {}
            Some("undone") => {
                return Err(Error::new(Code::Conflict, format!("batch {batch_id} has been undone before")));
            }
            Some(state) => {
                let sentence = format!("batch {batch_id} is {state}: there is nothing to undo");
                return Err(Error::new(Code::Conflict, sentence));
            }
        }
        let (removed, kept) = members(change, batch_id, options.keep_used).await?;
        let ids: Vec<Id<User>> = removed.iter().map(|(_, member)| member.user_id).collect();
        let owners = owners::among(change, &ids).await?;
        write::undo(change, batch_id, &ids, kept.len()).await?;
        let mut report = Report::on(removed.len() + kept.len(), "removed");
        for (index, member) in removed.iter().filter(|(_, member)| owners.contains(&member.user_id)) {
            report.add(Finding::last_owner(*index, None, &member.email));
        }
        owners::require_one_or_report(change, report).await?;
        Ok(Undone { removed: removed.into_iter().map(|(_, member)| member).collect(), kept })
    })
    .await
}

/// Who can be removed, each with their place in the list.
type Removed = Vec<(usize, Member)>;

/// Who can be removed, and who can't. Locks them all.
async fn members(change: &mut Change, batch_id: Id<Batch>, keep_used: bool) -> Result<(Removed, Vec<(Member, Use)>)> {
    let found = read::members(change, batch_id).await?;
    let mut report = Report::new(found.len());
    let (mut removed, mut kept) = (Vec::with_capacity(found.len()), Vec::new());
    for (index, (member, reason)) in found.into_iter().enumerate() {
        match reason.as_deref().map(Use::from_database) {
            None => removed.push((index, member)),
            Some(reason) => {
                report.add(Finding::about(index, &member.email, reason.code(), reason.message()));
                kept.push((member, reason));
            }
        }
    }
    if !report.is_empty() && (!keep_used || removed.is_empty()) {
        return Err(Error::new(Code::BatchInUse, report.undo_summary()).with_report(report));
    }
    Ok((removed, kept))
}
