//! Behaviour of the hand-over.

use sidewatch_event::Field;

use super::*;

fn channel(capacity: usize) -> (Intake, IntakeReceiver) {
    Intake::channel("test".into(), capacity)
}

#[test]
fn a_full_queue_refuses_and_counts_without_blocking() {
    let (intake, _receiver) = channel(2);
    for _ in 0..5 {
        intake.arrived(1);
        drop(intake.offer(intake.blank(1)));
    }
    let counts = intake.counters().snapshot();
    assert_eq!((counts.decoded, counts.shed_queue_full), (2, 3));
    assert!(counts.is_conserved());
}

#[test]
fn a_giant_event_takes_the_room_of_many_and_gives_it_back() {
    let (intake, mut receiver) = channel(8);
    let mut giant = intake.blank(1);
    giant.set(sidewatch_event::Field::Message, &"x".repeat(14_000));
    assert!(intake.offer(giant.clone()).is_ok());
    assert!(intake.offer(giant).is_err());
    let mut events = Vec::new();
    assert_eq!(receiver.receive(&mut events, 10), 1);
    for _ in 0..8 {
        assert!(intake.offer(intake.blank(1)).is_ok());
    }
    assert!(intake.offer(intake.blank(1)).is_err());
}

#[test]
fn the_receiver_takes_what_is_there_in_order_and_no_more_than_asked() {
    let (intake, mut receiver) = channel(100);
    for time in 0..10 {
        intake.offer(intake.blank(time)).unwrap();
    }
    let mut events = Vec::new();
    assert_eq!(receiver.receive(&mut events, 4), 4);
    assert_eq!(receiver.receive(&mut events, 100), 6);
    let times: Vec<_> = events.iter().map(|event| event.received).collect();
    assert_eq!(times, (0..10).collect::<Vec<_>>());
    assert_eq!(
        receiver.receive_timeout(&mut events, 1, Duration::from_millis(1)),
        0
    );
    assert!(!receiver.is_ended());
}

#[test]
fn the_receiver_sees_the_end_after_the_last_event_of_the_last_source() {
    let (intake, mut receiver) = channel(10);
    let other = intake.for_source("other".into());
    drop(intake);
    other.offer(other.blank(1)).unwrap();
    drop(other);
    let mut events = Vec::new();
    assert_eq!(receiver.receive(&mut events, 10), 1);
    assert_eq!(receiver.receive(&mut events, 10), 0);
    assert!(receiver.is_ended());
    assert_eq!(events[0].source.as_deref(), Some("other"));
}

#[test]
fn waiting_threads_and_tasks_lose_nothing() {
    let (intake, mut receiver) = channel(3);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let intake = intake.clone();
            std::thread::spawn(move || {
                for _ in 0..500 {
                    intake.arrived(1);
                    intake.push_blocking(intake.blank(1)).unwrap();
                }
            })
        })
        .collect();
    let counters = Arc::clone(intake.counters());
    drop(intake);
    let mut events = Vec::new();
    while receiver.receive(&mut events, 7) > 0 {}
    for thread in threads {
        thread.join().unwrap();
    }
    let mut identifiers: Vec<_> = events.iter().map(|event| event.id).collect();
    identifiers.sort_unstable();
    identifiers.dedup();
    assert_eq!(identifiers.len(), 2_000);
    assert!(counters.snapshot().is_conserved());
}

#[test]
fn a_gone_pipeline_releases_those_who_wait() {
    let (intake, receiver) = channel(1);
    intake.offer(intake.blank(1)).unwrap();
    let waiting = std::thread::spawn(move || intake.push_blocking(intake.blank(1)));
    std::thread::sleep(Duration::from_millis(20));
    drop(receiver);
    assert_eq!(waiting.join().unwrap(), Err(Closed));
}

#[test]
fn senders_that_can_wait_leave_room_for_those_that_cannot() {
    let (intake, mut receiver) = Intake::channel("log".into(), 160);
    let mirror = intake.for_source("mirror".into());
    let log = std::thread::spawn(move || {
        for _ in 0..1_000 {
            intake.push_blocking(intake.blank(0)).unwrap();
        }
    });
    while mirror.queued() < 10 {
        std::thread::yield_now();
    }
    for _ in 0..100 {
        mirror.offer(mirror.blank(0)).unwrap();
    }
    let mut events = Vec::new();
    while events.len() < 1_100 {
        receiver.receive(&mut events, 64);
    }
    log.join().unwrap();
    assert_eq!(mirror.counters().snapshot().shed_queue_full, 0);
}

#[test]
fn large_events_make_small_batches() {
    let (intake, mut receiver) = Intake::channel("test".into(), 10_000);
    for _ in 0..20 {
        let mut event = intake.blank(0);
        event.set(Field::Message, &"x".repeat(100_000));
        intake.offer(event).unwrap();
    }
    let mut events = Vec::new();
    assert!(receiver.receive(&mut events, 100) <= 3);
}
