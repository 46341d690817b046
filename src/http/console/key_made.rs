//! What a form that makes or rotates an API key answers with: the key, shown once.

use actix_web::HttpResponse;
use askama::Template;

use super::respond;
use super::shell::Shell;
use super::visit::Visit;
use crate::app::App;
use crate::http::pages::Moment;
use crate::http::public_url::link_warning;
use crate::id::{ApiKey, Id};
use crate::keys::NewKey;

#[derive(Template)]
#[template(path = "console/key_made.html")]
pub(super) struct MadePage {
    pub(super) shell: Shell,
    pub(super) key_id: Id<ApiKey>,
    pub(super) name: String,
    pub(super) ends: Moment,
    pub(super) secret: Once,
}

/// The secret of a key.
pub(super) enum Once {
    /// It is shown now.
    Shown {
        token: String,
        /// The address of this server.
        host: String,
        /// Whether others may not reach the server there.
        is_doubtful: bool,
        /// Until when the previous secret stays valid; `None`: the key is new.
        previous: Option<Previous>,
    },
    /// It was shown at this time.
    Before(Moment),
}

/// The secret before a rotation.
pub(super) enum Previous {
    Ended,
    Until(Moment),
}

/// The page of a key that was just made, or rotated; `host` is the address of this server. The response is the page itself: a redirect would have to store the secret.
pub(super) fn page(app: &App, visit: Visit, made: NewKey, host: String, is_rotated: bool) -> HttpResponse {
    let NewKey { key, token } = made;
    let until = key.previous_expires_at.map_or(Previous::Ended, |until| Previous::Until(visit.moment(until)));
    let secret = Once::Shown {
        token: token.expose().to_owned(),
        is_doubtful: link_warning(&host, &app.config.server).is_some(),
        host,
        previous: is_rotated.then_some(until),
    };
    let ends = visit.moment(key.expires_at);
    respond(&MadePage { shell: visit.shell, key_id: key.key_id, name: key.name, ends, secret })
}
