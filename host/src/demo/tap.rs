//! A sink that hands findings to this process.

use std::sync::Arc;

use sidewatch_event::{Delivery, Finding};
use sidewatch_sinks::{FilterSettings, Outcome, Sink};
use tokio::sync::mpsc;

use crate::pipeline::Tap;

/// Findings that may wait for the reader.
const WAITING: usize = 16_384;

struct Hand(mpsc::Sender<Arc<Finding>>);

impl Sink for Hand {
    fn deliver<'a>(
        &'a mut self,
        batch: &'a [Delivery],
    ) -> sidewatch_sinks::sink::BoxFuture<'a, Outcome> {
        Box::pin(async move {
            for delivery in batch {
                if let Delivery::Finding(finding) = delivery
                    && self.0.send(Arc::clone(finding)).await.is_err()
                {
                    // Nobody reads any more: the process is ending.
                    break;
                }
            }
            Outcome::delivered(batch.len())
        })
    }

    fn close(&mut self) -> sidewatch_sinks::sink::BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// A tap for findings and its other end.
#[must_use]
pub fn findings() -> (Tap, mpsc::Receiver<Arc<Finding>>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let only_findings = FilterSettings {
        findings_only: true,
        ..FilterSettings::default()
    };
    let filter = only_findings.build().unwrap_or_default();
    (
        Tap {
            name: "screen".to_owned(),
            filter,
            sink: Box::new(Hand(sender)),
        },
        receiver,
    )
}
