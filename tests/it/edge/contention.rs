//! Many requests of one user at the same time.

use std::collections::BTreeMap;
use std::sync::Arc;

use integration_tests::spin::KeyValues;

use super::harness::{Built, load, post};

const REQUESTS: usize = 400;

fn failed_login(number: usize) -> String {
    format!(
        r#"{{"event.id":"{number:032x}","@timestamp":"2026-03-02T08:00:00Z","user.name":"zoe","source.ip":"203.0.113.7",
        "event.category":["authentication"],"event.type":["start"],"event.outcome":"failure","http.response.status_code":401}}"#
    )
}

fn states(store: &KeyValues) -> BTreeMap<String, Vec<u8>> {
    let mut values = store.values();
    values.retain(|key, _| !key.starts_with("new/"));
    values
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_hundred_parallel_requests_of_one_user_lose_nothing() {
    let built = Built::new(&[
        "--to",
        "nowhere",
        "--only",
        "failed-logins",
        "--only",
        "password-spray",
    ]);
    let (one_by_one, at_once) = (KeyValues::default(), KeyValues::default());
    let spin = load(&built.path(), &one_by_one);
    for number in 0..REQUESTS {
        assert_eq!(post(&spin, &failed_login(number)).await.status, 204);
    }
    // Few requests an instance, so that instances, too, meet at the store.
    let mut surroundings = super::harness::surroundings(&at_once);
    surroundings.reuse = Some(7);
    let spin = Arc::new(integration_tests::Spin::load(&built.path(), &surroundings).unwrap());
    let requests: Vec<_> = (0..REQUESTS)
        .map(|number| {
            let spin = Arc::clone(&spin);
            tokio::spawn(async move { post(&spin, &failed_login(number)).await.status })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), 204);
    }
    let (_, _, conflicts) = at_once.counts();
    assert!(
        conflicts > 0 || integration_tests::spin::is_real(),
        "nothing met at the store, so nothing was tested"
    );
    assert_eq!(states(&at_once), states(&one_by_one));
    assert_eq!(states(&at_once).len(), 2, "one user, one network");
}
