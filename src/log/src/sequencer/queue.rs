//! The queue before the owner task: bounded in submissions and in bytes.
//!
//! It keeps no order between namespaces: each has its own, so that a busy one does not delay another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::draft::Answer;
use super::submission::Submission;
use crate::ports::LogKind;

/// The most bytes of submissions that wait for one owner task: 64 MiB.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;

/// The most submissions to a `fleet-keys` log that wait. Each may take a signature and a policy decision: a long queue would
/// only mean long waiting.
const QUEUE_MAX: usize = 1_024;
/// The most opaque entries that wait.
const RAW_QUEUE_MAX: usize = 16_384;

/// The most submissions that wait for the owner task of a log of this kind; more are answered
/// [`SubmitError::Overloaded`](super::SubmitError::Overloaded).
#[must_use]
pub const fn queue_max(kind: LogKind) -> usize {
    match kind {
        LogKind::FleetKeys => QUEUE_MAX,
        LogKind::Raw => RAW_QUEUE_MAX,
    }
}

/// A submission in the queue, and its part of the bytes that wait.
pub(super) struct Queued {
    submission: Submission,
    answer: Answer,
    weight: Weight,
}

/// Bytes that are counted until this is dropped.
struct Weight {
    bytes: usize,
    waiting: Arc<AtomicUsize>,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Queued {
    pub(super) const fn weight(&self) -> usize {
        self.weight.bytes
    }

    /// Takes it out of the queue: its bytes no longer wait.
    pub(super) fn take(self) -> (Submission, Answer) {
        (self.submission, self.answer)
    }
}

/// The end at which submissions are put in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Queue {
    sender: mpsc::Sender<Queued>,
    waiting: Arc<AtomicUsize>,
}

/// Why a submission was not put in.
pub(super) enum Refused {
    /// Too many wait, or too many bytes.
    Full,
    /// The owner task has ended.
    Closed,
}

/// A queue for a log of this kind.
pub(super) fn queue(kind: LogKind) -> (Queue, mpsc::Receiver<Queued>) {
    let (sender, receiver) = mpsc::channel(queue_max(kind));
    (Queue { sender, waiting: Arc::default() }, receiver)
}

impl Queue {
    /// Puts a submission in, or says at once why not.
    pub(super) fn put(&self, submission: Submission, answer: Answer) -> Result<(), Refused> {
        let bytes = submission.weight();
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let weight = Weight { bytes, waiting: Arc::clone(&self.waiting) };
        if before.saturating_add(bytes) > QUEUE_BYTES_MAX {
            return Err(Refused::Full);
        }
        self.sender.try_send(Queued { submission, answer, weight }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Refused::Full,
            mpsc::error::TrySendError::Closed(_) => Refused::Closed,
        })
    }

    /// How many may wait.
    pub(super) fn capacity(&self) -> usize {
        self.sender.max_capacity()
    }

    /// How many wait.
    pub(super) fn depth(&self) -> usize {
        self.sender.max_capacity().saturating_sub(self.sender.capacity())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn put(queue: &Queue, length: usize) -> bool {
        let submission = Submission::raw(vec![7; length].into()).unwrap();
        queue.put(submission, oneshot::channel().0).is_ok()
    }

    #[test]
    fn bytes_that_wait_are_bounded_and_given_back() {
        let (queue, mut waiting) = queue(LogKind::Raw);
        let length = 65_535;
        let fits = QUEUE_BYTES_MAX / length;
        assert_eq!((0..fits + 3).filter(|_| put(&queue, length)).count(), fits);
        drop(waiting.try_recv().unwrap());
        assert!(put(&queue, length));
        assert!(!put(&queue, length));
        assert_eq!(queue.depth(), fits);
    }

    #[test]
    fn submissions_that_wait_are_counted() {
        for kind in LogKind::ALL {
            let (queue, _waiting) = queue(kind);
            let taken = (0..queue_max(kind) + 5).filter(|_| put(&queue, 1)).count();
            assert_eq!(taken, queue_max(kind));
        }
    }
}
