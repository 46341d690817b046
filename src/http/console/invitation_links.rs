//! The links of people who were just invited: a page with slips to print, and a file for a mail merge.

use actix_web::HttpResponse;
use askama::Template;

use super::shell::Shell;
use super::visit::Visit;
use super::{download, numbers};
use crate::app::App;
use crate::error::Result;
use crate::http::pages::{self, Moment};
use crate::http::public_url::link_warning;
use crate::invitations::ListOutcome;

#[derive(Template)]
#[template(path = "console/invitation_links.html")]
pub(super) struct LinksPage {
    pub(super) shell: Shell,
    pub(super) slips: Vec<Slip>,
    /// The number of people whose open invitation stays.
    pub(super) kept: usize,
    /// Why the links may not work for others.
    pub(super) warning: Option<String>,
}

pub(super) struct Slip {
    pub(super) email: String,
    pub(super) link: String,
    pub(super) expires: Moment,
}

impl LinksPage {
    pub(super) fn new(app: &App, visit: &Visit, outcomes: &[ListOutcome], base: &str) -> Self {
        let created = outcomes.iter().filter_map(ListOutcome::invitation);
        let slips: Vec<Slip> = created
            .map(|invitation| Slip {
                email: invitation.invitee.email.as_str().to_owned(),
                link: format!("{base}/invitations/{}", invitation.token.text().expose()),
                expires: visit.moment(invitation.expires_at),
            })
            .collect();
        Self {
            shell: visit.shell.clone(),
            kept: outcomes.len() - slips.len(),
            slips,
            warning: link_warning(base, &app.config.server).map(|warning| pages::sentence(&warning)),
        }
    }
}

/// The links as a file for a mail merge, with the columns of the command line.
pub(super) fn csv(outcomes: &[ListOutcome], base: &str) -> Result<HttpResponse> {
    let names = ["email", "link", "expires_at"].map(str::to_owned);
    let rows = outcomes.iter().filter_map(ListOutcome::invitation).map(|invitation| {
        let expires_at = invitation.expires_at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let link = format!("{base}/invitations/{}", invitation.token.text().expose());
        [invitation.invitee.email.as_str().to_owned(), link, expires_at]
    });
    download::csv(std::iter::once(names).chain(rows), "invitations")
}
