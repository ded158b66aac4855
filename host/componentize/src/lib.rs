//! Turns a core WebAssembly module into a rule component.
//!
//! Rules are built for `wasm32-unknown-unknown`, which imports nothing, and
//! carry their interface in a custom section; this wraps such a module in the
//! component format.

use anyhow::{Context, Result};

/// Wraps `module` and validates the result.
///
/// # Errors
/// Fails when the bytes are no core module, carry no interface description or
/// do not match it.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>> {
    wit_component::ComponentEncoder::default()
        .module(module)
        .context("this is no core WebAssembly module with a rule interface; was it built with `--features component` for wasm32-unknown-unknown?")?
        .validate(true)
        .encode()
        .context("the module does not match the interface it declares")
}
