//! Batches, retries and the end of a sink, with time under control.

use std::future::pending;
use std::sync::Mutex;

use tokio::sync::oneshot;

use super::*;
use crate::queue::{QueueReceiver, QueueSender, queue};
use crate::sample;
use crate::sink::{BoxFuture, Retry};

/// What a scripted sink does with one call; after its script it delivers.
enum Step {
    /// Takes so many records, then has to wait.
    Take(usize, Duration),
    /// Refuses the first record.
    Refuse,
    /// Leaves the first record out.
    Filter,
    /// Never returns.
    Hang,
    /// Panics.
    Break,
}

#[derive(Default)]
struct Log {
    delivered: Vec<u128>,
    attempts: Vec<Instant>,
    closed: bool,
}

struct Scripted {
    steps: std::vec::IntoIter<Step>,
    log: Arc<Mutex<Log>>,
}

impl Sink for Scripted {
    fn deliver<'a>(&'a mut self, batch: &'a [Delivery]) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let step = self.steps.next();
            if matches!(step, Some(Step::Hang)) {
                return pending().await;
            }
            assert!(!matches!(step, Some(Step::Break)), "on purpose");
            let mut log = self.log.lock().unwrap();
            log.attempts.push(Instant::now());
            let mut outcome = Outcome::default();
            match step {
                Some(Step::Refuse) => outcome.reject("no such field"),
                Some(Step::Filter) => outcome.filter(),
                Some(Step::Take(records, after)) => {
                    log.delivered
                        .extend(batch.iter().take(records).map(Delivery::id));
                    outcome.finished = records.min(batch.len());
                    outcome.retry = Some(Retry {
                        after,
                        reason: "down".into(),
                    });
                }
                _ => {
                    log.delivered.extend(batch.iter().map(Delivery::id));
                    outcome.finished = batch.len();
                }
            }
            outcome
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async { self.log.lock().unwrap().closed = true })
    }
}

fn scripted(steps: Vec<Step>) -> (Box<dyn Sink>, Arc<Mutex<Log>>) {
    let log = Arc::new(Mutex::new(Log::default()));
    (
        Box::new(Scripted {
            steps: steps.into_iter(),
            log: Arc::clone(&log),
        }),
        log,
    )
}

fn filled(records: u128) -> (QueueSender, QueueReceiver) {
    let (sender, receiver) = queue("test", 1000);
    sender.offer_all((1..=records).map(sample::event));
    (sender, receiver)
}

const AT_ONCE: Duration = Duration::ZERO;

#[tokio::test(start_paused = true)]
async fn failures_lose_nothing_and_keep_the_order() {
    let steps = vec![
        Step::Take(3, AT_ONCE),
        Step::Take(0, AT_ONCE),
        Step::Take(7, AT_ONCE),
        Step::Take(0, AT_ONCE),
    ];
    let (sink, log) = scripted(steps);
    let (sender, receiver) = filled(40);
    let counters = Arc::clone(sender.counters());
    drop(sender);
    drive(
        sink,
        receiver,
        DriverSettings {
            batch: 16,
            ..DriverSettings::default()
        },
        pending(),
    )
    .await;
    assert_eq!(log.lock().unwrap().delivered, (1..=40).collect::<Vec<_>>());
    assert!(log.lock().unwrap().closed);
    let counts = counters.counts();
    assert_eq!(
        (
            counts.received,
            counts.delivered,
            counts.in_flight,
            counts.retries
        ),
        (40, 40, 0, 4)
    );
    assert!(counts.balanced());
    assert_eq!(counters.last_error(), None);
}

#[tokio::test(start_paused = true)]
async fn a_record_a_sink_panics_on_is_refused_and_the_others_arrive() {
    // Breaks on a batch, takes one, then breaks on a batch and one alone.
    let (sink, log) = scripted(vec![
        Step::Break,
        Step::Take(1, AT_ONCE),
        Step::Break,
        Step::Break,
    ]);
    let (sender, receiver) = filled(10);
    let counters = Arc::clone(sender.counters());
    drop(sender);
    drive(sink, receiver, DriverSettings::default(), pending()).await;
    let mut expected: Vec<u128> = (1..=10).collect();
    expected.remove(1);
    assert_eq!(log.lock().unwrap().delivered, expected);
    let counts = counters.counts();
    assert_eq!((counts.rejected, counts.delivered), (1, 9));
    assert!(counts.balanced());
}

#[tokio::test(start_paused = true)]
async fn refused_and_filtered_records_are_counted_and_not_offered_again() {
    let (sink, log) = scripted(vec![Step::Refuse, Step::Filter]);
    let (sender, receiver) = filled(4);
    let counters = Arc::clone(sender.counters());
    drop(sender);
    drive(sink, receiver, DriverSettings::default(), pending()).await;
    assert_eq!(log.lock().unwrap().delivered, [3, 4]);
    let counts = counters.counts();
    assert_eq!(
        (counts.delivered, counts.rejected, counts.filtered),
        (2, 1, 1)
    );
    assert!(counts.balanced());
    let refused = counters.refusals();
    assert_eq!(
        (refused[0].id, refused[0].reason.as_str()),
        (1, "no such field")
    );
}

#[tokio::test(start_paused = true)]
async fn the_wait_a_sink_asks_for_is_kept() {
    let minute = Duration::from_secs(60);
    let (sink, log) = scripted(vec![Step::Take(0, minute)]);
    let (sender, receiver) = filled(1);
    drop(sender);
    drive(sink, receiver, DriverSettings::default(), pending()).await;
    let attempts = &log.lock().unwrap().attempts;
    assert!(attempts[1] - attempts[0] >= minute);
}

#[tokio::test(start_paused = true)]
async fn waits_grow_while_a_sink_stays_down_and_restart_with_progress() {
    let mut steps: Vec<_> = (0..8).map(|_| Step::Take(0, AT_ONCE)).collect();
    steps.push(Step::Take(1, AT_ONCE));
    let (sink, log) = scripted(steps);
    let (sender, receiver) = filled(2);
    drop(sender);
    drive(sink, receiver, DriverSettings::default(), pending()).await;
    let attempts = &log.lock().unwrap().attempts;
    let waits: Vec<_> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[7] > waits[0] * 20, "{waits:?}");
    assert!(waits[8] <= Duration::from_millis(201), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn shutdown_drains_what_a_working_sink_can_take() {
    let (sink, log) = scripted(vec![Step::Take(0, AT_ONCE)]);
    let (sender, receiver) = filled(100);
    let counters = Arc::clone(sender.counters());
    drop(sender);
    drive(sink, receiver, DriverSettings::default(), async {}).await;
    assert_eq!(log.lock().unwrap().delivered.len(), 100);
    assert_eq!(counters.counts().dropped_shutdown, 0);
}

#[tokio::test(start_paused = true)]
async fn shutdown_gives_up_a_hung_sink_after_the_grace_period_and_counts_the_loss() {
    let (sink, log) = scripted(vec![Step::Take(5, AT_ONCE), Step::Hang]);
    let (sender, receiver) = filled(30);
    let counters = Arc::clone(sender.counters());
    let (stop, stopped) = oneshot::channel::<()>();
    let settings = DriverSettings {
        batch: 10,
        ..DriverSettings::default()
    };
    let driving = tokio::spawn(drive(sink, receiver, settings, async {
        stopped.await.ok();
    }));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        (counters.counts().delivered, counters.counts().in_flight),
        (5, 25)
    );
    assert!(counters.counts().balanced());
    let begun = Instant::now();
    stop.send(()).unwrap();
    driving.await.unwrap();
    assert!(begun.elapsed() <= settings.grace + LEAST_CLOSING_TIME);
    assert!(log.lock().unwrap().closed);
    sender.offer(sample::event(99));
    let counts = counters.counts();
    assert_eq!((counts.delivered, counts.dropped_shutdown), (5, 25));
    assert!(counts.balanced());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_claims_nothing_is_not_called_in_a_tight_loop() {
    struct Idle(u32);
    impl Sink for Idle {
        fn deliver<'a>(&'a mut self, batch: &'a [Delivery]) -> BoxFuture<'a, Outcome> {
            self.0 += 1;
            let done = if self.0 > 3 { batch.len() + 5 } else { 0 };
            Box::pin(async move { Outcome::delivered(done) })
        }
        fn close(&mut self) -> BoxFuture<'_, ()> {
            Box::pin(async {})
        }
    }
    let (sender, receiver) = filled(2);
    let counters = Arc::clone(sender.counters());
    drop(sender);
    drive(
        Box::new(Idle(0)),
        receiver,
        DriverSettings::default(),
        pending(),
    )
    .await;
    assert_eq!(
        (counters.counts().delivered, counters.counts().retries),
        (2, 3)
    );
    assert!(counters.counts().balanced());
}
