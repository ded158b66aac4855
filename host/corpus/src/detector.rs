//! Whatever reads events and raises alerts: our rules and the baselines.

use std::error::Error;

use crate::traffic::CorpusEvent;

/// What a detector said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert {
    /// Milliseconds since the epoch of the event that raised it.
    pub time: i64,
    /// Index of its kind; 0 for detectors of one kind.
    pub kind: u32,
}

/// Several detectors that read the same events.
pub trait Panel {
    /// Their names, in order.
    fn names(&self) -> Vec<String>;

    /// Makes them forget everything.
    ///
    /// # Errors
    /// A detector cannot be made anew.
    fn reset(&mut self) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Reads events in the order they arrived; each detector's alerts are
    /// appended to the list of the same index.
    fn fold(&mut self, events: &[CorpusEvent], alerts: &mut [Vec<Alert>]);
}

/// A detector that starts knowing nothing.
pub trait Detector {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Reads an event.
    fn feed(&mut self, event: &CorpusEvent, alerts: &mut Vec<Alert>);
}

/// Makes a detector anew.
pub type Make = fn() -> Box<dyn Detector>;

/// A panel of detectors of this process.
pub struct Detectors {
    makes: Vec<Make>,
    present: Vec<Box<dyn Detector>>,
}

impl Detectors {
    /// Detectors that know nothing.
    #[must_use]
    pub fn new(makes: &[Make]) -> Self {
        Self {
            makes: makes.to_vec(),
            present: makes.iter().map(|make| make()).collect(),
        }
    }
}

impl Panel for Detectors {
    fn names(&self) -> Vec<String> {
        self.present
            .iter()
            .map(|detector| detector.name().to_owned())
            .collect()
    }

    fn reset(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.present = self.makes.iter().map(|make| make()).collect();
        Ok(())
    }

    fn fold(&mut self, events: &[CorpusEvent], alerts: &mut [Vec<Alert>]) {
        for (detector, alerts) in self.present.iter_mut().zip(alerts) {
            for event in events {
                detector.feed(event, alerts);
            }
        }
    }
}
