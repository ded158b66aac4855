//! The rules as detectors of this process: fast, for tests and for tuning.

use rule_sdk::detection::NetworkKind;
use rule_sdk::detection::Rule;
use rule_sdk::detection::harness::START;
use rule_sdk::detection::live::Live;
use sidewatch_corpus::detector::{Alert, Detector, Detectors, Make};
use sidewatch_corpus::traffic::CorpusEvent;

struct Native<R: Rule>(Live<R>);

impl<R: Rule> Detector for Native<R> {
    fn name(&self) -> &'static str {
        self.0.description().id
    }

    fn feed(&mut self, event: &CorpusEvent, alerts: &mut Vec<Alert>) {
        let findings = self.0.feed(&event.numbers, |field| event.text(field));
        alerts.extend(findings.iter().map(|finding| Alert {
            time: event.numbers.time,
            kind: finding.kind,
        }));
    }
}

#[expect(clippy::unwrap_used, reason = "a rule accepts its own defaults")]
fn native<R: Rule + 'static>() -> Box<dyn Detector> {
    Box::new(Native(Live::<R>::new("").unwrap()))
}

/// Our rules with their default parameters.
pub(crate) const RULES: [Make; 7] = [
    native::<impossible_travel::ImpossibleTravel>,
    native::<session_moved::SessionMoved>,
    native::<account_sharing::AccountSharing>,
    native::<failed_logins::FailedLogins>,
    native::<password_spray::PasswordSpray>,
    native::<shared_device::SharedDevice>,
    native::<many_devices::ManyDevices>,
];

/// All of them.
pub(crate) fn rules() -> Detectors {
    Detectors::new(&RULES)
}

/// Day and time of an event.
#[allow(dead_code, reason = "not every user of this module shows events")]
pub(crate) fn clock(event: &CorpusEvent) -> String {
    let minutes = (event.numbers.time - START) / 60_000;
    format!(
        "{:>3} {:02}:{:02}",
        minutes / 1440,
        minutes / 60 % 24,
        minutes % 60
    )
}

/// What an event tells, in one line.
#[allow(dead_code, reason = "not every user of this module shows events")]
pub(crate) fn line(event: &CorpusEvent) -> String {
    let n = &event.numbers;
    format!(
        "u{:04x} s{:04x} d{:04x} a{:<2} {:08x} {:>6.2},{:>7.2}±{:<4} as{} {}{} {:<8} act{}",
        n.user & 0xffff,
        n.session & 0xffff,
        n.device & 0xffff,
        n.user_agent,
        n.address_low >> 8 & 0xffff_ffff,
        n.latitude,
        n.longitude,
        n.accuracy,
        n.as_number % 100_000,
        char::from((n.country >> 8 & 0xff) as u8),
        char::from((n.country & 0xff) as u8),
        NetworkKind::from_number(n.network_kind).as_str(),
        n.activity
    )
}
