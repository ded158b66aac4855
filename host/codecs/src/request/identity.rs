//! On which requests a user may be read from what the client sent.
//!
//! A name in a cookie is only as good as the application's check of the session
//! beside it, and it checks none on public pages. A path that is not in its
//! plain form matches nothing: servers disagree on what it means.

use super::settings::RequestSettings;

/// Whether the application checks the session of such a request.
pub(super) fn is_session(settings: &RequestSettings, target: &str) -> bool {
    if settings.session_paths.is_empty() && settings.public_paths.is_empty() {
        return true;
    }
    let Some(path) = plain_path(settings, target) else {
        return false;
    };
    (settings.session_paths.is_empty() || any(&settings.session_paths, path))
        && !any(&settings.public_paths, path)
}

/// Whether such a request logs in.
pub(super) fn is_login(settings: &RequestSettings, target: &str) -> bool {
    settings.login_paths.is_empty()
        || plain_path(settings, target).is_some_and(|path| any(&settings.login_paths, path))
}

/// The path below the site's own, when there is only one way to read it.
fn plain_path<'a>(settings: &RequestSettings, target: &'a str) -> Option<&'a str> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let path = path.strip_prefix(settings.site_path.trim_end_matches('/'))?;
    let odd = path.contains(['%', '\\', ';']) || path.contains("//") || path.contains("/.");
    (path.starts_with('/') && !odd).then_some(path)
}

fn any(patterns: &[String], path: &str) -> bool {
    // A slash at the end is the same page to some servers.
    let path = path.strip_suffix('/').unwrap_or(path);
    patterns.iter().any(|pattern| matches(pattern, path))
}

fn matches(pattern: &str, path: &str) -> bool {
    // Lists are long and asked for every request; most patterns differ before
    // their first wildcard, which is quick to see.
    let literal = pattern.find('*').map_or(pattern, |at| {
        let (literal, _) = pattern.split_at_checked(at).unwrap_or((pattern, ""));
        literal.strip_suffix('/').unwrap_or(literal)
    });
    if !path.starts_with(literal) {
        return false;
    }
    let mut segments = path.split('/');
    for wanted in pattern.split('/') {
        match (wanted, segments.next()) {
            ("**", _) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> RequestSettings {
        let list = |paths: &[&str]| paths.iter().map(ToString::to_string).collect();
        RequestSettings {
            site_path: "/chat".into(),
            session_paths: list(&["/api/v4/**"]),
            public_paths: list(&["/api/v4/users/login/**", "/api/v4/teams/invite/*"]),
            login_paths: list(&["/api/v4/users/login"]),
            ..RequestSettings::default()
        }
    }

    #[test]
    fn only_checked_sessions_and_logins_tell_who() {
        for (target, session, login) in [
            ("/chat/api/v4/users/me?x=1", true, false),
            ("/chat/api/v4/users/login", false, true),
            ("/chat/api/v4/users/login/", false, true),
            ("/chat/api/v4/users/login/cws", false, false),
            ("/chat/api/v4/teams/invite/abc", false, false),
            ("/chat/town-square", false, false),
            ("/chat", false, false),
            ("/api/v4/users/me", false, false),
            ("/chat/api/v4/%2e%2e/x", false, false),
            ("/chat//api/v4/users/me", false, false),
            ("/chat/api/v4/../../login", false, false),
            ("http://h/chat/api/v4/users/me", false, false),
        ] {
            let settings = settings();
            assert_eq!(is_session(&settings, target), session, "{target}");
            assert_eq!(is_login(&settings, target), login, "{target}");
        }
        let open = RequestSettings::default();
        assert!(is_session(&open, "//x") && is_login(&open, "*"));
    }
}
