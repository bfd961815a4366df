//! A signer whose key is in a token: one thread owns the session, callers wait for it with a bound.

use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use super::TokenError;
use super::owner::Owner;
use crate::holder::{SignError, Signer};
use crate::role::{Algorithm, Role};

/// How long opening a key may take; PKCS#11 calls cannot be interrupted.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a caller waits for a signature, the ones before it included.
const SIGN_TIMEOUT: Duration = Duration::from_secs(10);

/// Callers that wait at a time.
const WAITING_MAX: usize = 1024;

/// A signer over a key in a token.
pub(super) struct TokenSigner {
    role: Role,
    public_key: Vec<u8>,
    jobs: SyncSender<Job>,
}

struct Job {
    message: Vec<u8>,
    answer: SyncSender<Result<Vec<u8>, TokenError>>,
}

impl TokenSigner {
    /// Opens the key in a thread of its own, which ends when the signer is dropped.
    pub(super) fn open(owner: Owner) -> Result<Self, TokenError> {
        let role = owner.reference().role;
        let public_key = owner.reference().public_key.clone();
        let (jobs, received) = mpsc::sync_channel(WAITING_MAX);
        let (opened, is_open) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name(format!("pkcs11-{role}"))
            .spawn(move || run(owner, &opened, &received))
            .map_err(|_no_thread| TokenError::Unavailable)?;
        is_open.recv_timeout(OPEN_TIMEOUT).map_err(|_no_answer| TokenError::Unavailable)??;
        Ok(Self { role, public_key, jobs })
    }

    fn ask(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.jobs.try_send(Job { message: message.to_vec(), answer }).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => TokenError::Unavailable,
        })?;
        answered.recv_timeout(SIGN_TIMEOUT).map_err(|_no_answer| TokenError::Unavailable)?
    }
}

/// The owner's life: tells how opening went, then signs until nobody can ask any more.
fn run(mut owner: Owner, opened: &SyncSender<Result<(), TokenError>>, jobs: &Receiver<Job>) {
    let outcome = owner.open();
    // Whoever asked has gone if this fails; then nobody asks for a signature either.
    if opened.send(outcome).is_err() || outcome.is_err() {
        return;
    }
    while let Ok(job) = jobs.recv() {
        // One that waits no longer needs no answer.
        drop(job.answer.try_send(owner.sign(&job.message)));
    }
}

impl Signer for TokenSigner {
    fn role(&self) -> Role {
        self.role
    }

    fn algorithm(&self) -> Algorithm {
        self.role.algorithm()
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.ask(message).map_err(|error| error.sign_error(self.role, self.algorithm()))
    }
}
