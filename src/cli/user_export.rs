//! `muster user export`: all people, with the fields that `muster user apply` takes.
//!
//! # Decisions
//!
//! - A file gets invisible characters such as joiners in names as they are, while a terminal gets replacements.
//! - Service accounts are left out: their names and addresses can't be changed.
//! - Users are printed page by page, so that neither side holds a long list in memory. A user who is changed meanwhile has the
//!   state of the time at which their page was read.
//! - **CSV is read twice**: first for the keys of all attributes, which are columns. If a new one appears in between, the export
//!   fails: without the column, the value would be missing.

use std::collections::BTreeSet;
use std::io::{self, Write};

use clap::ValueEnum;
use muster_client::{CollaboratorFilter, CollaboratorType};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use super::remote::ServerArgs;
use super::user_filter::MoreFilterArgs;
use super::{Exit, listing, output};
use crate::users_file::{EXPORT_COLUMNS, ExportedUser, csv_text};

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

/// A mapping in YAML, an item of a list. JSON text is YAML, but for surrogate pairs, which [`output::yaml_text`] avoids, and for
/// some numbers ([`YamlNumbers`]).
fn yaml(person: &ExportedUser) -> Result<String, Exit> {
    let fields = serde_json::to_value(person).map_err(Exit::usage)?;
    let mut yaml = String::new();
    for name in EXPORT_COLUMNS.into_iter().chain(["attributes"]) {
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

fn csv(person: &ExportedUser, keys: &BTreeSet<String>) -> Result<String, Exit> {
    let cells = person.cells(keys).map_err(|new| {
        Exit::rejected(format!("the attribute `{}` appeared during the export; repeat it", output::clean(new)))
    })?;
    csv_text([cells]).map_err(Exit::usage)
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
        ExportFormat::Csv => csv_text([ExportedUser::columns(&keys)]).map_err(Exit::usage)?,
        ExportFormat::Json => "[".to_owned(),
        ExportFormat::Yaml => "users:\n".to_owned(),
        ExportFormat::Ndjson => String::new(),
    })?;
    let mut count = 0;
    let mut is_open = true;
    listing::each_page(listing::PAGE_SIZE, None, pages, |page| {
        let mut text = String::new();
        for user in &page {
            let person = ExportedUser::new(user).ok_or_else(|| {
                Exit::usage("the server does not send all fields of users; it is not muster, or an older version")
            })?;
            match format {
                ExportFormat::Csv => text.push_str(&csv(&person, &keys)?),
                ExportFormat::Json => {
                    text.push_str(if count == 0 { "\n  " } else { ",\n  " });
                    text.push_str(&output::json_line(&person)?);
                }
                ExportFormat::Ndjson => {
                    text.push_str(&output::json_line(&person)?);
                    text.push('\n');
                }
                ExportFormat::Yaml => text.push_str(&yaml(&person)?),
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
