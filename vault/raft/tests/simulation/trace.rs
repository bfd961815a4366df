//! What happened in a run: printed for one seed, hashed for all, and the first thing that must not happen.

use std::fmt::Arguments;
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

/// A run's record. Clones are the same record.
#[derive(Clone, Debug)]
pub struct Trace(Arc<State>);

#[derive(Debug)]
struct State {
    started: Instant,
    prints: bool,
    hash: Mutex<u64>,
    violation: Mutex<Option<String>>,
}

impl Trace {
    /// Begins a record. The runtime's clock counts.
    pub fn new(prints: bool) -> Self {
        let started = Instant::now();
        Self(Arc::new(State { started, prints, hash: Mutex::new(0xcbf2_9ce4_8422_2325), violation: Mutex::default() }))
    }

    /// When the run began.
    pub fn started(&self) -> Instant {
        self.0.started
    }

    /// Notes an event.
    pub fn note(&self, event: Arguments<'_>) {
        let line = format!("{:>7} ms  {event}", self.0.started.elapsed().as_millis());
        let mut hash = self.0.hash.lock().unwrap();
        for byte in line.bytes() {
            *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.0.prints {
            println!("{line}");
        }
    }

    /// Notes what must not happen. The first one counts.
    pub fn violate(&self, violation: String) {
        self.note(format_args!("VIOLATION: {violation}"));
        self.0.violation.lock().unwrap().get_or_insert(violation);
    }

    /// What must not happen and did.
    pub fn violation(&self) -> Option<String> {
        self.0.violation.lock().unwrap().clone()
    }

    /// Of everything noted so far: equal for equal runs.
    pub fn hash(&self) -> u64 {
        *self.0.hash.lock().unwrap()
    }
}
