//! The calls made for every frame: the generated bindings' types with the
//! lists of one record per event replaced by [`Row`]s.
//!
//! Invariant: a [`Detect`] or [`Map`] holds a function whose type was compared
//! with the parameters and results used here, so calling it unchecked is sound.

use wasmtime::component::{
    ComponentNamedList, ComponentType, Func, Instance, Lift, Lower, TypedFunc,
};
use wasmtime::{Result, Store, format_err};

use crate::bindings::detection::exports::sidewatch::rule::detection::Finding;
use crate::limits::Guard;
use crate::loader::{DETECTION, MAPPING};
use crate::rows::{Change, Computed, EventNumbers, Group, Mapped, RequestNumbers, Row, Span};

/// A frame for a detection rule.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct DetectionFrame<'a> {
    pub(crate) block: &'a [u8],
    pub(crate) events: &'a [Row<EventNumbers>],
    pub(crate) texts: &'a [Row<Span>],
    pub(crate) groups: &'a [Row<Group>],
}

/// What a detection rule answers.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct DetectionOutcome {
    pub(crate) block: Vec<u8>,
    pub(crate) changes: Vec<Row<Change>>,
    pub(crate) findings: Vec<Finding>,
}

/// A frame for a mapping rule.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct MappingFrame<'a> {
    pub(crate) block: &'a [u8],
    pub(crate) events: &'a [Row<RequestNumbers>],
    pub(crate) texts: &'a [Row<Span>],
}

/// What a mapping rule answers.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct MappingOutcome {
    pub(crate) block: Vec<u8>,
    pub(crate) mapped: Vec<Row<Mapped>>,
    pub(crate) computed: Vec<Row<Computed>>,
}

/// The `evaluate` function of an interface, if it has the type `P -> R`.
fn find<P, R>(store: &mut Store<Guard>, instance: &Instance, interface: &str) -> Result<Func>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    let export = instance
        .get_export_index(&mut *store, None, interface)
        .and_then(|at| instance.get_export_index(&mut *store, Some(&at), "evaluate"));
    let function = export
        .and_then(|at| instance.get_func(&mut *store, at))
        .ok_or_else(|| format_err!("`{interface}` exports no `evaluate`"))?;
    function.typed::<P, R>(&*store)?;
    Ok(function)
}

/// `evaluate` of a detection rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detect(Func);

impl Detect {
    /// Looks it up and compares its type.
    pub(crate) fn find(store: &mut Store<Guard>, instance: &Instance) -> Result<Self> {
        find::<(DetectionFrame<'_>,), (DetectionOutcome,)>(store, instance, DETECTION).map(Self)
    }

    /// Folds a frame.
    pub(crate) fn call(
        self,
        store: &mut Store<Guard>,
        frame: DetectionFrame<'_>,
    ) -> Result<DetectionOutcome> {
        #[expect(unsafe_code, reason = "the type was compared in `find`")]
        // SAFETY: `find` is the only way to make one.
        let typed = unsafe {
            TypedFunc::<(DetectionFrame<'_>,), (DetectionOutcome,)>::new_unchecked(self.0)
        };
        let (outcome,) = typed.call(store, (frame,))?;
        Ok(outcome)
    }
}

/// `evaluate` of a mapping rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Map(Func);

impl Map {
    /// Looks it up and compares its type.
    pub(crate) fn find(store: &mut Store<Guard>, instance: &Instance) -> Result<Self> {
        find::<(MappingFrame<'_>,), (MappingOutcome,)>(store, instance, MAPPING).map(Self)
    }

    /// Maps a frame.
    pub(crate) fn call(
        self,
        store: &mut Store<Guard>,
        frame: MappingFrame<'_>,
    ) -> Result<MappingOutcome> {
        #[expect(unsafe_code, reason = "the type was compared in `find`")]
        // SAFETY: `find` is the only way to make one.
        let typed =
            unsafe { TypedFunc::<(MappingFrame<'_>,), (MappingOutcome,)>::new_unchecked(self.0) };
        let (outcome,) = typed.call(store, (frame,))?;
        Ok(outcome)
    }
}
