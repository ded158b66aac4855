//! Whoever breaks is noticed: in the log, at `/readyz`, in the metrics and by
//! the exit code.
//!
//! Without the folding thread or a thread of the store nothing works: the
//! process ends in order and whoever started it starts it anew, from what is on
//! the disk. A source that fails leaves the others running, but the sidecar is
//! no longer ready. Sinks are guarded by their drivers.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sidewatch_sinks::{DriverSettings, RecordQueue, Sink, drive};
use sidewatch_sources::SourceError;
use sidewatch_store::{Running as StoreThreads, Store};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::report::Reporting;
use super::status::Status;

/// How long the last events may take to be committed.
const FOLDING_GRACE: Duration = Duration::from_secs(5);
/// How often the threads of the store are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Tasks that are known by a name even when they broke.
#[derive(Debug)]
pub(super) struct Named<T> {
    tasks: JoinSet<T>,
    names: HashMap<Id, String>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
        }
    }
}

impl<T: Send + 'static> Named<T> {
    pub(super) fn spawn(&mut self, name: String, task: impl Future<Output = T> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits for the next to end; none when there are none left. Cancel-safe.
    pub(super) async fn join_next(&mut self) -> Option<(String, Result<T, JoinError>)> {
        let ended = self.tasks.join_next_with_id().await?;
        let (id, result) = match ended {
            Ok((id, value)) => (id, Ok(value)),
            Err(error) => (error.id(), Err(error)),
        };
        Some((self.names.remove(&id).unwrap_or_default(), result))
    }

    pub(super) async fn join_all(&mut self) {
        while self.join_next().await.is_some() {}
    }
}

/// Starts a thread nothing works without. What comes back turns true when it
/// ends, in whatever way.
///
/// # Errors
/// It cannot be started.
pub(super) fn thread(
    name: &str,
    status: Arc<Status>,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<watch::Receiver<bool>> {
    let (ended, watched) = watch::channel(false);
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                status.alive.store(false, Ordering::Release);
                tracing::error!(
                    "the folding thread broke; what was not committed is not acknowledged"
                );
            }
            ended.send_replace(true);
        })?;
    Ok(watched)
}

/// Starts a thread traffic flows without; when it breaks, that is a failure of
/// the whole.
///
/// # Errors
/// It cannot be started.
pub(super) fn beside(
    name: &'static str,
    status: Arc<Status>,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                status.fail(&format!(
                    "the thread `{name}` broke: what it did is not done until a restart"
                ));
            }
        })?;
    Ok(())
}

/// Everything that runs.
pub(super) struct Running {
    pub(super) status: Arc<Status>,
    pub(super) reading: Named<Result<(), SourceError>>,
    pub(super) delivering: Named<()>,
    /// Turns true when the folding thread ends.
    pub(super) folding: watch::Receiver<bool>,
    pub(super) store: Option<(Arc<Store>, StoreThreads)>,
}

impl Running {
    pub(super) fn deliver(
        &mut self,
        sink: Box<dyn Sink>,
        queue: impl RecordQueue + 'static,
        ended: &watch::Receiver<bool>,
    ) {
        let mut ended = ended.clone();
        let shutdown = async move { drop(ended.wait_for(|ended| *ended).await) };
        let name = queue.name().to_owned();
        let driven = drive(sink, queue, DriverSettings::default(), shutdown);
        self.delivering.spawn(name, driven);
    }

    /// Returns when it is time to end: because of `stop`, because all sources
    /// have ended, or because a part broke that nothing works without.
    pub(super) async fn watch(&mut self, stop: impl Future<Output = ()> + Send) {
        tokio::pin!(stop);
        let mut looks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = self.folding.wait_for(|ended| *ended) => {
                    self.status.fail("the folding thread ended early");
                    return;
                }
                _ = looks.tick() => {
                    if self.store.as_ref().is_some_and(|(_, threads)| threads.is_incomplete()) {
                        self.status.fail("a thread of the store ended early");
                        return;
                    }
                }
                Some((name, ended)) = self.delivering.join_next() => {
                    let how = if ended.is_ok() { "ended early" } else { "broke" };
                    self.status.fail(&format!("sink {name} {how}"));
                }
                ended = self.reading.join_next() => match ended {
                    None => return,
                    Some((name, Ok(Ok(())))) => tracing::info!(source = name, "source ended"),
                    Some((name, Ok(Err(error)))) => {
                        self.status.fail(&format!("source {name} failed: {error}"));
                    }
                    Some((name, Err(_))) => self.status.fail(&format!("source {name} broke")),
                },
            }
        }
    }

    /// Lets the sources hand over what they hold, and that be committed.
    pub(super) async fn end(&mut self, reporting: Reporting, last_words: impl FnOnce()) {
        let Self {
            reading,
            folding,
            store,
            ..
        } = self;
        let done = async {
            reading.join_all().await;
            last_words();
            // The last end of the hand-over goes with it.
            reporting.end().await;
            drop(folding.wait_for(|done| *done).await);
        };
        tokio::pin!(done);
        if tokio::time::timeout(FOLDING_GRACE, &mut done).await.is_ok() {
            return;
        }
        tracing::warn!(
            "a sink or the disk holds up the last batches; they are given up, unacknowledged"
        );
        // Refuses the folding thread, which then refuses the sources.
        if let Some((store, _)) = store {
            store.give_up();
        }
        done.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thread_that_breaks_is_noticed() {
        let status = Arc::new(Status::default());
        status.alive.store(true, Ordering::Release);
        let mut ended = thread("test", Arc::clone(&status), || panic!("on purpose")).unwrap();
        ended.wait_for(|ended| *ended).await.unwrap();
        assert!(!status.alive.load(Ordering::Acquire));
    }

    #[tokio::test]
    async fn a_thread_beside_that_breaks_is_a_failure_and_one_that_ends_is_none() {
        let status = Arc::new(Status::default());
        beside("fine", Arc::clone(&status), || {}).unwrap();
        beside("rules", Arc::clone(&status), || panic!("on purpose")).unwrap();
        while status.failures().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(status.failures().len(), 1);
        assert!(status.failures()[0].contains("`rules` broke"));
    }

    #[tokio::test]
    async fn the_pipeline_ends_when_its_folding_thread_does_and_goes_on_without_a_source() {
        let status = Arc::new(Status::default());
        let (stop_folding, folding) = watch::channel(false);
        let mut running = Running {
            status: Arc::clone(&status),
            reading: Named::default(),
            delivering: Named::default(),
            folding,
            store: None,
        };
        running
            .reading
            .spawn("log".to_owned(), async { panic!("on purpose") });
        running
            .reading
            .spawn("mirror".to_owned(), std::future::pending());
        let watching = tokio::spawn(async move {
            running.watch(std::future::pending()).await;
        });
        while status.failures().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(status.failures(), ["source log broke"]);
        assert!(!watching.is_finished());
        stop_folding.send_replace(true);
        watching.await.unwrap();
        assert_eq!(status.failures().len(), 2);
    }
}
