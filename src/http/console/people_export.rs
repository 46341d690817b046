//! `/console/people/export`: the people of the list, all pages, as a file that `/console/people/changes` takes.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, web};
use bytes::Bytes;
use muster_client::{Collaborator, CollaboratorType};

use super::download::{self, Format, Pieces};
use super::people_query::PeopleQuery;
use super::shell::Place;
use super::visit::{Handled, Visit};
use crate::app::App;
use crate::caller::Caller;
use crate::collaborators::{self, CollaboratorFilter, PeopleOrder};
use crate::error::{Error, Result};
use crate::http::extract;
use crate::page::{COUNTS, Span};
use crate::users_file::{ExportedUser, csv_text};

/// What is left to read.
struct Rest {
    filter: CollaboratorFilter,
    order: PeopleOrder,
    after: Option<String>,
    format: Format,
    /// The keys of the attributes, which are columns.
    keys: BTreeSet<String>,
}

impl Rest {
    fn text(&self, users: &[Collaborator]) -> Result<String> {
        let rows = || users.iter().filter_map(ExportedUser::new);
        match self.format {
            Format::JsonLines => {
                let line = |user| serde_json::to_string(&user).map(|line| line + "\n");
                rows().map(line).collect::<std::result::Result<_, _>>().map_err(Error::internal)
            }
            Format::Csv => {
                let names = self.after.is_none().then(|| ExportedUser::columns(&self.keys));
                let cells = |user: ExportedUser<'_>| {
                    let new = |key: &str| Error::internal(format!("the attribute `{key}` appeared during the export"));
                    user.cells(&self.keys).map_err(new)
                };
                let rows: Vec<_> = rows().map(cells).collect::<Result<_>>()?;
                csv_text(names.into_iter().chain(rows)).map_err(|error| Error::internal(error.to_string()))
            }
        }
    }
}

impl Pieces for Rest {
    async fn read(self, app: &App, caller: &Caller) -> Result<(Bytes, Option<Self>)> {
        let [.., most] = COUNTS;
        let list = collaborators::list_key(&self.filter, self.order);
        let span = Span::parse(list, Some(&most.to_string()), self.after.as_deref(), None)?;
        let slice = collaborators::browse(app, caller, &self.filter, self.order, &span).await?;
        let users: Vec<Collaborator> = slice.rows.into_iter().map(|person| person.user.into()).collect();
        let text = self.text(&users)?;
        Ok((text.into(), slice.next.map(|next| Self { after: Some(next), ..self })))
    }
}

/// `GET /console/people/export`.
pub(super) async fn download(request: HttpRequest, app: web::Data<App>) -> Handled {
    let visit = Visit::of(&request, &app, Place::People).await?;
    let query: PeopleQuery = extract::query(&request)?;
    let (mut filter, order, format) = (query.filter()?, query.order()?, Format::of(Some(&query.format))?);
    // Service accounts can't be changed by a file.
    filter.collaborator_type.get_or_insert(CollaboratorType::OnlyUserAccounts);
    let keys = match format {
        Format::Csv => collaborators::attribute_keys(&app, &visit.caller).await?,
        Format::JsonLines => BTreeSet::new(),
    };
    let rest = Rest { filter, order, after: None, format, keys };
    Ok(download::stream(&request, app, &visit, rest, ("people", format)).await?)
}
