//! `muster secrets …`: stored secrets, directly in the database, as the local operator.

use clap::Subcommand;

use super::Exit;
use super::args::ConfigArgs;
use super::local::with_database;
use super::output;
use crate::caller::Caller;
use crate::sso::Resealed;
use crate::{mail, organizations, sso};

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Encrypt the stored secrets of all organizations with the first key of `secrets.seal_key`. Servers can run meanwhile.
    Reseal {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Exit> {
    let Command::Reseal { config } = command;
    with_database(config.load()?, async |app| {
        let operator = organizations::operator(app).await?;
        let (mut all, mut failure) = (Resealed::default(), None);
        for organization in organizations::list(app, &operator).await? {
            match sso::reseal(app, &Caller::operator(organization.organization_id)).await {
                Ok(resealed) => {
                    all.moved += resealed.moved;
                    all.current += resealed.current;
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if let Some(error) = failure {
            return Err(error.into());
        }
        output::say(&format!(
            "encrypted the secrets of {} with the first seal key; those of {} were already",
            output::count(all.moved, "identity provider"),
            all.current
        ));
        let messages = usize::try_from(mail::count_of_old_keys(app).await?).unwrap_or_default();
        if messages > 0 {
            output::say(&format!(
                "hint: keep the old key until {} {} sent (`muster mail list --state queued`)",
                output::count(messages, "queued message"),
                if messages == 1 { "is" } else { "are" }
            ));
        }
        Ok(())
    })
    .await
}
