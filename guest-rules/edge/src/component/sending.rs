//! What of a request or batch is sent on, and what becomes of findings the
//! receiver does not take.

use super::configuration::Running;
use super::keyvalue::KeyValue;
use super::{note, outbound};
use crate::deliver::Outgoing;
use crate::unsent;

/// What is to be sent on.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Never reported again, should they be lost.
    pub(super) findings: Vec<Outgoing>,
    /// The sender of a batch has them still.
    pub(super) events: Vec<Outgoing>,
}

/// Sends what a batch gave, and before it the findings that wait.
pub(super) async fn batch(running: &Running, outbox: &Outbox) -> Result<(), String> {
    if running.receiver.is_none() {
        return Ok(());
    }
    findings(running, outbox, waiting(running).await).await?;
    events(running, outbox).await
}

/// Sends what a mirrored request gave; what waits comes after a finding that
/// was taken, so that requests without findings ask the store for nothing.
pub(super) async fn request(running: &Running, outbox: &Outbox) -> Result<(), String> {
    if running.receiver.is_none() {
        return Ok(());
    }
    findings(running, outbox, Ok(())).await?;
    if !outbox.findings.is_empty() {
        waiting(running).await?;
    }
    events(running, outbox).await
}

async fn events(running: &Running, outbox: &Outbox) -> Result<(), String> {
    let sent = outbound::send_all(&running.receiver, &outbox.events).await;
    sent.map_err(|(_, problem)| problem)
}

/// Sends findings; those not taken wait from now on. When those before them
/// were not taken, these are not tried.
async fn findings(
    running: &Running,
    outbox: &Outbox,
    before: Result<(), String>,
) -> Result<(), String> {
    let sent = match before {
        Ok(()) => outbound::send_all(&running.receiver, &outbox.findings).await,
        Err(problem) => Err((0, problem)),
    };
    let Err((taken, problem)) = sent else {
        return Ok(());
    };
    let left = outbox.findings.get(taken..).unwrap_or_default();
    if !left.is_empty() {
        let settings = running.application.settings();
        let kept = KeyValue::open(&settings.store)
            .and_then(|store| unsent::keep(&store, settings.limits.attempts, left));
        match kept {
            Ok(0) => {}
            Ok(dropped) => note(&format!(
                "{dropped} findings the receiver never took were dropped for want of room"
            )),
            Err(fault) => note(&format!("findings are lost: {fault}")),
        }
    }
    Err(problem)
}

/// Offers the findings that wait.
async fn waiting(running: &Running) -> Result<(), String> {
    let settings = running.application.settings();
    // Without a store there is nothing that could wait.
    let Ok(store) = KeyValue::open(&settings.store) else {
        return Ok(());
    };
    let mut waiting = unsent::waiting(&store).map_err(|fault| fault.to_string())?;
    if waiting.is_empty() {
        return Ok(());
    }
    let sent = outbound::send_all(&running.receiver, &waiting).await;
    if let Err((taken, _)) = sent {
        waiting.truncate(taken);
    }
    unsent::taken(&store, settings.limits.attempts, &waiting).map_err(|fault| fault.to_string())?;
    sent.map_err(|(_, problem)| problem)
}
