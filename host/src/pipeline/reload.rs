//! Taking up database files that were replaced while we run.

use std::sync::Arc;
use std::time::Duration;

use sidewatch_enrich::Enricher;

use super::status::Status;

/// How often replaced database files are looked for.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Looks for replaced files until it is dropped.
pub(super) async fn databases(enricher: Enricher, status: Arc<Status>) {
    let enricher = Arc::new(enricher);
    loop {
        tokio::time::sleep(RELOAD_INTERVAL).await;
        let for_look = Arc::clone(&enricher);
        let Ok(outcomes) = tokio::task::spawn_blocking(move || for_look.check_reload()).await
        else {
            return;
        };
        for outcome in outcomes {
            let path = outcome.path.display();
            match &outcome.result {
                Ok(built) => tracing::info!(%path, built, "database replaced"),
                Err(error) => {
                    tracing::error!(%path, error, "replaced database is unusable; the old one stays in use")
                }
            }
        }
        status.set_databases(enricher.databases());
    }
}
