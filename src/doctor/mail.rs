//! The SMTP server: whether it accepts muster's connection and credentials.

use std::time::Duration;

use super::{Finding, Subject};
use crate::mail::Mailer;

const CHECK: &str = "mail.smtp";

/// The longest wait for the server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to the server, if mail is configured.
pub(super) async fn examine(subject: &Subject<'_>) -> Option<Finding> {
    // Settings that can't be used are reported before all checks.
    let mailer = Mailer::new(subject.config).ok().flatten()?;
    let server = mailer.server();
    if let Err(why) = mailer.check(TIMEOUT).await {
        let meaning = "messages with links to set passwords stay in the queue";
        let advice = "correct `mail.url`, or the server; then run `muster mail test ADDRESS`";
        return Some(Finding::problem(CHECK, format!("{server}: {why}"), meaning, advice));
    }
    let has_seal_key =
        subject.embedded_data_dir.is_some() || subject.config.seal_keys().is_ok_and(|keys| !keys.is_empty());
    if !has_seal_key {
        // As for the server key: a supervisor may provide it only to the service.
        return Some(Finding::conditional(
            CHECK,
            format!(
                "{server} accepts mail, but `secrets.seal_key` is not set for this process; fine if the service gets one"
            ),
            "without a seal key, no links are sent by mail (`seal_key_missing`)",
            "set `secrets.seal_key_file` to a file with the output of `openssl rand -hex 32`, the same for all instances",
        ));
    }
    Some(Finding::ok(CHECK, format!("{server} accepts muster's connection and credentials")))
}
