//! Generated from `wit/`; nothing else lives here.
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::allow_attributes_without_reason,
    clippy::needless_pass_by_value,
    rust_2018_idioms,
    reason = "generated code"
)]

spin_sdk::wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "sidewatch:edge/edge",
    runtime_path: "::spin_sdk::wit_bindgen::rt",
    generate_all,
});
