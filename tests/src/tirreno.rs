//! The Tirreno double on a thread of its own, for tests that do not know
//! tasks.

use sidewatch_sinks::double::{Record, Tirreno as Double};

/// A running double.
pub struct Tirreno {
    double: Double,
    // Held because the double's tasks end with it.
    runtime: tokio::runtime::Runtime,
}

impl std::fmt::Debug for Tirreno {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Tirreno")
            .field("runtime", &self.runtime)
            .finish_non_exhaustive()
    }
}

impl Tirreno {
    /// Starts it on an ephemeral port.
    ///
    /// # Panics
    /// There is no port.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let double = runtime.block_on(Double::start()).unwrap();
        Self { double, runtime }
    }

    /// A `[[sinks]]` entry that delivers to it.
    pub fn sink(&self) -> String {
        format!(
            "type = \"tirreno\"\nurl = \"{}\"\napi_key = \"{}\"\n",
            self.double.url(),
            self.double.api_key()
        )
    }

    /// What it stored.
    pub fn records(&self) -> Vec<Record> {
        self.double.records()
    }

    /// Why it lost what it accepted.
    pub fn lost(&self) -> Vec<String> {
        self.double.lost()
    }
}
