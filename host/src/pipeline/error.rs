//! Why a pipeline cannot start.

use sidewatch_codecs::request::RequestSettingsError;
use sidewatch_engine::EngineError;
use sidewatch_engine::signature::KeyError;
use sidewatch_enrich::EnrichError;
use sidewatch_sinks::SinkError;
use sidewatch_sources::SourceError;
use sidewatch_store::StoreError;

use crate::config::format::FormatError;
use crate::config::pack::PackError;
use crate::config::rules::RulesError;
use crate::config::secrets::KeysError;

/// A pipeline that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// No source is configured.
    #[error("no source is configured; add a `[[sources]]` entry (see `sidewatch run --help`)")]
    NoSource,
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A key of those whose rules are trusted.
    #[error("trust: {0}")]
    Trust(#[from] KeyError),
    /// The rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The enrichment.
    #[error(transparent)]
    Enrich(#[from] EnrichError),
    /// A pack.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A source's format.
    #[error("source `{id}`: format: {source}")]
    Format {
        /// The source.
        id: String,
        /// What is wrong.
        source: FormatError,
    },
    /// Where a source's requests name user and session.
    #[error("source `{id}`: request: {source}")]
    Request {
        /// The source.
        id: String,
        /// What is wrong.
        source: RequestSettingsError,
    },
    /// A source cannot be opened.
    #[error("source `{id}`: {source}")]
    Source {
        /// The source.
        id: String,
        /// What is wrong.
        source: SourceError,
    },
    /// A sink cannot be built.
    #[error("sink `{id}`: {source}")]
    Sink {
        /// The sink.
        id: String,
        /// What is wrong.
        source: SinkError,
    },
    /// What is to be kept cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part broke while it ran.
    #[error("{0}; the log has the details")]
    Broke(String),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
}
