//! `sidewatch-componentize MODULE.wasm COMPONENT.wasm`: the build step behind
//! `make rules`. Writes through a temporary file so that a watcher never sees
//! half a component.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [module, component] = arguments.as_slice() else {
        bail!("usage: sidewatch-componentize MODULE.wasm COMPONENT.wasm");
    };
    let bytes =
        std::fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let encoded = sidewatch_componentize::componentize(&bytes)
        .with_context(|| format!("cannot componentise {}", module.display()))?;
    let temporary = component.with_extension("wasm.part");
    std::fs::write(&temporary, encoded)
        .with_context(|| format!("cannot write {}", temporary.display()))?;
    std::fs::rename(&temporary, component)
        .with_context(|| format!("cannot write {}", component.display()))?;
    Ok(())
}
