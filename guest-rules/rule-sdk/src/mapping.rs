//! Writing a mapping rule: `event -> annotation`.
//!
//! A mapping hands over its catalogue of constant annotations once and answers
//! per event with the number of an entry, plus the few texts it computes.

pub mod harness;

pub use rule_sdk_mapping_bindings as bindings;

use serde::de::DeserializeOwned;

use crate::{ABSENT, ParameterError, parameters, slice};

/// The generated types of the interface.
pub mod wire {
    pub use super::bindings::exports::sidewatch::rule::mapping::{
        Annotation, Computed, Descriptor, Event, Frame, Mapped, Outcome, ParameterError, Span,
    };
}

/// What the host must know of a mapping.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// Kebab-case; names the rule in files and metrics.
    pub id: String,
    /// Semantic version.
    pub version: String,
    /// Text fields it reads; [`Event::text`] takes the index into it.
    pub reads: Vec<String>,
    /// Text fields it computes; [`Answer::compute`] takes the index into it.
    pub writes: Vec<String>,
    /// The catalogue.
    pub annotations: Vec<wire::Annotation>,
}

/// A mapping rule.
pub trait Mapping: Sized {
    /// Decoded from a JSON object; use `#[serde(deny_unknown_fields, default)]`.
    type Parameters: DeserializeOwned;

    /// Checks the parameters and prepares the catalogue.
    ///
    /// # Errors
    /// Names the parameter that makes no sense.
    fn new(parameters: Self::Parameters) -> Result<Self, ParameterError>;

    /// Name, fields and catalogue.
    fn description(&self) -> Description;

    /// Maps one event.
    fn evaluate(&self, event: &Event<'_>, answer: &mut Answer<'_>);
}

/// One event of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    numbers: &'a wire::Event,
    block: &'a [u8],
    texts: &'a [wire::Span],
}

impl<'a> Event<'a> {
    /// HTTP status; 0 when unknown.
    #[must_use]
    pub fn status(&self) -> u32 {
        self.numbers.status
    }

    /// Port of the server; 0 when unknown.
    #[must_use]
    pub fn server_port(&self) -> u32 {
        self.numbers.server_port
    }

    /// The bytes of text number `index` of [`Description::reads`]; always
    /// UTF-8, but checking that costs more than most comparisons.
    #[must_use]
    pub fn bytes(&self, index: usize) -> Option<&'a [u8]> {
        let span = self.texts.get(index)?;
        if span.start == ABSENT {
            return None;
        }
        slice(self.block, span.start, span.length)
    }

    /// Text number `index` of [`Description::reads`].
    #[must_use]
    pub fn text(&self, index: usize) -> Option<&'a str> {
        core::str::from_utf8(self.bytes(index)?).ok()
    }
}

/// Where a mapping's answer for one event goes.
#[derive(Debug)]
pub struct Answer<'a> {
    outcome: &'a mut wire::Outcome,
    event: u32,
    /// Events of the frame from this one on.
    left: usize,
}

impl Answer<'_> {
    /// Describes the event by entry `annotation` of the catalogue.
    pub fn annotate(&mut self, annotation: u32) {
        self.outcome.mapped.push(wire::Mapped {
            event: self.event,
            annotation,
        });
    }

    /// Sets field number `field` of [`Description::writes`]; `write` appends
    /// the text.
    pub fn compute(&mut self, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
        self.try_compute(field, |out| {
            write(out);
            true
        });
    }

    /// The same, unless `write` returns false: what it appended is then
    /// dropped and the field stays unset. Returns what `write` returned.
    pub fn try_compute(&mut self, field: u32, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let start = self.outcome.block.len();
        if !write(&mut self.outcome.block) {
            self.outcome.block.truncate(start);
            return false;
        }
        let length = self.outcome.block.len().saturating_sub(start);
        if let (Ok(start), Ok(length)) = (u32::try_from(start), u32::try_from(length)) {
            let text = wire::Span { start, length };
            if self.outcome.computed.is_empty() {
                // One allocation per frame instead of a growing list.
                self.outcome.computed.reserve(self.left);
                self.outcome
                    .block
                    .reserve(self.left.saturating_mul(length as usize));
            }
            self.outcome.computed.push(wire::Computed {
                event: self.event,
                field,
                text,
            });
        }
        true
    }
}

/// Builds the mapping from its parameters and describes it to the host.
///
/// # Errors
/// Names the parameter the mapping cannot accept.
pub fn describe<M: Mapping>(
    parameters: &str,
) -> Result<(M, wire::Descriptor), wire::ParameterError> {
    let mapping = parameters::decode(parameters)
        .and_then(M::new)
        .map_err(|error| wire::ParameterError {
            parameter: error.parameter,
            message: error.message,
        })?;
    let Description {
        id,
        version,
        reads,
        writes,
        annotations,
    } = mapping.description();
    Ok((
        mapping,
        wire::Descriptor {
            id,
            version,
            reads,
            writes,
            annotations,
        },
    ))
}

/// Maps a frame.
#[must_use]
pub fn map<M: Mapping>(mapping: &M, columns: usize, frame: &wire::Frame) -> wire::Outcome {
    let mut outcome = wire::Outcome {
        block: Vec::new(),
        mapped: Vec::with_capacity(frame.events.len()),
        computed: Vec::new(),
    };
    for (index, numbers) in (0_u32..).zip(&frame.events) {
        let at = index as usize;
        let texts = frame
            .texts
            .get(at * columns..(at + 1) * columns)
            .unwrap_or_default();
        let event = Event {
            numbers,
            block: &frame.block,
            texts,
        };
        mapping.evaluate(
            &event,
            &mut Answer {
                outcome: &mut outcome,
                event: index,
                left: frame.events.len() - at,
            },
        );
    }
    outcome
}

/// Exports a [`Mapping`] as a component. Does nothing unless the crate's
/// feature `component` is on and the target is WebAssembly.
#[macro_export]
macro_rules! export_mapping {
    ($mapping:ident) => {
        #[cfg(all(target_arch = "wasm32", feature = "component"))]
        #[allow(unsafe_code, reason = "the component's entry points are raw symbols")]
        mod component {
            use std::cell::OnceCell;

            use $crate::mapping::bindings::exports::sidewatch::rule::mapping::Guest;
            use $crate::mapping::wire;

            thread_local! {
                static MAPPING: OnceCell<(super::$mapping, usize)> = const { OnceCell::new() };
            }

            struct Component;

            impl Guest for Component {
                fn configure(parameters: String) -> Result<wire::Descriptor, wire::ParameterError> {
                    let (mapping, descriptor) = $crate::mapping::describe::<super::$mapping>(&parameters)?;
                    MAPPING.with(|cell| drop(cell.set((mapping, descriptor.reads.len()))));
                    Ok(descriptor)
                }

                fn evaluate(frame: wire::Frame) -> wire::Outcome {
                    MAPPING.with(|cell| match cell.get() {
                        Some((mapping, columns)) => $crate::mapping::map(mapping, *columns, &frame),
                        None => ::core::panic!("evaluate was called before configure"),
                    })
                }
            }

            $crate::mapping::bindings::export_mapping_component!(Component with_types_in $crate::mapping::bindings);
        }
    };
}
