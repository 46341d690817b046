//! `muster user export`: all people, with the fields that `muster user apply` takes.
//!
//! # Decisions
//!
//! - **An export that is applied unchanged changes nothing.** CSV has the prefix of formulas, as all CSV has, and `apply`
//!   removes it; a file gets invisible characters such as joiners in names as they are, while a terminal gets replacements.
//! - **`permission_level` is the member's own level**: with that of a group, an applied export would make owners of its
//!   members.
//! - Service accounts are left out: their names and addresses can't be changed.
//! - Users are printed page by page, so that neither side holds a long list in memory. A user who is changed meanwhile has the
//!   state of the time at which their page was read.
//! - **CSV is read twice**: first for the keys of all attributes, which are columns. If a new one appears in between, the export
//!   fails: without the column, the value would be missing.

use std::collections::BTreeSet;
use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::ValueEnum;
use muster_client::{Collaborator, CollaboratorFilter, CollaboratorType};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::{Map, Value};

use super::remote::ServerArgs;
use super::user_filter::MoreFilterArgs;
use super::{Exit, listing, output};
use crate::users::attributes::{PREFIX, to_cell};

pub(super) const EXAMPLES: &str = "\
Examples:
  Export everybody, edit the file in a spreadsheet, and apply the changes:
    muster user export >people.csv
    muster user apply -f people.csv
  Export the people of a group as YAML:
    muster user export --group research -o yaml >research.yaml";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    filter: MoreFilterArgs,
    /// Format on standard output.
    #[arg(short, long, value_enum, default_value = "csv")]
    output: ExportFormat,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// For spreadsheets: RFC 4180 with a header row. A cell that a spreadsheet would evaluate as a formula is prefixed with
    /// ', which `muster user apply` removes.
    Csv,
    /// One array.
    Json,
    /// One user per line.
    Ndjson,
    /// For text editors.
    Yaml,
}

/// A person as a row of the file.
#[derive(Serialize)]
struct Person<'a> {
    user: &'a str,
    email: &'a str,
    name: &'a str,
    lastname: Option<&'a str>,
    title: Option<&'a str>,
    is_sso_user: bool,
    permission_level: &'a str,
    expires_at: Option<DateTime<Utc>>,
    status: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    attributes: &'a Map<String, Value>,
}

const COLUMNS: [&str; 9] =
    ["user", "email", "name", "lastname", "title", "is_sso_user", "permission_level", "expires_at", "status"];

impl<'a> Person<'a> {
    fn new(user: &'a Collaborator) -> Result<Self, Exit> {
        let missing =
            || Exit::usage("the server does not send all fields of users; it is not muster, or an older version");
        Ok(Self {
            user: user.user_id.as_deref().ok_or_else(missing)?,
            email: &user.email,
            name: &user.name,
            lastname: user.lastname.as_deref(),
            title: user.title.as_deref(),
            is_sso_user: user.is_sso_user.ok_or_else(missing)?,
            permission_level: user.base_role.as_deref().ok_or_else(missing)?,
            expires_at: user.expires_at,
            status: user.status.as_deref().ok_or_else(missing)?,
            attributes: &user.attributes,
        })
    }

    /// The cells of the columns, and of those of the attributes.
    fn cells(&self, keys: &BTreeSet<String>) -> Result<Vec<String>, Exit> {
        if let Some(new) = self.attributes.keys().find(|key| !keys.contains(*key)) {
            let why = "appeared during the export; repeat it";
            return Err(Exit::rejected(format!("the attribute `{}` {why}", output::clean(new))));
        }
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let attributes = keys.iter().map(|key| self.attributes.get(key).map(to_cell).unwrap_or_default());
        let cells = [
            self.user.to_owned(),
            self.email.to_owned(),
            self.name.to_owned(),
            text(self.lastname),
            text(self.title),
            self.is_sso_user.to_string(),
            self.permission_level.to_owned(),
            self.expires_at.map_or_else(String::new, |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            self.status.to_owned(),
        ];
        Ok(cells.into_iter().chain(attributes).collect())
    }

    /// A mapping in YAML, an item of a list. JSON text is YAML, but for surrogate pairs, which [`output::yaml_text`] avoids, and
    /// for some numbers ([`YamlNumbers`]).
    fn yaml(&self) -> Result<String, Exit> {
        let fields = serde_json::to_value(self).map_err(Exit::usage)?;
        let mut yaml = String::new();
        for name in COLUMNS.into_iter().chain(["attributes"]) {
            let Some(value) = fields.get(name) else { continue };
            let mut json = Vec::new();
            let mut serializer = serde_json::Serializer::with_formatter(&mut json, YamlNumbers);
            value.serialize(&mut serializer).map_err(Exit::usage)?;
            let value = output::yaml_text(&String::from_utf8_lossy(&json));
            let start = if yaml.is_empty() { "  - " } else { "    " };
            yaml.push_str(&format!("{start}{name}: {value}\n"));
        }
        Ok(yaml)
    }
}

/// Writes numbers with an exponent so that YAML 1.1 reads them as numbers: `1.0e-7`, since `1e-7` is text.
struct YamlNumbers;

impl Formatter for YamlNumbers {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, number: f64) -> io::Result<()> {
        let mut json = Vec::new();
        CompactFormatter.write_f64(&mut json, number)?;
        let json = String::from_utf8_lossy(&json);
        match json.split_once('e') {
            Some((digits, exponent)) if !digits.contains('.') => write!(writer, "{digits}.0e{exponent}"),
            _ => writer.write_all(json.as_bytes()),
        }
    }
}

pub(super) async fn run(args: Args) -> Result<(), Exit> {
    let client = args.server.client()?;
    let people = CollaboratorFilter {
        collaborator_type: Some(CollaboratorType::OnlyUserAccounts),
        ..CollaboratorFilter::default()
    };
    let filter = args.filter.add_to(people, &client).await?;
    let format = args.output;
    let pages =
        async |count: u8, token: Option<String>| client.list_collaborators(&filter, count, token.as_deref()).await;
    let mut keys = BTreeSet::new();
    if format == ExportFormat::Csv {
        listing::each_page(listing::PAGE_SIZE, None, pages, |page| {
            keys.extend(page.into_iter().flat_map(|user| user.attributes.into_iter().map(|(key, _)| key)));
            Ok(true)
        })
        .await?;
    }
    output::write_exact(&match format {
        ExportFormat::Csv => {
            let attributes = keys.iter().map(|key| format!("{PREFIX}{key}"));
            let names = COLUMNS.map(str::to_owned).into_iter().chain(attributes).collect();
            output::csv_rows([names]).map_err(Exit::usage)?
        }
        ExportFormat::Json => "[".to_owned(),
        ExportFormat::Yaml => "users:\n".to_owned(),
        ExportFormat::Ndjson => String::new(),
    })?;
    let mut count = 0;
    let mut is_open = true;
    listing::each_page(listing::PAGE_SIZE, None, pages, |page| {
        let mut text = String::new();
        for user in &page {
            let person = Person::new(user)?;
            match format {
                ExportFormat::Csv => text.push_str(&output::csv_rows([person.cells(&keys)?]).map_err(Exit::usage)?),
                ExportFormat::Json => {
                    text.push_str(if count == 0 { "\n  " } else { ",\n  " });
                    text.push_str(&output::json_line(&person)?);
                }
                ExportFormat::Ndjson => {
                    text.push_str(&output::json_line(&person)?);
                    text.push('\n');
                }
                ExportFormat::Yaml => text.push_str(&person.yaml()?),
            }
            count += 1;
        }
        is_open = output::write_exact(&text)?;
        Ok(is_open)
    })
    .await?;
    if is_open {
        output::write_exact(match format {
            ExportFormat::Json => "\n]\n",
            ExportFormat::Yaml if count == 0 => "  []\n",
            ExportFormat::Csv | ExportFormat::Ndjson | ExportFormat::Yaml => "",
        })?;
        output::say(&format!("{} exported", output::users(count)));
    }
    Ok(())
}
