//! `sidewatch evaluate` with the real components.

use integration_tests::sidewatch;

fn evaluate(arguments: &[&str]) -> integration_tests::command::Output {
    let directory = tempfile::tempdir().unwrap();
    let size = [
        "--users",
        "10",
        "--days",
        "2",
        "--benign",
        "1",
        "--incidents",
        "1",
    ];
    let all = [&["evaluate"], arguments, &size].concat();
    sidewatch(directory.path(), &all, b"")
}

#[test]
fn a_seed_gives_a_report_of_every_rule_and_baseline_again_and_again() {
    let first = evaluate(&["--seed", "3"]);
    assert_eq!(first.code, 0, "{}", first.err);
    for word in [
        "seed 3: 10 users over 2 days",
        "impossible-travel",
        "password-spray",
        "1000 km within 3 h",
        "900 km/h since last login",
        "100 km/h within a calendar day",
        "precision",
        "recall",
        "per 1000 users",
    ] {
        assert!(
            first.out.contains(word),
            "`{word}` is missing: {}",
            first.out
        );
    }
    assert_eq!(first.out, evaluate(&["--seed", "3"]).out);
    assert_ne!(first.out, evaluate(&["--seed", "4"]).out);
}

#[test]
fn a_size_that_makes_no_sense_is_refused() {
    let refused = evaluate(&["--scale", "-1"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("such as 0.1"), "{}", refused.err);
}
