//! A device for tests: it authenticates for real and keeps nothing secret.

use std::sync::{Arc, Mutex};

use countermark_vault_core::device::{DeviceFault, MonotonicCounter, SealedStore, UnsealError};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::disk::FaultForm;

const FAULT: DeviceFault = DeviceFault { part: "the simulated device" };

/// Sealed storage: a digest over the device's number, the context and the bytes before the bytes.
#[derive(Debug)]
pub struct Sealer(pub u64);

impl Sealer {
    fn tag(&self, context: &[u8], plaintext: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.0.to_be_bytes());
        hash.update(u64::try_from(context.len()).unwrap().to_be_bytes());
        hash.update(context);
        hash.update(plaintext);
        hash.finalize().into()
    }
}

impl SealedStore for Sealer {
    fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        Ok([self.tag(context, plaintext).as_slice(), plaintext].concat())
    }

    fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let (tag, plaintext) = sealed.split_at_checked(32).ok_or(UnsealError::NotOurs)?;
        let ours = tag == self.tag(context, plaintext);
        if ours { Ok(Zeroizing::new(plaintext.to_vec())) } else { Err(UnsealError::NotOurs) }
    }
}

/// A counter that survives crashes. Clones are the same counter.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<Mutex<CounterState>>);

#[derive(Debug, Default)]
struct CounterState {
    value: u64,
    fault: Option<FaultForm>,
    failed: bool,
}

impl Counter {
    /// Where it is.
    pub fn value(&self) -> u64 {
        self.0.lock().unwrap().value
    }

    /// Puts it somewhere, as no device does.
    pub fn set(&self, value: u64) {
        self.0.lock().unwrap().value = value;
    }

    /// Whether a failure happened since it was healed.
    pub fn has_failed(&self) -> bool {
        self.0.lock().unwrap().failed
    }

    /// Takes back a failure to come.
    pub fn heal(&self) {
        let mut state = self.0.lock().unwrap();
        (state.fault, state.failed) = (None, false);
    }

    /// Lets the next raise fail.
    pub fn fail(&self, form: FaultForm) {
        self.0.lock().unwrap().fault = Some(form);
    }
}

impl MonotonicCounter for Counter {
    fn read(&mut self) -> Result<u64, DeviceFault> {
        Ok(self.value())
    }

    fn raise(&mut self, value: u64) -> Result<(), DeviceFault> {
        let mut state = self.0.lock().unwrap();
        let fault = state.fault.take();
        state.failed |= fault.is_some();
        if value < state.value || fault == Some(FaultForm::NotSaved) {
            return Err(FAULT);
        }
        state.value = value;
        if fault.is_some() { Err(FAULT) } else { Ok(()) }
    }
}
