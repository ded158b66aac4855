//! A component that answers 204 and does nothing, to compare the edge
//! application with.
#![cfg_attr(
    not(target_os = "wasi"),
    allow(missing_docs, reason = "empty elsewhere")
)]

#[cfg(target_os = "wasi")]
mod component {
    use spin_sdk::http::{Request, StatusCode};
    use spin_sdk::http_service;

    #[http_service]
    async fn handle(_: Request) -> StatusCode {
        StatusCode::NO_CONTENT
    }
}
