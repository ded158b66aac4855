//! What may be asked about the rules in force, and how to ask.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::board::Board;
use super::report;

/// How long an answer may take: a large component has to be compiled.
const PATIENCE: Duration = Duration::from_secs(150);

/// A request about the rules in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum RulesRequest {
    /// What is in force.
    List,
    /// Puts a version in force, from its file in the rules directory or from
    /// another.
    Swap {
        /// The rule.
        id: String,
        /// Another file.
        file: Option<PathBuf>,
    },
    /// Puts the version before in force again.
    Rollback {
        /// The rule.
        id: String,
    },
    /// Switches a rule on.
    Enable {
        /// The rule.
        id: String,
    },
    /// Switches a rule off; its states stay.
    Disable {
        /// The rule.
        id: String,
    },
    /// Runs a version beside the one in force, unheard.
    Shadow {
        /// The rule.
        id: String,
        /// Its component.
        file: PathBuf,
    },
    /// Ends that.
    EndShadow {
        /// The rule.
        id: String,
    },
    /// How the version in the shadow differs.
    Diff {
        /// The rule.
        id: String,
    },
    /// The latest events a rule could not evaluate.
    Quarantine {
        /// The rule.
        id: String,
    },
    /// Reads configuration and rules directory again.
    Reload,
}

impl RulesRequest {
    /// What is to be done to which rule, where something is.
    pub(super) fn change(&self) -> Option<(&'static str, &str)> {
        Some(match self {
            Self::Swap { id, .. } => ("swap", id),
            Self::Rollback { id } => ("rollback", id),
            Self::Enable { id } => ("enable", id),
            Self::Disable { id } => ("disable", id),
            Self::Shadow { id, .. } => ("shadow", id),
            Self::EndShadow { id } => ("shadow --end", id),
            Self::List | Self::Diff { .. } | Self::Quarantine { .. } | Self::Reload => return None,
        })
    }
}

/// A request with where its answer goes.
#[derive(Debug)]
pub struct Asked {
    pub(super) request: RulesRequest,
    pub(super) by: String,
    pub(super) answer: SyncSender<Value>,
}

/// Asks the thread that decides about rules; cheap to clone.
#[derive(Debug, Clone)]
pub struct RulesHandle {
    sender: SyncSender<Asked>,
    board: Arc<Board>,
}

impl RulesHandle {
    pub(super) fn new(sender: SyncSender<Asked>, board: Arc<Board>) -> Self {
        Self { sender, board }
    }

    /// Asks and waits for the answer, a JSON object; `error` in it says why
    /// nothing was done. `by` is written down with what was done.
    #[must_use]
    pub fn ask(&self, request: RulesRequest, by: &str) -> Value {
        // Questions wait for nobody.
        match &request {
            RulesRequest::List => return report::list(&self.board),
            RulesRequest::Diff { id } => return report::diff(&self.board, id),
            RulesRequest::Quarantine { id } => return report::quarantine(&self.board, id),
            _ => {}
        }
        let (answer, answered) = sync_channel(1);
        let asked = Asked {
            request,
            by: by.to_owned(),
            answer,
        };
        match self.sender.try_send(asked) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return json!({ "error": "too many requests wait; try again" });
            }
            Err(TrySendError::Disconnected(_)) => {
                return json!({ "error": "the sidecar is ending, or nobody changes rules any more (/readyz says it)" });
            }
        }
        answered
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| json!({ "error": "no answer in time" }))
    }
}
