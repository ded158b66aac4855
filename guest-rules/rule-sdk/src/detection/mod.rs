//! Writing a detection rule: a pure fold `(state, event) -> (state', findings)`.

pub mod bindings;
mod event;
mod findings;
mod fold;
pub mod harness;
pub mod live;
pub mod presence;
mod side;
mod test_event;
pub mod vectors;

use std::ops::{Deref, DerefMut};

use serde::de::DeserializeOwned;

pub use event::{Activity, Event, Location, NetworkKind, network_text};
pub use findings::{EvidenceValue, Finding, Findings, incident};
pub use fold::{describe, fold};
pub use side::{Side, comparison, country_text, time_of};

use crate::{ParameterError, State};

/// The generated types of the interface.
pub mod wire {
    pub use super::bindings::exports::sidewatch::rule::detection::{
        Address, Change, Coordinates, Descriptor, Event, Evidence, EvidenceValue, Finding,
        FindingKind, Frame, Group, Outcome, ParameterError, Span,
    };
}

/// A kind of finding a rule can emit.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Kebab-case, unique within the rule.
    pub id: &'static str,
    /// One line for a human.
    pub title: &'static str,
    /// 0 to 10 as in CEF.
    pub severity: u32,
    /// MITRE ATT&CK technique such as `T1078`; empty when none fits.
    pub technique: &'static str,
}

/// What the host must know of a rule.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Kebab-case; names the rule in files, metrics and findings.
    pub id: &'static str,
    /// Semantic version.
    pub version: &'static str,
    /// `user`, `session`, `device`, `source-ip`, `source-network`; together
    /// they are the state's key.
    pub key: &'static [&'static str],
    /// Text fields the rule reads; [`Event::text`] takes the index into it.
    pub reads: &'static [&'static str],
    /// Milliseconds after the last change when a state may be forgotten.
    pub state_ttl: u64,
    /// Most bytes one state can take.
    pub state_limit: u32,
    /// Findings it can emit; [`Finding::new`] takes the index into it.
    pub kinds: &'static [Kind],
}

impl Default for Description {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60 * 1000;
        Self {
            id: "",
            version: "0.0.0",
            key: &["user"],
            reads: &[],
            state_ttl: 30 * DAY,
            state_limit: 4096,
            kinds: &[],
        }
    }
}

/// A detection rule.
pub trait Rule: Sized {
    /// Decoded from a JSON object; use `#[serde(deny_unknown_fields, default)]`.
    type Parameters: DeserializeOwned;
    /// What is remembered per key.
    type State: State;

    /// Name, key, fields and findings.
    fn description() -> Description;

    /// Checks the parameters.
    ///
    /// # Errors
    /// Names the parameter that makes no sense.
    fn new(parameters: Self::Parameters) -> Result<Self, ParameterError>;

    /// Folds one event. Events may come late, out of order or twice.
    fn evaluate(&self, state: &mut Stored<Self::State>, event: &Event<'_>, out: &mut Findings<'_>);
}

/// A state that notices being changed: an untouched one is not sent back.
#[derive(Debug)]
pub struct Stored<S> {
    value: S,
    changed: bool,
}

impl<S> Stored<S> {
    pub(crate) fn new(value: S) -> Self {
        Self {
            value,
            changed: false,
        }
    }
}

impl<S: State> Stored<S> {
    /// Becomes the next key's state, unchanged so far.
    pub(crate) fn load(&mut self, bytes: Option<&[u8]>) {
        self.value.load(bytes);
        self.changed = false;
    }
}

impl<S> Deref for Stored<S> {
    type Target = S;
    fn deref(&self) -> &S {
        &self.value
    }
}

impl<S> DerefMut for Stored<S> {
    fn deref_mut(&mut self) -> &mut S {
        self.changed = true;
        &mut self.value
    }
}

/// Exports a [`Rule`] as a component. Does nothing unless the crate's feature
/// `component` is on and the target is WebAssembly.
#[macro_export]
macro_rules! export_detection {
    ($rule:ident) => {
        #[cfg(all(target_arch = "wasm32", feature = "component"))]
        #[allow(unsafe_code, reason = "the component's entry points are raw symbols")]
        mod component {
            use std::cell::OnceCell;

            use $crate::detection::bindings::exports::sidewatch::rule::detection::Guest;
            use $crate::detection::wire;

            thread_local! {
                static RULE: OnceCell<super::$rule> = const { OnceCell::new() };
            }

            struct Component;

            impl Guest for Component {
                fn configure(parameters: String) -> Result<wire::Descriptor, wire::ParameterError> {
                    let (rule, descriptor) = $crate::detection::describe::<super::$rule>(&parameters)?;
                    RULE.with(|cell| drop(cell.set(rule)));
                    Ok(descriptor)
                }

                fn evaluate(frame: wire::Frame) -> wire::Outcome {
                    RULE.with(|cell| match cell.get() {
                        Some(rule) => $crate::detection::fold(rule, &frame),
                        None => ::core::panic!("evaluate was called before configure"),
                    })
                }
            }

            $crate::detection::bindings::export_detection_component!(Component with_types_in $crate::detection::bindings);
        }
    };
}
