//! Generated from `wit/`; nothing else lives here.
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::allow_attributes_without_reason,
    clippy::needless_pass_by_value,
    rust_2018_idioms,
    reason = "generated code"
)]

wit_bindgen::generate!({
    world: "detection-rule",
    path: "../../wit",
    pub_export_macro: true,
    export_macro_name: "export_detection_component",
    default_bindings_module: "rule_sdk::detection::bindings",
});
