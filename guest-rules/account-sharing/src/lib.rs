//! Placeholder that counts; replaced by the real rule.
use rule_sdk::detection::{Description, Event, Finding, Findings, Kind, Rule, Stored};
use rule_sdk::{NoParameters, ParameterError};

/// Counts.
#[derive(Debug)]
pub struct AccountSharing;

/// A count.
#[derive(Default, Debug)]
pub struct Count(u32);
rule_sdk::pod_state!(Count(u32));

impl Rule for AccountSharing {
    type Parameters = NoParameters;
    type State = Count;
    fn description() -> Description {
        Description {
            id: "account-sharing",
            version: "0.1.0",
            kinds: &[Kind { id: "ten", title: "ten", severity: 5, technique: "" }],
            ..Description::default()
        }
    }
    fn new(_: NoParameters) -> Result<Self, ParameterError> {
        Ok(Self)
    }
    fn evaluate(&self, state: &mut Stored<Count>, _event: &Event<'_>, out: &mut Findings<'_>) {
        state.0 += 1;
        if state.0.is_multiple_of(10) {
            out.report(Finding::new(0, "ten"));
        }
    }
}
rule_sdk::export_detection!(AccountSharing);
