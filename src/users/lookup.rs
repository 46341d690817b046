//! Looking up users by id, from many requests at once.
//!
//! # Decisions
//!
//! *Who is asked for while a question is on its way is asked for by the next one, together.* Sending a statement and
//! waking those who wait for it, on both sides, costs several times what finding a row does. So a thread that serves
//! requests has few questions on their way, and under load each of them is for many users; a request that is alone is
//! answered as before. Nobody is told what was read before they asked.
//!
//! *A question that fails is nobody's answer*: each of those who wait asks for themselves then, and gets an error
//! of their own, if it is one. So a connection that breaks fails no request that finds another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::PgPool;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Details, read};
use crate::error::Result;
use crate::id::{Id, Organization, User};

/// Questions on their way, of one thread.
const QUESTIONS: usize = 2;

/// Users in one question.
const USERS: usize = 64;

/// Who is being asked for, by the requests of one thread.
#[derive(Debug, Default)]
pub struct Lookups(Mutex<Desk>);

#[derive(Debug, Default)]
struct Desk {
    waiting: Vec<Request>,
    /// Questions on their way.
    asking: usize,
}

#[derive(Debug)]
struct Request {
    organization_id: Id<Organization>,
    user_id: Id<User>,
    answer: oneshot::Sender<Option<Details>>,
}

impl Lookups {
    /// A user as they are now.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn find(
        self: &Arc<Self>,
        pool: &PgPool,
        organization_id: Id<Organization>,
        user_id: Id<User>,
    ) -> Result<Option<Details>> {
        let (answer, found) = oneshot::channel();
        let question = {
            let mut desk = self.lock();
            desk.waiting.push(Request { organization_id, user_id, answer });
            (desk.asking < QUESTIONS).then(|| Question::new(self, &mut desk))
        };
        if let Some(question) = question {
            tokio::spawn(question.ask(pool.clone()));
        }
        match found.await {
            Ok(found) => Ok(found),
            Err(_) => {
                let mut connection = Box::pin(pool.acquire()).await?;
                read::one(&mut connection, organization_id, user_id).await
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question on its way.
struct Question(Option<Arc<Lookups>>);

impl Question {
    fn new(lookups: &Arc<Lookups>, desk: &mut Desk) -> Self {
        desk.asking += 1;
        Self(Some(Arc::clone(lookups)))
    }

    /// Asks until nobody waits. Not longer at once than a connection may be waited for: then those who wait behind this
    /// are asked for, on another one.
    async fn ask(mut self, pool: PgPool) {
        let time = pool.options().get_acquire_timeout();
        while let Some(requests) = self.next() {
            match timeout(time, answer(&pool, requests)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(error = error.chain(), "users could not be looked up together"),
                Err(_) => tracing::debug!("users could not be looked up together in time"),
            }
        }
    }

    /// Those who wait, of one organization. When there are none, this question is no longer on its way.
    fn next(&mut self) -> Option<Vec<Request>> {
        let mut desk = self.0.as_ref()?.lock();
        // Whoever has given up waiting is not asked for.
        desk.waiting.retain(|request| !request.answer.is_closed());
        let Some(organization_id) = desk.waiting.first().map(|request| request.organization_id) else {
            desk.asking -= 1;
            drop(desk);
            self.0 = None;
            return None;
        };
        let mut taken = 0;
        let is_taken = |request: &mut Request| {
            let is_taken = request.organization_id == organization_id && taken < USERS;
            taken += usize::from(is_taken);
            is_taken
        };
        Some(desk.waiting.extract_if(.., is_taken).collect())
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if let Some(lookups) = &self.0 {
            lookups.lock().asking -= 1;
        }
    }
}

/// Looks them up, and tells those who asked.
async fn answer(pool: &PgPool, requests: Vec<Request>) -> Result<()> {
    let Some(Request { organization_id, .. }) = requests.first() else { return Ok(()) };
    let ids: Vec<Id<User>> = requests.iter().map(|request| request.user_id).collect();
    let mut connection = Box::pin(pool.acquire()).await?;
    let found = read::details(&mut connection, *organization_id, &ids).await?;
    drop(connection);
    for Request { user_id, answer, .. } in requests {
        let user = found.iter().find(|user| user.user_id == user_id).cloned();
        drop(answer.send(user));
    }
    Ok(())
}
