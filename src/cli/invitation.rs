//! stub

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// x
    List,
}

pub(super) async fn run(_: Command) -> Result<(), super::Exit> {
    Ok(())
}
