//! `muster batch wait` and `muster batch results`: the end of a batch and its users.

use muster_client::Client;

use super::Exit;
use super::batch_create::announce;
use super::output::{self, Format};
use super::progress::Progress;

/// Waits until a batch has ended. A batch that did not create its users is an error.
pub(super) async fn wait(client: &Client, batch_id: &str) -> Result<(), Exit> {
    let mut progress = Progress::start();
    let mut is_announced = false;
    let ended = tokio::select! {
        ended = client.wait_for_batch(batch_id, |batch| {
            if is_announced {
                progress.follow(batch);
            } else if !batch.has_ended() {
                is_announced = true;
                announce(batch, &mut progress);
            }
        }) => Some(ended),
        _ = tokio::signal::ctrl_c() => None,
    };
    progress.clear();
    match ended {
        Some(created) => {
            progress.say(&format!("{} created.", output::users(created?.users.len())));
            Ok(())
        }
        None => Err(interrupted(batch_id, None)),
    }
}

/// The error of a command that was interrupted while it waited for a batch; `format` is that of its output.
pub(super) fn interrupted(batch_id: &str, format: Option<Format>) -> Exit {
    let id = output::shell_quote(&output::clean(batch_id));
    let format = match format {
        None | Some(Format::Table | Format::Wide) => "",
        Some(Format::Json) => " -o json",
        Some(Format::Csv) => " -o csv",
    };
    Exit::rejected(format!(
        "interrupted; the batch continues on the server: `muster batch wait {id}` waits for it, then \
         `muster batch results {id}{format}` prints its users; `muster batch cancel {id}` cancels it"
    ))
}

/// Prints the users of a created batch.
pub(super) async fn results(client: &Client, batch_id: &str, format: Format) -> Result<(), Exit> {
    output::print_list(format, &client.batch_results(batch_id).await?.users)
}
