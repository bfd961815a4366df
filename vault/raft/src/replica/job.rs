//! Commands on their way into the log, and who waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use countermark_vault_core::machine::{Command, Response};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What became of a job's commands.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The machine's answers, as many as commands.
    Committed(Vec<Response>),
    /// Not done, and never will be.
    NotDone,
    /// They may be done, or may be done later.
    Unknown,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This member.
    Own,
    /// Another member, which takes this one for the leader. It is told if that is wrong: commands are forwarded once.
    Peer,
}

/// Commands that belong together: they are committed in one entry or not at all.
pub(super) struct Job {
    pub(super) commands: Vec<Command>,
    pub(super) origin: Origin,
    /// Until when somebody waits.
    pub(super) deadline: Instant,
    launch: Arc<Launch>,
    reply: oneshot::Sender<Outcome>,
}

/// The other end of a job.
pub(super) struct Waiting {
    deadline: Instant,
    launch: Arc<Launch>,
    reply: oneshot::Receiver<Outcome>,
}

impl Job {
    /// A job and who waits for it.
    pub(super) fn new(commands: Vec<Command>, origin: Origin, deadline: Instant) -> (Self, Waiting) {
        let launch = Arc::new(Launch::default());
        let (sender, receiver) = oneshot::channel();
        let waiting = Waiting { deadline, launch: Arc::clone(&launch), reply: receiver };
        (Self { commands, origin, deadline, launch, reply: sender }, waiting)
    }

    /// Whether nobody waits any more.
    pub(super) fn is_over(&self) -> bool {
        self.reply.is_closed() || self.deadline <= Instant::now()
    }

    /// Says that the commands leave for the log now; false if whoever waited was told already that they never will.
    pub(super) fn launch(&self) -> bool {
        !self.reply.is_closed() && self.launch.begin()
    }

    /// Says that they certainly did not enter it.
    pub(super) fn take_back(&self) {
        self.launch.take_back();
    }

    /// Tells who waits.
    pub(super) fn answer(self, outcome: Outcome) {
        // Who does not wait any more knows what it means.
        let _ = self.reply.send(outcome);
    }
}

impl Waiting {
    /// What became of the job, at the deadline at the latest.
    pub(super) async fn outcome(self) -> Outcome {
        match tokio::time::timeout_at(self.deadline, self.reply).await {
            Ok(Ok(outcome)) => outcome,
            // The deadline passed, or the proposer is gone.
            Ok(Err(_)) | Err(_) => {
                if self.launch.give_up() {
                    Outcome::NotDone
                } else {
                    Outcome::Unknown
                }
            }
        }
    }
}

/// Decides the race between "leaves for the log" and "is given up": exactly one of them happens first, so that whoever
/// gives up knows whether the commands may be done.
#[derive(Default)]
struct Launch(AtomicU8);

impl Launch {
    const WAITS: u8 = 0;
    const LEFT: u8 = 1;
    const GIVEN_UP: u8 = 2;

    fn begin(&self) -> bool {
        self.turn(Self::WAITS, Self::LEFT)
    }

    fn take_back(&self) {
        self.turn(Self::LEFT, Self::WAITS);
    }

    fn give_up(&self) -> bool {
        self.turn(Self::WAITS, Self::GIVEN_UP)
    }

    fn turn(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn job(wait: Duration) -> (Job, Waiting) {
        Job::new(vec![Command::Tick], Origin::Own, Instant::now() + wait)
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_given_up_before_it_left_is_not_done_and_never_leaves() {
        let (job, waiting) = job(Duration::from_secs(1));
        assert!(matches!(waiting.outcome().await, Outcome::NotDone));
        assert!(job.is_over());
        assert!(!job.launch());
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_given_up_after_it_left_is_unknown() {
        let (job, waiting) = job(Duration::from_secs(1));
        assert!(job.launch());
        assert!(matches!(waiting.outcome().await, Outcome::Unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_taken_back_is_not_done() {
        let (job, waiting) = job(Duration::from_secs(1));
        assert!(job.launch());
        job.take_back();
        assert!(matches!(waiting.outcome().await, Outcome::NotDone));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_whose_proposer_dies_is_as_known_as_it_was() {
        for (left, expect_known) in [(false, true), (true, false)] {
            let (job, waiting) = job(Duration::from_secs(1));
            assert!(!left || job.launch());
            drop(job);
            assert_eq!(matches!(waiting.outcome().await, Outcome::NotDone), expect_known);
        }
    }
}
