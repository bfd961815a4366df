//! A PKCS#11 library in this process: loaded once, initialised once, and again when a token went away.
//!
//! C_Initialize and C_Finalize are the process's, not a caller's: whoever calls the second ends the sessions of all. So a
//! library has a life, counted; a session belongs to one life, and calls go on only while no life ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use super::TokenError;

/// The least time between two lives: ending one costs the signers of every other token of the library their sessions.
const RENEW_EVERY: Duration = Duration::from_secs(2);

/// The libraries of this process. They are never unloaded: code of theirs may still run.
static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// A loaded library.
pub(super) struct Module {
    context: Pkcs11,
    life: RwLock<Life>,
}

#[derive(Clone, Copy)]
struct Life {
    number: u64,
    /// Whether it began: C_Initialize can fail, as with a library whose token folder is gone.
    begun: bool,
    at: Instant,
}

/// The right to call a library: while it is held, its life does not end.
pub(super) struct Entered<'a> {
    pub(super) context: &'a Pkcs11,
    /// Which life.
    pub(super) life: u64,
    _held: RwLockReadGuard<'a, Life>,
}

impl Module {
    /// The library at `path`, loaded and initialised if it is asked for the first time.
    pub(super) fn load(path: &Path) -> Result<Arc<Module>, TokenError> {
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(path) {
            return Ok(Arc::clone(module));
        }
        let context = Pkcs11::new(path).map_err(|_not_loaded| TokenError::Module)?;
        let begun = initialise(&context);
        let life = RwLock::new(Life { number: 0, begun, at: Instant::now() });
        let module = Arc::new(Module { context, life });
        modules.insert(path.to_owned(), Arc::clone(&module));
        Ok(module)
    }

    /// Enters the library, if it works.
    pub(super) fn enter(&self) -> Result<Entered<'_>, TokenError> {
        let held = self.life.read().unwrap_or_else(PoisonError::into_inner);
        if !held.begun {
            return Err(TokenError::Unavailable);
        }
        Ok(Entered { context: &self.context, life: held.number, _held: held })
    }

    /// Ends the library's life and begins the next, so that it looks for its tokens again. Says whether there may be
    /// something new to find: nobody else is made to wait more often than every [`RENEW_EVERY`].
    pub(super) fn renew(&self, seen: u64) -> bool {
        let mut life = self.life.write().unwrap_or_else(PoisonError::into_inner);
        if life.number != seen {
            return true;
        }
        if life.at.elapsed() < RENEW_EVERY {
            return false;
        }
        if life.begun {
            // A failure leaves it as it is, or not initialised: both are seen at the next line.
            drop(self.context.clone().finalize());
        }
        *life = Life { number: life.number.saturating_add(1), begun: initialise(&self.context), at: Instant::now() };
        life.begun
    }

    /// The number of the life that is now.
    pub(super) fn life(&self) -> u64 {
        self.life.read().unwrap_or_else(PoisonError::into_inner).number
    }
}

fn initialise(context: &Pkcs11) -> bool {
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // Somebody else in this process did it.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => true,
        Err(_) => false,
    }
}
