//! Anything that reads events and raises alerts: our rules and the baselines.

use rule_sdk::detection::Rule;
use rule_sdk::detection::live::Live;

use crate::traffic::CorpusEvent;

/// What a detector said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert {
    /// Milliseconds since the epoch of the event that raised it.
    pub time: i64,
    /// Index of its kind; 0 for detectors of one kind.
    pub kind: u32,
}

/// A detector that starts knowing nothing.
pub trait Detector {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Reads an event.
    fn feed(&mut self, event: &CorpusEvent, alerts: &mut Vec<Alert>);
}

/// Makes a detector anew.
pub type Make = fn() -> Box<dyn Detector>;

struct Native<R: Rule>(Live<R>);

impl<R: Rule> Detector for Native<R> {
    fn name(&self) -> &'static str {
        self.0.description().id
    }

    fn feed(&mut self, event: &CorpusEvent, alerts: &mut Vec<Alert>) {
        let text = |field: &str| {
            let text = match field {
                "device.type" => event.agent.device_type,
                "user_agent.os.name" => event.agent.system,
                _ => "",
            };
            (!text.is_empty()).then_some(text)
        };
        let findings = self.0.feed(&event.numbers, text);
        alerts.extend(findings.iter().map(|finding| Alert { time: event.numbers.time, kind: finding.kind }));
    }
}

/// A detector that says nothing, should a rule refuse its own defaults.
struct Mute;

impl Detector for Mute {
    fn name(&self) -> &'static str {
        "refused"
    }
    fn feed(&mut self, _: &CorpusEvent, _: &mut Vec<Alert>) {}
}

fn native<R: Rule + 'static>() -> Box<dyn Detector> {
    match Live::<R>::new("") {
        Ok(live) => Box::new(Native(live)),
        Err(_) => Box::new(Mute),
    }
}

/// Our rules with their default parameters.
pub const RULES: [Make; 7] = [
    native::<impossible_travel::ImpossibleTravel>,
    native::<session_moved::SessionMoved>,
    native::<account_sharing::AccountSharing>,
    native::<failed_logins::FailedLogins>,
    native::<password_spray::PasswordSpray>,
    native::<shared_device::SharedDevice>,
    native::<many_devices::ManyDevices>,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_accepts_its_defaults() {
        let names: Vec<&str> = RULES.iter().map(|make| make().name()).collect();
        assert_eq!(
            names,
            [
                "impossible-travel",
                "session-moved",
                "account-sharing",
                "failed-logins",
                "password-spray",
                "shared-device",
                "many-devices"
            ]
        );
    }
}
