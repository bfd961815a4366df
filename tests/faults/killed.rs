//! The process is killed (SIGKILL) at random moments under load, again and again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use countermark_keys::os_random_bytes;

use crate::audit::audit;
use crate::authority::{Authority, NAMESPACES};
use crate::http;
use crate::is_long;
use crate::log::{Log, poll};
use crate::submitter::{Ledger, Outcome, entry};

/// How often the process is killed.
const KILLS: u64 = 10;
const KILLS_LONG: u64 = 200;
/// The latest moment of a kill after load began.
const LATEST_MS: u64 = 300;
/// Who submits at once, to each namespace.
const SUBMITTERS: u64 = 3;

/// A sequence that its seed decides (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// What all lives of the process share.
struct Lives {
    authority: Authority,
    ledger: Ledger,
    /// Every head that a reader was shown.
    seen: Mutex<Vec<(&'static str, Vec<u8>)>>,
    /// Entries that were sent, answered or not, each with its namespace.
    sent: Mutex<Vec<(&'static str, String)>>,
    next: AtomicU64,
}

impl Lives {
    /// Submits until the process is gone.
    fn submit(&self, log: &Log, namespace: &'static str, over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            let text = format!("entry {}", self.next.fetch_add(1, Ordering::SeqCst));
            self.sent.lock().unwrap().push((namespace, text.clone()));
            match self.ledger.submit(&self.authority, log.address, namespace, &text) {
                Outcome::Acknowledged(_) => {}
                Outcome::Problem(answer) => panic!("{} {}", answer.status, answer.text()),
                Outcome::Broken => return,
            }
        }
    }

    /// Reads checkpoints until the process is gone.
    fn read(&self, log: &Log, over: &AtomicBool) {
        while !over.load(Ordering::SeqCst) {
            for namespace in NAMESPACES {
                match http::get(log.address, &format!("/{namespace}/checkpoint")) {
                    Ok(answer) if answer.status == 200 => self.seen.lock().unwrap().push((namespace, answer.body)),
                    Ok(answer) => assert_eq!(answer.problem(), "nothing-published"),
                    Err(_) => return,
                }
            }
        }
    }

    /// One life of the process: load, and after so long the kill.
    fn live(&self, log: Log, kill_after: Duration) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for namespace in NAMESPACES {
                for _ in 0..SUBMITTERS {
                    let (log, over) = (&log, &over);
                    scope.spawn(move || self.submit(log, namespace, over));
                }
            }
            scope.spawn(|| self.read(&log, &over));
            // The moment is the test's subject, not a wait for something.
            std::thread::sleep(kill_after);
            log.strike();
            over.store(true, Ordering::SeqCst);
        });
        log.kill();
    }

    /// What the last life acknowledged is read back, under its index; what was sent is taken again, once.
    fn check(&self, log: &Log, before: usize) {
        let sent = self.sent.lock().unwrap();
        for (namespace, text) in sent.iter().skip(before) {
            // The same index as before, which the ledger checks, or taken only now.
            let index = self.ledger.must(&self.authority, log.address, namespace, text);
            let read = poll(|| {
                let answer = http::get(log.address, &format!("/v1/{namespace}/entries/{index}")).unwrap();
                (answer.status == 200).then_some(answer.body)
            });
            assert_eq!(read, Some(entry(&self.authority, namespace, text)), "{namespace} {index}");
        }
    }
}

#[test]
fn no_kill_loses_what_was_acknowledged_or_makes_two_heads_that_disagree() {
    let seed = u64::from_le_bytes(os_random_bytes().unwrap());
    let seed = std::env::var("COUNTERMARK_KILL_SEED").map_or(seed, |seed| seed.parse().unwrap());
    // Shown if the test fails.
    println!("COUNTERMARK_KILL_SEED={seed}");
    let mut dice = Dice(seed);
    let lives = Lives {
        authority: Authority::new(),
        ledger: Ledger::default(),
        seen: Mutex::default(),
        sent: Mutex::default(),
        next: AtomicU64::new(0),
    };
    let mut busy = 0;
    for _ in 0..if is_long() { KILLS_LONG } else { KILLS } {
        let log = lives.authority.serve();
        let (sent, acknowledged) = (lives.sent.lock().unwrap().len(), lives.ledger.len());
        lives.live(log, Duration::from_millis(dice.next() % LATEST_MS));
        busy += usize::from(lives.ledger.len() > acknowledged);
        let log = lives.authority.serve();
        lives.check(&log, sent);
        // Not always: the next life may find what this one left unfinished.
        if dice.next().is_multiple_of(2) {
            let ended = log.end();
            assert!(ended.status.success(), "{ended}");
            audit(&lives.authority, &lives.ledger, &lives.seen.lock().unwrap());
        } else {
            log.kill();
        }
    }
    assert!(busy > 0, "no life was long enough to acknowledge anything");
    let log = lives.authority.serve();
    lives.check(&log, 0);
    assert_eq!(lives.ledger.len(), lives.sent.lock().unwrap().len(), "each entry is at one place");
    assert!(log.end().status.success());
    audit(&lives.authority, &lives.ledger, &lives.seen.lock().unwrap());
}
