//! Sensitive actions: single events that somebody should look at.
//!
//! A mapping names what an event is by its signature (`event.code`); this rule
//! knows which of them hand out power, take protection away or carry data out,
//! and reports each once per incident: the same user doing the same thing goes
//! on being one incident until it was quiet for a while.
//!
//! Invariants: the meaning of an event is the mapping's business, never
//! guessed here; the same act seen twice at nearly the same time (in the audit
//! log and in a mirrored request) counts once.

use bytemuck::{Pod, Zeroable};
use rule_sdk::ParameterError;
use rule_sdk::detection::{Description, Event, Finding, Findings, Kind, Rule, Stored};
use rule_sdk::incident::{Continuation, Incident};
use rule_sdk::parameters::{check_ranges, seconds};
use serde::Deserialize;

/// Seconds within which an act on the same target is the same act.
const ECHO: u32 = 5;

/// Acts of one incident that are reported each, if they differ from the one
/// before.
const EACH: u32 = 16;

const KINDS: &[Kind] = &[
    Kind {
        id: "admin-granted",
        title: "Administrator role granted",
        severity: 8,
        technique: "T1098.003",
    },
    Kind {
        id: "guest-promoted",
        title: "Guest promoted to member",
        severity: 4,
        technique: "T1098",
    },
    Kind {
        id: "mfa-removed-by-another",
        title: "Second factor removed by another user",
        severity: 8,
        technique: "T1556.006",
    },
    Kind {
        id: "token-created",
        title: "Access token created",
        severity: 4,
        technique: "T1098.001",
    },
    Kind {
        id: "all-sessions-revoked",
        title: "Sessions of all users revoked",
        severity: 7,
        technique: "T1531",
    },
    Kind {
        id: "security-settings-changed",
        title: "Audit, log, proxy or sign-in settings changed",
        severity: 8,
        technique: "T1562.008",
    },
    Kind {
        id: "data-exported",
        title: "Export, report or audit trail taken out",
        severity: 6,
        technique: "T1213",
    },
    Kind {
        id: "plugin-installed",
        title: "Plugin installed or enabled",
        severity: 6,
        technique: "T1505",
    },
    Kind {
        id: "deactivated-login",
        title: "Login to a deactivated account",
        severity: 5,
        technique: "T1078",
    },
];

/// Signatures and the kind of finding they are.
const WATCHED: [(&str, usize); 13] = [
    ("admin-granted", 0),
    ("guest-promoted", 1),
    ("mfa-removed-by-another", 2),
    ("token-created", 3),
    ("token-enabled", 3),
    ("all-sessions-revoked", 4),
    ("security-settings-changed", 5),
    ("exported", 6),
    ("plugin-installed", 7),
    ("plugin-enabled", 7),
    ("login-deactivated", 8),
    ("permissions-changed", 5),
    ("auth-changed", 5),
];

/// Columns of `reads`.
const CODE: usize = 0;
const TARGET: usize = 1;
const ACTION: usize = 2;
const CHANGES: usize = 3;

/// Parameters of the rule. `rules/sensitive-actions/README.md` explains each.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Kinds of finding that are not wanted.
    pub ignore: Vec<String>,
    /// Minutes of quiet after which the same user's next act is a new incident.
    pub quiet_minutes: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            ignore: Vec::new(),
            quiet_minutes: 60.0,
        }
    }
}

/// What is remembered of one user: an incident for each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Acts {
    incidents: [Incident; KINDS.len()],
}

/// The state of one user.
#[derive(Debug, Default, PartialEq)]
pub struct SensitiveActionsState(Acts);
rule_sdk::compact_state!(SensitiveActionsState(Acts), 1);

/// The rule.
#[derive(Debug)]
pub struct SensitiveActions {
    ignored: [bool; KINDS.len()],
    quiet: u32,
}

impl Rule for SensitiveActions {
    type Parameters = Parameters;
    type State = SensitiveActionsState;

    fn description() -> Description {
        Description {
            id: "sensitive-actions",
            version: "0.1.0",
            key: &["user"],
            reads: &[
                "event.code",
                "user.target.id",
                "event.action",
                "labels.mattermost.audit.changes",
            ],
            state_ttl: 2 * 24 * 60 * 60 * 1000,
            state_limit: SensitiveActionsState::LIMIT,
            kinds: KINDS,
        }
    }

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        check_ranges(&[("quiet_minutes", parameters.quiet_minutes, 1.0, 2880.0)])?;
        let mut ignored = [false; KINDS.len()];
        for name in &parameters.ignore {
            let known = KINDS
                .iter()
                .zip(&mut ignored)
                .find(|(kind, _)| kind.id == name);
            match known {
                Some((_, slot)) => *slot = true,
                None => {
                    let kinds: Vec<_> = KINDS.iter().map(|kind| kind.id).collect();
                    let message =
                        format!("there is no kind `{name}`; there are {}", kinds.join(", "));
                    return Err(ParameterError::new("ignore", message));
                }
            }
        }
        Ok(Self {
            ignored,
            quiet: seconds(parameters.quiet_minutes, 60),
        })
    }

    fn evaluate(
        &self,
        state: &mut Stored<SensitiveActionsState>,
        event: &Event<'_>,
        out: &mut Findings<'_>,
    ) {
        let Some(code) = event.text(CODE) else { return };
        let Some((_, kind)) = WATCHED.iter().find(|(watched, _)| *watched == code) else {
            return;
        };
        let (Some(now), Some(false)) = (event.seconds(), self.ignored.get(*kind)) else {
            return;
        };
        let [target, changes] = [TARGET, CHANGES].map(|at| event.text(at).unwrap_or_default());
        let subject = subject(target, changes);
        let Some(incident) = state.0.incidents.get_mut(*kind) else {
            return;
        };
        if incident.is_open(now, ECHO) && incident.subject == subject {
            return;
        }
        let key = [event.user(), *kind as u64];
        let other = incident.subject != subject;
        let due = incident.occurred(&key, now, subject, Continuation::within(self.quiet));
        incident.subject = subject;
        let (id, count) = (incident.id, incident.count);
        if due || (other && count <= EACH) {
            out.report(finding(*kind, event, code, count, now).incident(id, count));
        }
    }
}

/// A number that tells targets and settings apart.
fn subject(target: &str, changes: &str) -> u32 {
    let bytes = target.bytes().chain(changes.bytes());
    bytes.fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn finding(kind: usize, event: &Event<'_>, code: &str, count: u32, now: u32) -> Finding {
    let title = KINDS.get(kind).map_or("", |kind| kind.title);
    let text = |column| event.text(column).filter(|text| !text.is_empty());
    let addressed = event.address_halves() != (0, 0);
    Finding::new(
        u32::try_from(kind).unwrap_or(u32::MAX),
        if count > 1 {
            format!("{title}, {count} times")
        } else {
            title.to_owned()
        },
    )
    .with("code", code)
    .with("times", count)
    .with_some("action", text(ACTION))
    .with_some("target", text(TARGET))
    .with_some("settings", text(CHANGES))
    .with_some("address", addressed.then(|| event.address_halves()))
    .with("network_kind", event.network_kind().as_str())
    .with_seconds("time", now)
}

rule_sdk::export_detection!(SensitiveActions);
