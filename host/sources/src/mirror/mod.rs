//! The HTTP listener nginx mirrors to.
//!
//! Invariants:
//! - every request that can be understood is answered at once, without a body
//!   (a body would cost nginx the connection), whatever becomes of its event;
//! - nothing here waits for the pipeline: when the queue is full, the event is
//!   shed and counted;
//! - a connection costs bounded memory and a slow peer is cut off.
//!
//! `POST /sensor/` takes Tirreno's form, so that what was set up for Tirreno
//! needs a new address only: see [`sensor`]. What the edge application sends on
//! comes in beside it: see [`events`].

mod authentication;
mod connection;
mod events;
mod request;
mod sensor;
mod settings;
mod wake;

use std::sync::Arc;

use sidewatch_codecs::RequestCodec;
use tokio::sync::Semaphore;

use crate::listen::{self, Bound};
use crate::{Intake, Shutdown, Source, SourceError, SourceFuture};
use authentication::Authentication;
use connection::Server;
pub use settings::MirrorSettings;
use wake::Wakes;

/// A bound mirror source.
#[derive(Debug)]
pub struct MirrorSource {
    name: Box<str>,
    listeners: Vec<Bound>,
    settings: MirrorSettings,
    codec: Arc<RequestCodec>,
}

impl MirrorSettings {
    /// Opens the listeners.
    ///
    /// # Errors
    /// Settings that cannot be used, or an address that cannot be bound.
    pub fn bind(&self, name: &str, codec: Arc<RequestCodec>) -> Result<MirrorSource, SourceError> {
        self.validate()?;
        let mut listeners = Vec::new();
        if let Some(address) = self.tcp_address() {
            listeners.push(Bound::tcp(address)?);
        }
        if let Some(path) = &self.socket {
            listeners.push(Bound::unix(path, self.socket_mode)?);
        }
        Ok(MirrorSource {
            name: name.into(),
            listeners,
            settings: self.clone(),
            codec,
        })
    }
}

impl Source for MirrorSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn addresses(&self) -> Vec<String> {
        self.listeners.iter().map(Bound::address).collect()
    }

    fn run(self: Box<Self>, intake: Intake, shutdown: Shutdown) -> SourceFuture {
        Box::pin(run(*self, intake, shutdown))
    }
}

async fn run(source: MirrorSource, intake: Intake, shutdown: Shutdown) -> Result<(), SourceError> {
    let slots = Arc::new(Semaphore::new(source.settings.max_connections));
    let wakes = Arc::new(Wakes::default());
    let server = Arc::new(Server {
        authentication: Authentication::new(&source.settings),
        settings: source.settings,
        codec: source.codec,
        intake: intake.clone(),
        wakes: Arc::clone(&wakes),
        shutdown: shutdown.clone(),
    });
    let mut accepting = tokio::task::JoinSet::new();
    for bound in source.listeners {
        let server = Arc::clone(&server);
        accepting.spawn(listen::accept(
            bound,
            Arc::clone(&slots),
            intake.clone(),
            shutdown.clone(),
            move |stream, peer| connection::serve(Arc::clone(&server), stream, peer),
        ));
    }
    let finished = async {
        while let Some(ended) = accepting.join_next().await {
            ended.map_err(|error| SourceError::Runtime(error.into()))??;
        }
        Ok(())
    };
    let result = tokio::select! {
        result = finished => result,
        () = wakes.run(&intake) => Ok(()),
    };
    intake.wake();
    result
}
