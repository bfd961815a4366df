//! The load: submitters that each wait for their answer before they send the next entry, over a kept connection each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::log::{Log, NAMESPACE, cpu_and_peak};

/// How much, and by how many.
pub struct Load {
    pub submitters: usize,
    pub size: usize,
}

/// What came of it.
pub struct Measured {
    took: Duration,
    /// Of every entry, sorted, in microseconds.
    latencies: Vec<u32>,
    cpu: Duration,
    heads_before: u64,
}

impl Load {
    /// Appends so many entries; every answer must be 200 with an index.
    pub fn append(&self, log: &Log, entries: u64) -> Measured {
        let heads_before = log.heads();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (cpu_before, _) = cpu_and_peak("self");
        let (took, mut latencies) = runtime.block_on(self.run(log, entries));
        latencies.sort_unstable();
        let cpu = cpu_and_peak("self").0.saturating_sub(cpu_before);
        Measured { took, latencies, cpu, heads_before }
    }

    async fn run(&self, log: &Log, entries: u64) -> (Duration, Vec<u32>) {
        // Entries of another run would be duplicates.
        let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let next = Arc::new(AtomicU64::new(0));
        let head: Arc<str> = format!(
            "POST /v1/{NAMESPACE}/add HTTP/1.1\r\nhost: log\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
            log.token(),
            self.size
        )
        .into();
        let mut streams = Vec::with_capacity(self.submitters);
        for _ in 0..self.submitters {
            let stream = TcpStream::connect(log.address()).await.unwrap();
            stream.set_nodelay(true).unwrap();
            streams.push(stream);
        }
        let begun = Instant::now();
        let mut submitters = JoinSet::new();
        for stream in streams {
            let (next, head, size) = (Arc::clone(&next), Arc::clone(&head), self.size);
            submitters.spawn(submit(stream, head, size, next, entries, format!("{run:x}")));
        }
        let latencies = submitters.join_all().await.concat();
        (begun.elapsed(), latencies)
    }
}

/// One submitter, until nothing is left to append.
async fn submit(
    mut stream: TcpStream,
    head: Arc<str>,
    size: usize,
    next: Arc<AtomicU64>,
    entries: u64,
    run: String,
) -> Vec<u32> {
    let mut latencies = Vec::new();
    let mut request = Vec::with_capacity(head.len() + size);
    let mut answer = vec![0; 4_096];
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= entries {
            return latencies;
        }
        request.clear();
        request.extend_from_slice(head.as_bytes());
        let begins = request.len();
        request.extend_from_slice(format!("{run} {number} ").as_bytes());
        request.resize(begins + size, b'.');
        let begun = Instant::now();
        stream.write_all(&request).await.unwrap();
        let mut read = 0;
        // The answer is whole when its one line after the empty one is.
        loop {
            let more = stream.read(&mut answer[read..]).await.unwrap();
            assert!(more > 0, "the log closed the connection");
            read += more;
            if answer[..read].ends_with(b"\n") && answer[..read].windows(4).any(|four| four == b"\r\n\r\n") {
                let body_begins = answer[..read].windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
                if body_begins < read {
                    break;
                }
            }
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer[..read]));
        latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
}

impl Measured {
    pub fn rate(&self, entries: u64) -> f64 {
        f64::from(u32::try_from(entries).unwrap()) / self.took.as_secs_f64()
    }

    pub fn quantile(&self, quantile: f64) -> Duration {
        let last = self.latencies.len() - 1;
        #[expect(
            clippy::as_conversions,
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a position in a list of measurements"
        )]
        let position = (last as f64 * quantile) as usize;
        Duration::from_micros(u64::from(self.latencies[position]))
    }

    /// Entries of a signed head, on average.
    pub fn entries_of_a_batch(&self, log: &Log) -> f64 {
        let heads = log.heads() - self.heads_before;
        let count = u32::try_from(self.latencies.len()).unwrap();
        f64::from(count) / f64::from(u32::try_from(heads.max(1)).unwrap())
    }

    pub fn own_cpu_us(&self, entries: u64) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / f64::from(u32::try_from(entries).unwrap())
    }
}
