//! The ID of a form that makes an API key.
//!
//! # Decisions
//!
//! *The key gets the ID of its form*, so that a form that is sent twice makes one key. The server signs the ID for the person to whom
//! it shows the form: nobody chooses the ID of a key.

use super::visit::Visit;
use crate::app::App;
use crate::id::{ApiKey, Id};

/// The purpose of the signature.
const PURPOSE: &str = "form of an API key";

/// The ID of a new form, with its signature.
pub(super) fn new(app: &App, visit: &Visit) -> String {
    let key_id = Id::new(visit.now);
    format!("{key_id}.{}", hex::encode(app.fingerprints.sign(PURPOSE, text(visit, key_id).as_bytes())))
}

/// The ID of a form that this person was shown; `None` for any other text, and after the key that signed it was lost.
pub(super) fn parse(app: &App, visit: &Visit, form: &str) -> Option<Id<ApiKey>> {
    let (key_id, signature) = form.split_once('.')?;
    let key_id = key_id.parse().ok()?;
    let signature = hex::decode(signature).ok()?.try_into().ok()?;
    app.fingerprints.has_signed(PURPOSE, text(visit, key_id).as_bytes(), &signature).then_some(key_id)
}

fn text(visit: &Visit, key_id: Id<ApiKey>) -> String {
    format!("{} {} {key_id}", visit.caller.organization_id, visit.holder.user.user_id)
}
