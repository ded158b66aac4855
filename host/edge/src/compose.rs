//! The component with its slots: leaving only those needed, and plugging rules
//! into them as Spin does when it loads the application.

use wac_graph::types::{ItemKind, Package, SubtypeChecker, WorldId};
use wac_graph::{CompositionGraph, EncodeOptions, NodeId};

/// Detections one application can hold. Spin gives a component 32 linear
/// memories: one is the application's own, one the mapping's.
pub const MOST_DETECTIONS: usize = 30;

/// The slot of the mapping.
pub const MAPPING_SLOT: &str = "mapping";

/// What a mapping exports.
pub const MAPPING_EXPORT: &str = "sidewatch:rule/mapping@0.1.0";

/// What a detection exports.
pub const DETECTION_EXPORT: &str = "sidewatch:rule/detection@0.1.0";

/// The slot of a detection, counted from 0.
#[must_use]
pub fn slot(number: usize) -> String {
    format!("slot{number}")
}

/// Why components do not go together.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// More rules than Spin gives memories.
    #[error(
        "{0} detection rules are more than the {MOST_DETECTIONS} an application can hold, because Spin gives a component 32 linear memories; build two applications and mirror to both"
    )]
    TooMany(usize),
    /// Without a detection there is nothing to do.
    #[error("the application has no detection rule; name at least one")]
    None,
    /// The bytes are no component.
    #[error("`{name}` is no component: {reason}")]
    Component {
        /// What it should be.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The component has no such slot.
    #[error("the edge component has no slot `{0}`; was it built from another version?")]
    Slot(String),
    /// A rule does not export what its slot takes.
    #[error("rule `{rule}` does not fit slot `{slot}`: {reason}")]
    Fit {
        /// The rule.
        rule: String,
        /// The slot.
        slot: String,
        /// Why not.
        reason: String,
    },
    /// The result cannot be written.
    #[error("the composition cannot be encoded: {0}")]
    Encode(String),
}

/// A rule to be plugged.
#[derive(Debug, Clone)]
pub struct Plug {
    /// Its name.
    pub rule: String,
    /// The slot it goes into.
    pub slot: String,
    /// The interface it exports.
    pub export: String,
    /// Its bytes.
    pub component: Vec<u8>,
}

struct Composing {
    graph: CompositionGraph,
    world: WorldId,
    edge: NodeId,
}

impl Composing {
    fn new(edge: &[u8]) -> Result<Self, ComposeError> {
        let mut graph = CompositionGraph::new();
        let (world, edge) = instantiate(&mut graph, "edge", edge)?;
        Ok(Self { graph, world, edge })
    }

    fn wanted(&self, slot: &str) -> Result<ItemKind, ComposeError> {
        let imports = &self.graph.types()[self.world].imports;
        let wanted = imports.get(slot).copied();
        wanted.ok_or_else(|| ComposeError::Slot(slot.to_owned()))
    }

    fn fill(&mut self, slot: &str, with: NodeId) -> Result<(), String> {
        self.graph
            .set_instantiation_argument(self.edge, slot, with)
            .map_err(|error| format!("{error:#}"))
    }

    /// Exports what the edge component exports and writes the result.
    fn finish(mut self) -> Result<Vec<u8>, ComposeError> {
        let failed = |error: &dyn std::fmt::Display| ComposeError::Encode(format!("{error:#}"));
        let exports: Vec<String> = self.graph.types()[self.world]
            .exports
            .keys()
            .cloned()
            .collect();
        for name in exports {
            let export = self.graph.alias_instance_export(self.edge, &name);
            let export = export.map_err(|error| failed(&error))?;
            self.graph
                .export(export, &name)
                .map_err(|error| failed(&error))?;
        }
        self.graph
            .encode(EncodeOptions::default())
            .map_err(|error| failed(&error))
    }
}

fn instantiate(
    graph: &mut CompositionGraph,
    name: &str,
    bytes: &[u8],
) -> Result<(WorldId, NodeId), ComposeError> {
    let wrong = |error: &dyn std::fmt::Display| ComposeError::Component {
        name: name.to_owned(),
        reason: format!("{error:#}"),
    };
    let package = format!("sidewatch:{name}");
    let package = Package::from_bytes(&package, None, bytes, graph.types_mut())
        .map_err(|error| wrong(&error))?;
    let world = package.ty();
    let package = graph
        .register_package(package)
        .map_err(|error| wrong(&error))?;
    Ok((world, graph.instantiate(package)))
}

/// The edge component with `detections` slots for detections instead of all.
///
/// Spin wants every slot filled, and an instance of a rule for each costs a
/// memory. So the slots that are not needed are given what the first one is
/// given: they cost nothing and are never called.
///
/// # Errors
/// None or too many are wanted, or this is not the edge component.
pub fn trim(edge: &[u8], detections: usize) -> Result<Vec<u8>, ComposeError> {
    match detections {
        0 => return Err(ComposeError::None),
        1..=MOST_DETECTIONS => {}
        more => return Err(ComposeError::TooMany(more)),
    }
    let mut composing = Composing::new(edge)?;
    let first = composing.wanted(&slot(0))?;
    let failed = |error: &dyn std::fmt::Display| ComposeError::Encode(format!("{error:#}"));
    let first = composing
        .graph
        .import(slot(0), first)
        .map_err(|error| failed(&error))?;
    for number in std::iter::once(0).chain(detections..MOST_DETECTIONS) {
        composing.wanted(&slot(number))?;
        composing
            .fill(&slot(number), first)
            .map_err(|error| failed(&error))?;
    }
    composing.finish()
}

/// The application as Spin makes it of its manifest: each rule instantiated
/// and plugged into its slot. Slots without a rule stay imports.
///
/// # Errors
/// A rule does not fit its slot, or bytes are no component.
pub fn plug(application: &[u8], plugs: &[Plug]) -> Result<Vec<u8>, ComposeError> {
    let mut composing = Composing::new(application)?;
    for plug in plugs {
        let misfit = |reason: String| ComposeError::Fit {
            rule: plug.rule.clone(),
            slot: plug.slot.clone(),
            reason,
        };
        let wanted = composing.wanted(&plug.slot)?;
        let name = format!("{}-{}", plug.slot, plug.rule);
        let (world, rule) = instantiate(&mut composing.graph, &name, &plug.component)?;
        let types = composing.graph.types();
        if let Some(import) = types[world].imports.keys().next() {
            return Err(misfit(format!(
                "it imports `{import}`, and rules import nothing"
            )));
        }
        let found = types[world].exports.get(&plug.export).copied();
        let found = found.ok_or_else(|| misfit(format!("it does not export `{}`", plug.export)))?;
        SubtypeChecker::new(&mut std::collections::HashSet::default())
            .is_subtype(found, types, wanted, types)
            .map_err(|error| misfit(format!("{error:#}")))?;
        let export = composing.graph.alias_instance_export(rule, &plug.export);
        let export = export.map_err(|error| misfit(error.to_string()))?;
        composing.fill(&plug.slot, export).map_err(misfit)?;
    }
    composing.finish()
}
