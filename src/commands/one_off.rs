//! `archive --device … --from … --to …`

use crate::cli::OneOff;
use crate::exit_code::ExitCode;

use super::telling::Telling;
use super::zones::Zones;
use super::{context, logging, plan, requests, work};

pub(super) async fn run(args: OneOff) -> anyhow::Result<ExitCode> {
    let style = logging::start(&args.common);
    if args.dry_run {
        return plan::show_selection(&args.selection, &args.common).await;
    }
    // Before any secret is read: a mistake in the line is the likelier one.
    let settings = context::settings(&args.common)?;
    let (zones, opened) = Zones::read_for_a_run(&settings).await?;
    let requests = requests::of_selection(&args.selection, &zones, requests::now())?;
    let (settings, credentials) = context::settings_with_credentials(&args.common)?;
    let clients = context::clients(&settings, credentials);
    let telling = Telling::by_hand(&args.common, &settings, requests.what.clone());
    telling.end(work::execute(style, &settings, clients, requests, opened).await).await
}
