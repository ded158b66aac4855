//! Generated from `wit/`; nothing else lives here.
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::semicolon_if_nothing_returned,
    clippy::needless_pass_by_value,
    rust_2018_idioms,
    reason = "generated code"
)]

pub(crate) mod detection {
    wasmtime::component::bindgen!({
        world: "detection-rule",
        path: "../../wit",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

pub(crate) mod mapping {
    wasmtime::component::bindgen!({
        world: "mapping-rule",
        path: "../../wit",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}
