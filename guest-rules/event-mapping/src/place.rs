//! Where in a table something stands, for error messages.

use rule_sdk::ParameterError;

use crate::table::Entry;

/// The position of an entry, such as `table[3].entries[12]`.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    path: String,
    entry: Option<&'a Entry>,
}

impl<'a> Place<'a> {
    /// The parameters themselves.
    pub(crate) fn top() -> Self {
        Self {
            path: String::new(),
            entry: None,
        }
    }

    /// Entry number `index` of the list `list` in here.
    pub(crate) fn entry(&self, list: &str, index: usize, entry: &'a Entry) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            path: format!("{}{dot}{list}[{index}]", self.path),
            entry: Some(entry),
        }
    }

    /// An error about `key` of this entry; names the entry where it has a name.
    pub(crate) fn error(&self, key: &str, message: impl std::fmt::Display) -> ParameterError {
        let dot = if self.path.is_empty() { "" } else { "." };
        let parameter = format!("{}{dot}{key}", self.path);
        match self
            .entry
            .and_then(|entry| entry.name.as_deref().or(entry.action.as_deref()))
        {
            Some(name) => ParameterError::new(parameter, format!("{message} (entry `{name}`)")),
            None => ParameterError::new(parameter, message.to_string()),
        }
    }
}
