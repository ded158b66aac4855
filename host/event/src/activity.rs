//! What a user did, reduced to the few kinds detection rules care about.
//!
//! Derived from the ECS category, type, outcome and action that a mapping (or
//! a codec that already knows) has set, so that login outcomes from mirrored
//! requests, Mattermost audit records and F-Ticks look alike to a rule.

use serde::{Deserialize, Serialize};

/// Kind of activity. The numbers cross the rule boundary (`event.activity` in
/// `wit/types.wit`) and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u32)]
pub enum Activity {
    /// Anything else: a page view, an API call.
    #[default]
    Other = 0,
    /// An authentication that succeeded.
    LoginSuccess = 1,
    /// An authentication refused because a credential was wrong.
    LoginFailure = 2,
    /// The application asked for a second factor: not a failure.
    MfaPrompt = 3,
    /// A wrong second factor.
    MfaFailure = 4,
    /// A session ended by its user.
    Logout = 5,
    /// A password changed or reset.
    PasswordChange = 6,
    /// A token or key was created.
    TokenCreation = 7,
    /// Second factor removed or disabled.
    MfaRemoval = 8,
    /// A permission was refused.
    PermissionDenied = 9,
}

impl Activity {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Other,
        Self::LoginSuccess,
        Self::LoginFailure,
        Self::MfaPrompt,
        Self::MfaFailure,
        Self::Logout,
        Self::PasswordChange,
        Self::TokenCreation,
        Self::MfaRemoval,
        Self::PermissionDenied,
    ];

    /// What rules see of a mirrored request whose outcome is unknown; never
    /// the number of a kind.
    pub const UNANSWERED: u32 = 10;

    /// Derives the kind from ECS texts. `category` and `kind` are
    /// comma-separated lists as stored in an event.
    #[must_use]
    pub fn from_ecs(category: &str, kind: &str, outcome: &str, action: &str) -> Self {
        match action {
            "mfa-prompt" => return Self::MfaPrompt,
            "mfa-failed" => return Self::MfaFailure,
            "mfa-removed" => return Self::MfaRemoval,
            "password-changed" => return Self::PasswordChange,
            "token-created" => return Self::TokenCreation,
            "permission-denied" => return Self::PermissionDenied,
            _ => {}
        }
        let has = |list: &str, word: &str| list.split(',').any(|part| part == word);
        if !has(category, "authentication") {
            return Self::Other;
        }
        if has(kind, "end") {
            return Self::Logout;
        }
        match outcome {
            "success" if has(kind, "start") => Self::LoginSuccess,
            "failure" => Self::LoginFailure,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_needs_category_type_and_outcome() {
        let login =
            |outcome| Activity::from_ecs("authentication,session", "start", outcome, "login");
        assert_eq!(login("success"), Activity::LoginSuccess);
        assert_eq!(login("failure"), Activity::LoginFailure);
        assert_eq!(login("unknown"), Activity::Other);
        assert_eq!(
            Activity::from_ecs("web", "start", "success", "login"),
            Activity::Other
        );
    }

    #[test]
    fn a_second_factor_prompt_is_not_a_failure() {
        assert_eq!(
            Activity::from_ecs("authentication", "start", "failure", "mfa-prompt"),
            Activity::MfaPrompt
        );
    }
}
