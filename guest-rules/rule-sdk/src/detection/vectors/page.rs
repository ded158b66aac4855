//! A rule's page against what the rule says of itself.
//!
//! Operators plan with the page (how long is a state kept, how severe is a
//! finding), so what it states is compared with the description.

use std::path::Path;

use super::VectorError;
use crate::detection::Rule;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// Compares the page of a rule with its description: it must name the rule,
/// how many days its state is kept (`kept 31 days`), and every kind of finding
/// with its severity and technique.
///
/// # Errors
/// The page cannot be read, or everything it does not say.
pub fn check_page<R: Rule>(page: &Path) -> Result<(), VectorError> {
    let text = std::fs::read_to_string(page).map_err(|source| VectorError::Unreadable {
        path: page.to_owned(),
        source,
    })?;
    let described = R::description();
    let mut expected = vec![
        format!("# {}\n", described.id),
        format!("kept {} days", described.state_ttl / DAY),
    ];
    for kind in described.kinds {
        expected.push(format!("`{}`", kind.id));
        expected.push(kind.technique.to_owned());
    }
    let mut failures: Vec<String> = expected
        .into_iter()
        .filter(|expected| !text.contains(expected.as_str()))
        .map(|expected| format!("{} does not say `{}`", page.display(), expected.trim_end()))
        .collect();
    for kind in described.kinds {
        let severe = |line: &str| {
            line.contains(&format!("`{}`", kind.id))
                && line
                    .split(|letter: char| !letter.is_ascii_digit())
                    .any(|number| number == kind.severity.to_string())
        };
        if !text.lines().any(severe) {
            failures.push(format!(
                "{} does not give `{}` the severity {}",
                page.display(),
                kind.id,
                kind.severity
            ));
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(VectorError::Failed { failures })
    }
}
