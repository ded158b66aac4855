//! The goals of `rules/CORPORA.md`, on small corpora of several seeds; the
//! whole is `sidewatch evaluate --check`.

mod native;

use sidewatch_corpus::{Size, evaluate};

const SMALL: Size = Size {
    users: 20,
    days: 6,
    benign_each: 5,
    incidents_each: 10,
};

#[test]
fn the_goals_are_reached_whatever_the_seed() {
    for seed in [11, 12] {
        let report = evaluate(&mut native::rules(), seed, SMALL, &mut |_| {}).unwrap();
        assert!(report.reaches_goals(), "{report}");
    }
}

#[test]
fn every_rule_finds_what_it_exists_for_and_seldom_errs() {
    let report = evaluate(&mut native::rules(), 21, SMALL, &mut |_| {}).unwrap();
    for row in &report.rules {
        assert!(report.recall_of_duty(row) >= 0.75, "{report}");
        assert!(row.alerts_per_thousand_user_days() < 10.0, "{report}");
    }
}

#[test]
fn the_same_seed_gives_the_same_report_and_another_does_not() {
    let size = Size {
        users: 20,
        days: 3,
        benign_each: 1,
        incidents_each: 1,
    };
    let report = |seed| {
        evaluate(&mut native::rules(), seed, size, &mut |_| {})
            .unwrap()
            .to_string()
    };
    assert_eq!(report(5), report(5));
    assert_ne!(report(5), report(6));
}

#[test]
fn progress_adds_up_to_the_steps_announced() {
    let size = Size {
        users: 37,
        days: 5,
        benign_each: 1,
        incidents_each: 2,
    };
    let mut done = 0;
    evaluate(&mut native::rules(), 1, size, &mut |steps| done += steps).unwrap();
    assert_eq!(done, size.steps());
}
