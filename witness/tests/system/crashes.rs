//! Real processes in trouble: killed under load, two on one state file, no space. After each, everything that anybody was
//! ever given is put together: the heads of a log are of one history, and the stored one is the largest of them.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countermark_tlog::note::VerifierKey;
use countermark_tlog::witness_wire::monitoring_path;
use countermark_witness::{OpenHeadsError, ServeError, serve};

use crate::binary::{Served, init};
use crate::log::TestLog;
use crate::support::{self, Home};

const DEADLINE: Duration = Duration::from_mins(1);

/// A log that signs two faces from its first entry on, and what was ever cosigned of them.
#[derive(Clone)]
struct Followed {
    faces: [TestLog; 2],
    /// By size: which face was cosigned.
    cosigned: Arc<Mutex<BTreeMap<usize, Vec<usize>>>>,
}

impl Followed {
    fn new(origin: &str) -> Self {
        let log = TestLog::new(origin);
        Self { faces: [log.forked_at(0), log], cosigned: Arc::default() }
    }

    /// Asks for one more entry of a face than the witness says it has; a process that is gone is no answer.
    async fn advance(&self, address: SocketAddr, key: &VerifierKey, face: usize, old: usize) -> Option<usize> {
        let size = old + 1;
        let answer = support::try_post(address, self.faces[face].request(old, size)).await?;
        match answer.status {
            200 => {
                support::verify_cosignature(&answer.body, key, &self.faces[face].text(size));
                self.cosigned.lock().unwrap().entry(size).or_default().push(face);
                Some(size)
            }
            409 => Some(answer.body.trim_end().parse().unwrap()),
            // The other face is the one that is cosigned, or the log has been found out.
            422 => Some(old),
            status => panic!("{status}: {}", answer.body),
        }
    }

    /// What was cosigned is one history, and what is stored is at least its largest head.
    async fn audit(&self, address: SocketAddr) -> usize {
        let cosigned = self.cosigned.lock().unwrap().clone();
        let faces: Vec<usize> = cosigned.values().flatten().copied().collect();
        assert!(faces.windows(2).all(|pair| pair[0] == pair[1]), "two faces were cosigned: {cosigned:?}");
        let largest = cosigned.keys().max().copied().unwrap_or_default();
        let stored = support::get(address, &monitoring_path(&self.faces[0].origin())).await;
        if largest == 0 {
            return 0;
        }
        assert_eq!(stored.status, 200, "{}", stored.body);
        let size: usize = stored.body.split('\n').nth(1).unwrap().parse().unwrap();
        assert!(size >= largest, "{size} is stored and {largest} was cosigned");
        assert!(stored.body.starts_with(&self.faces[faces[0]].checkpoint(size)), "another face is stored");
        size
    }
}

fn followed(count: usize) -> (Vec<Followed>, Home) {
    let logs: Vec<Followed> = (0..count).map(|number| Followed::new(&format!("log.example/{number}"))).collect();
    let home = Home::new(&logs.iter().map(|log| &log.faces[1]).collect::<Vec<_>>());
    (logs, home)
}

/// Each of these faces of every log is pushed at every address by a client of its own, until each had `rounds` answers or
/// its process is gone.
async fn load(logs: &[Followed], faces: [usize; 2], key: &VerifierKey, addresses: &[SocketAddr], rounds: usize) {
    let mut clients = tokio::task::JoinSet::new();
    for (log, face, &address) in logs
        .iter()
        .flat_map(|log| faces.into_iter().flat_map(move |face| addresses.iter().map(move |a| (log, face, a))))
    {
        let (log, key) = (log.clone(), key.clone());
        clients.spawn(async move {
            let mut old = 0;
            for _ in 0..rounds {
                let Some(next) = log.advance(address, &key, face, old).await else { return };
                old = next;
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_state_file_never_cosign_two_faces() {
    let (logs, home) = followed(4);
    let key = init(&home);
    let (one, two) = (Served::start(&home), Served::start(&home));
    load(&logs, [0, 1], &key, &[one.address, two.address], 25).await;
    for log in &logs {
        let stored = log.audit(one.address).await;
        assert!(stored > 0);
        assert_eq!(log.audit(two.address).await, stored);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_is_killed_under_load_never_takes_a_head_back() {
    let (logs, home) = followed(3);
    let key = init(&home);
    for round in 0..6_usize {
        let served = Served::start(&home);
        for log in &logs {
            log.audit(served.address).await;
        }
        let seen = || -> usize { logs.iter().map(|log| log.cosigned.lock().unwrap().len()).sum() };
        let before = seen();
        let address = [served.address];
        let under_load = load(&logs, [0, 0], &key, &address, 1_000);
        let killed = async {
            // Some answers later, wherever the requests then are.
            let begun = Instant::now();
            while seen() < before + 2 + 3 * round {
                assert!(begun.elapsed() < DEADLINE, "round {round}: no answers");
                tokio::task::yield_now().await;
            }
            served.signal("KILL");
        };
        tokio::join!(under_load, killed);
    }
    let served = Served::start(&home);
    for log in &logs {
        let stored = log.audit(served.address).await;
        // It goes on from there.
        assert_eq!(log.advance(served.address, &key, 0, stored).await, Some(stored + 1));
    }
}

/// The most bytes of a file that the process may write; the hard limit stays, so that it can be lifted again.
fn limit(served: &Served, bytes: &str) {
    let limit = format!("--fsize={bytes}:");
    let set = Command::new("prlimit").args(["--pid", &served.pid().to_string(), &limit]).status().unwrap();
    assert!(set.success(), "prlimit {limit}");
}

#[tokio::test]
async fn a_witness_without_space_says_so_and_goes_on_by_itself_when_there_is_space() {
    let (logs, home) = followed(1);
    let key = init(&home);
    let log = &logs[0];
    let served = Served::start_tolerant(&home);
    let mut size = 0;
    for round in 0..2 {
        size = log.advance(served.address, &key, 1, size).await.unwrap();
        limit(&served, "0");
        for _ in 0..3 {
            let answer = support::post(served.address, log.faces[1].request(size, size + 1)).await;
            assert_eq!(answer.status, 500, "round {round}: {}", answer.body);
            assert!(answer.body.contains("urn:countermark:problem:witness:fault"), "{}", answer.body);
        }
        assert_eq!(support::get(served.address, "healthz").await.status, 200);
        poll_status(served.address, 503).await;
        limit(&served, "unlimited");
        poll_status(served.address, 200).await;
        // What was not answered is durable or not: either way it is cosigned once the witness is asked again.
        let wanted = size + 2;
        while size < wanted {
            size = log.advance(served.address, &key, 1, size).await.unwrap();
        }
        assert_eq!(log.audit(served.address).await, size);
    }
}

async fn poll_status(address: SocketAddr, status: u16) {
    let begun = Instant::now();
    while support::get(address, "readyz").await.status != status {
        assert!(begun.elapsed() < DEADLINE, "readyz does not become {status}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_restored_state_is_refused_and_so_is_a_damaged_register() {
    let (logs, home) = followed(1);
    let key = init(&home);
    let state = home.path("witness.sqlite");
    let mut size = 0;
    for _ in 0..2 {
        fs::copy(&state, home.path("backup")).unwrap();
        let mut served = Served::start(&home);
        size = logs[0].advance(served.address, &key, 1, size).await.unwrap();
        served.end();
    }
    let newest = fs::read(&state).unwrap();
    fs::copy(home.path("backup"), &state).unwrap();
    let error = serve(home.config(), |_| panic!("it serves"), std::future::ready(())).await.unwrap_err();
    let ServeError::Heads(OpenHeadsError::OlderState { found: 1, registered: 2 }) = error else { panic!("{error:?}") };

    fs::write(&state, newest).unwrap();
    let register = home.path("witness.key.has-state");
    let whole = fs::read(&register).unwrap();
    fs::write(&register, [&whole, b"x".as_slice()].concat()).unwrap();
    let error = serve(home.config(), |_| panic!("it serves"), std::future::ready(())).await.unwrap_err();
    assert!(matches!(error, ServeError::Heads(OpenHeadsError::Register(_))), "{error:?}");
    fs::remove_file(&register).unwrap();
    let error = serve(home.config(), |_| panic!("it serves"), std::future::ready(())).await.unwrap_err();
    assert!(matches!(error, ServeError::Heads(OpenHeadsError::RegisterMissing { found: 2 })), "{error:?}");
    fs::write(&register, whole).unwrap();
    let served = Served::start(&home);
    assert_eq!(logs[0].audit(served.address).await, size);
}
