//! Fields, labels, shortening and refilling of one event.

use super::*;

#[test]
fn a_field_can_be_replaced_and_removed() {
    let mut event = Event::new();
    event.set(Field::UserName, "zoë");
    event.set(Field::UrlPath, "/a");
    event.set(Field::UserName, "bob");
    assert_eq!(event.get(Field::UserName), Some("bob"));
    assert_eq!(event.get(Field::UrlPath), Some("/a"));
    event.unset(Field::UserName);
    assert_eq!(event.get(Field::UserName), None);
}

#[test]
fn overlong_text_is_cut_on_a_character_boundary_and_flagged() {
    let mut event = Event::new();
    event.set(Field::UrlPath, &"é".repeat(MAX_TEXT));
    assert!(event.truncated);
    assert!(event.get(Field::UrlPath).unwrap().len() <= MAX_TEXT);
}

#[test]
fn a_part_shares_the_text_of_its_whole() {
    let mut event = Event::new();
    event.set_part(Field::UrlPath, Field::UrlOriginal, 0..2);
    assert_eq!(event.get(Field::UrlPath), None);
    event.set(Field::UrlOriginal, "/a?b=c");
    event.set_part(Field::UrlPath, Field::UrlOriginal, 0..2);
    event.set_part(Field::UrlQuery, Field::UrlOriginal, 3..99);
    assert_eq!(event.get(Field::UrlPath), Some("/a"));
    assert_eq!(event.get(Field::UrlQuery), Some("b=c"));
    event.set(Field::UrlOriginal, "/other");
    assert_eq!(event.get(Field::UrlPath), Some("/a"));
}

#[test]
fn clearing_forgets_texts_and_labels() {
    let mut event = Event::new();
    event.set(Field::UserName, "zoe");
    event.set_label("choice", "approve");
    event.status = 200;
    event.clear();
    assert_eq!(event.fields().count(), 0);
    assert_eq!(event.labels().count(), 0);
    assert_eq!(event.status, 0);
}

#[test]
fn a_block_fills_only_what_is_absent() {
    let mut event = Event::new();
    event.set(Field::SourceGeoCityName, "Brno");
    event.fill_block(
        "CZPrahaé",
        &[
            (Field::SourceGeoCountryIsoCode, 0, 2),
            (Field::SourceGeoCityName, 2, 5),
            (Field::SourceGeoRegionName, 7, 1),
        ],
    );
    assert_eq!(event.get(Field::SourceGeoCountryIsoCode), Some("CZ"));
    assert_eq!(event.get(Field::SourceGeoCityName), Some("Brno"));
    assert_eq!(event.get(Field::SourceGeoRegionName), None);
    event.set(Field::UserName, "zoe");
    assert_eq!(event.get(Field::UserName), Some("zoe"));
}

#[test]
fn a_mirrored_request_says_nothing_until_its_outcome_is_known() {
    let mut request = Event::new();
    request.mirrored = true;
    request.activity = Activity::Logout;
    assert_eq!(request.activity_number(), Activity::UNANSWERED);
    let mut line = Event::new();
    line.status = 200;
    request.fill_from(&line);
    assert_eq!(request.activity_number(), Activity::Logout as u32);
}

#[test]
fn joining_fills_gaps_only() {
    let mut mirror = Event::new();
    mirror.set(Field::UserId, "u1");
    mirror.set(Field::UrlPath, "/login");
    let mut line = Event::new();
    line.set(Field::UrlPath, "/other");
    line.status = 401;
    mirror.fill_from(&line);
    assert_eq!(mirror.status, 401);
    assert_eq!(mirror.get(Field::UrlPath), Some("/login"));
}
