//! A clock that stands still and a head register in memory.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use countermark_tlog::checkpoint::Origin;

use crate::ports::{Clock, HeadRegister, PortFault, PortFuture, RegisterError, StoredHead};

/// Stands still until it is set.
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn at(seconds: u64) -> Self {
        Self(AtomicU64::new(seconds * 1_000))
    }

    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds * 1_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A head register in memory. It keeps every head it ever held.
#[derive(Default)]
pub(crate) struct MemoryRegister {
    heads: Mutex<HashMap<Origin, Vec<StoredHead>>>,
}

impl MemoryRegister {
    /// Every head ever registered, oldest first.
    pub(crate) fn history(&self, origin: &Origin) -> Vec<StoredHead> {
        self.heads.lock().unwrap().get(origin).cloned().unwrap_or_default()
    }

    /// Puts a head there as nobody should.
    pub(crate) fn force(&self, origin: &Origin, head: Option<StoredHead>) {
        let mut heads = self.heads.lock().unwrap();
        match head {
            Some(head) => heads.entry(origin.clone()).or_default().push(head),
            None => {
                heads.remove(origin);
            }
        }
    }
}

impl HeadRegister for MemoryRegister {
    fn read<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<Option<StoredHead>, PortFault>> {
        Box::pin(async move { Ok(self.history(origin).last().cloned()) })
    }

    fn compare_and_swap<'a>(
        &'a self,
        origin: &'a Origin,
        expected: Option<&'a StoredHead>,
        head: &'a StoredHead,
    ) -> PortFuture<'a, Result<(), RegisterError>> {
        Box::pin(async move {
            let mut heads = self.heads.lock().unwrap();
            let found = heads.get(origin).and_then(|heads| heads.last()).cloned();
            if found.as_ref() != expected {
                return Err(RegisterError::Conflict { found });
            }
            heads.entry(origin.clone()).or_default().push(head.clone());
            Ok(())
        })
    }
}
