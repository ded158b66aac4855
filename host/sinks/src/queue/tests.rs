//! The bounded queue: order, what is dropped first, counting.

use super::*;
use crate::sample;

fn drain(receiver: &mut QueueReceiver) -> Vec<u128> {
    let mut state = receiver.shared.lock();
    std::iter::from_fn(|| state.remove())
        .map(|delivery| delivery.id())
        .collect()
}

#[test]
fn findings_outrank_events_when_the_queue_is_full() {
    let (sender, mut receiver) = queue("test", 3);
    sender.offer(sample::event(1));
    sender.offer(sample::finding(2));
    sender.offer(sample::event(3));
    sender.offer(sample::finding(4));
    assert_eq!(drain(&mut receiver), [2, 3, 4]);
    assert_eq!(sender.counters().counts().dropped_queue_full, 1);
}

#[test]
fn newer_events_replace_older_ones() {
    let (sender, mut receiver) = queue("test", 2);
    sender.offer_all((1..=5).map(sample::event));
    assert_eq!(drain(&mut receiver), [4, 5]);
    assert_eq!(sender.counters().counts().dropped_queue_full, 3);
}

#[test]
fn a_queue_full_of_findings_keeps_the_first_of_them() {
    let (sender, mut receiver) = queue("test", 2);
    sender.offer_all((1..=2).map(sample::finding));
    sender.offer(sample::event(3));
    sender.offer(sample::finding(4));
    assert_eq!(drain(&mut receiver), [1, 2]);
    let counts = sender.counters().counts();
    assert_eq!(
        (counts.received, counts.dropped_queue_full, counts.in_flight),
        (4, 2, 2)
    );
    assert!(counts.balanced());
}

#[tokio::test]
async fn batches_keep_the_order_of_arrival_and_the_queue_ends_with_its_senders() {
    let (sender, mut receiver) = queue("test", 10);
    let other = sender.clone();
    sender.offer_all([sample::event(1), sample::finding(2), sample::event(3)]);
    drop(sender);
    let mut batch = Vec::new();
    receiver.receive(2, &mut batch).await;
    receiver.receive(2, &mut batch).await;
    other.offer(sample::event(4));
    drop(other);
    let mut last = Vec::new();
    receiver.receive(2, &mut last).await;
    assert_eq!(
        batch.iter().map(Delivery::id).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(last.len(), 1);
    last.clear();
    receiver.receive(2, &mut last).await;
    assert!(last.is_empty());
}
