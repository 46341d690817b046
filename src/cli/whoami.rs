//! `muster whoami`: the server and the API key that commands use.

use serde::Serialize;

use super::Exit;
use super::output::{self, Format, TableRow};
use super::remote::RemoteArgs;
use crate::keys::Token;

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  muster whoami --host https://muster.example.org -o json")]
pub(super) struct Args {
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Who commands act as.
#[derive(Serialize)]
struct Identity {
    host: String,
    organization: String,
    /// Absent for a key without a user.
    email: Option<String>,
    user_id: Option<String>,
    permission_level: String,
    key_id: String,
    /// The variable or the file that the API key comes from.
    key_from: String,
}

pub(super) async fn run(args: &Args) -> Result<(), Exit> {
    let access = args.remote.access()?;
    let client = access.client()?;
    let me = client.user_info().await?;
    let key_id = Token::parse(access.token.expose()).map(|token| token.id.to_string()).unwrap_or_default();
    let is_user = me.id != key_id;
    let organization = me.organizations.into_iter().next().map(|organization| organization.public_identifier);
    let identity = Identity {
        host: client.host(),
        organization: organization.unwrap_or_default(),
        email: is_user.then_some(me.email),
        user_id: is_user.then_some(me.id),
        permission_level: me.organization_permission_level,
        key_id,
        key_from: access.source,
    };
    output::print_one(args.remote.output, &identity)
}

impl TableRow for Identity {
    const HEADER: &'static [&'static str] = &["HOST", "ORGANIZATION", "EMAIL", "USER ID", "ROLE", "KEY ID", "KEY FROM"];

    fn cells(&self, format: Format) -> Vec<String> {
        let or_placeholder = |text: &Option<String>| text.as_deref().unwrap_or(format.placeholder()).to_owned();
        vec![
            self.host.clone(),
            self.organization.clone(),
            or_placeholder(&self.email),
            or_placeholder(&self.user_id),
            self.permission_level.clone(),
            self.key_id.clone(),
            self.key_from.clone(),
        ]
    }
}
