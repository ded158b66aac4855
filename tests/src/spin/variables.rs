//! `spin:variables@3.0.0`.

use wasmtime::component::{Accessor, ComponentType, Lift, Linker, Lower};

use super::Guest;

#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "invalid-name")]
    InvalidName(String),
    #[component(name = "undefined")]
    Undefined(String),
    #[component(name = "provider")]
    Provider(String),
    #[component(name = "other")]
    Other(String),
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("spin:variables/variables@3.0.0")?;
    interface.func_wrap_concurrent("get", |accessor: &Accessor<Guest>, (name,): (String,)| {
        Box::pin(async move {
            let value =
                accessor.with(|mut store| store.get().granted.variables.get(&name).cloned());
            Ok((value.ok_or(Error::Undefined(name)),))
        })
    })?;
    Ok(())
}
