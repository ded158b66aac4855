//! The demo tells the incidents it plants.

use ipnet::IpNet;

use super::*;

const NOW: i64 = 1_790_000_000_000;

#[test]
fn the_same_seed_tells_the_same_story() {
    let first = Story::tell(1, FEWEST, NOW);
    assert_eq!(first.requests, Story::tell(1, FEWEST, NOW).requests);
    assert_ne!(first.requests, Story::tell(2, FEWEST, NOW).requests);
}

#[test]
fn only_documentation_addresses_occur() {
    let ranges: [IpNet; 4] = [
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001:db8::/32",
    ]
    .map(|text| text.parse().unwrap());
    for request in Story::tell(3, PEOPLE, NOW).requests {
        assert!(
            ranges.iter().any(|range| range.contains(&request.address)),
            "{}",
            request.address
        );
    }
}

#[test]
fn the_story_is_in_order_over_before_now_and_of_a_fair_size() {
    let story = Story::tell(4, PEOPLE, NOW);
    assert!(story.requests.is_sorted_by_key(|request| request.time));
    assert!(story.requests.last().unwrap().time < NOW);
    assert!(
        (20_000..=60_000).contains(&story.requests.len()),
        "{}",
        story.requests.len()
    );
    assert_eq!(story.incidents.len(), 4);
}

#[test]
fn nobody_has_anothers_name_or_session() {
    let story = Story::tell(5, PEOPLE, NOW);
    let count = story.people.len();
    let logins: BTreeSet<_> = story.people.iter().map(|person| &person.login).collect();
    let sessions: BTreeSet<_> = story
        .people
        .iter()
        .map(|person| &person.desk_session.token)
        .collect();
    assert_eq!((logins.len(), sessions.len()), (count, count));
}
