//! The whole demonstration, with fewer people, through the library. Needs the
//! rule components (`make rules`).

use std::sync::Arc;

use tokio::sync::watch;

use super::player::{Target, play};
use super::{Outcome, SEED, Setup, Story, story, tap};
use crate::cli::show;
use crate::config::ConfigFile;
use crate::pipeline::Pipeline;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_planted_is_found_nothing_is_lost_and_no_secret_gets_out() {
    let directory = tempfile::tempdir().unwrap();
    let setup = Setup::prepare(directory.path(), "127.0.0.1:0".parse().unwrap()).unwrap();
    let config = ConfigFile::load(&setup.config).unwrap();
    let (tap, mut findings) = tap::findings();
    let pipeline = Pipeline::build_with(&config, vec![tap]).unwrap();
    let status = Arc::clone(&pipeline.status);
    let (stop, mut stopped) = watch::channel(false);
    let running = tokio::spawn(pipeline.run(async move {
        drop(stopped.wait_for(|stop| *stop).await);
    }));
    let story = Story::tell(SEED, story::FEWEST, sidewatch_sources::identity::now());
    let target = Target {
        mirror: setup.mirror,
        syslog: setup.syslog,
        token: &setup.token,
    };
    let played = play(&story.requests, &target, &status, |_| {})
        .await
        .unwrap();
    stop.send_replace(true);
    running.await.unwrap().unwrap();

    let found: Vec<_> = std::iter::from_fn(|| findings.try_recv().ok()).collect();
    let outcome = Outcome::new(&story.incidents, &found, &status);
    let comparison = outcome.comparison();
    assert_eq!(outcome.lost, [], "{comparison}");
    assert!(outcome.is_good(), "{comparison}");
    assert_eq!(outcome.unexpected.len(), 0, "{comparison}");
    assert_eq!(
        (played.requests, played.refused),
        (story.requests.len() as u64, 0)
    );
    assert!(outcome.most_telling().count() >= 3, "{comparison}");

    let mut output = comparison;
    found
        .iter()
        .for_each(|finding| output.push_str(&show::finding(finding)));
    for path in [&setup.findings, &setup.events] {
        output.push_str(&std::fs::read_to_string(path).unwrap());
    }
    assert!(
        story
            .people
            .iter()
            .all(|person| output.contains(&*person.user_id))
    );
    let secrets = story.secrets();
    assert!(secrets.len() > story.people.len());
    for secret in &secrets {
        assert!(!output.contains(&**secret), "{secret} got out");
    }
    assert!(!output.contains(&setup.token));
}
