//! Readers that each wait for their answer before they ask again, over a kept connection each, on threads of their own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::log::cpu_and_peak;

/// What can be asked.
pub trait Server {
    fn address(&self) -> &str;
    /// The number of its process.
    fn process(&self) -> u32;
}

/// How many readers, and for how long.
pub struct Reader {
    pub connections: usize,
    pub each: Duration,
}

/// What came of it.
pub struct Sample {
    took: Duration,
    /// Of every answer, sorted.
    latencies: Vec<Duration>,
    server_cpu: Duration,
}

impl Reader {
    /// Reads the paths of these numbers, again and again; every answer must be 200.
    pub fn measure(&self, server: &impl Server, path: &mut dyn FnMut(u64) -> String) -> Sample {
        let mut connections: Vec<(Connection, Vec<Vec<u8>>)> = (0..)
            .take(self.connections)
            .map(|number: u64| {
                let from = number * crate::REQUESTS;
                let requests = (from..from + crate::REQUESTS).map(|number| request(&path(number))).collect();
                (Connection::open(server.address()), requests)
            })
            .collect();
        // Connections, statements and caches as they are after a while, not at the first request.
        for (connection, requests) in &mut connections {
            requests.iter().take(200).for_each(|request| connection.exchange(request));
        }
        let process = server.process().to_string();
        let (cpu_before, _) = cpu_and_peak(&process);
        let begun = Instant::now();
        let end = begun + self.each;
        let mut latencies: Vec<Duration> = thread::scope(|scope| {
            let readers = connections.iter_mut().map(|(connection, requests)| {
                scope.spawn(move || {
                    let mut latencies = Vec::with_capacity(1 << 16);
                    let mut now = Instant::now();
                    for request in requests.iter().cycle() {
                        if now >= end {
                            break;
                        }
                        connection.exchange(request);
                        let answered = Instant::now();
                        latencies.push(answered - now);
                        now = answered;
                    }
                    latencies
                })
            });
            let readers: Vec<_> = readers.collect();
            readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
        });
        let took = begun.elapsed();
        let server_cpu = cpu_and_peak(&process).0.saturating_sub(cpu_before);
        latencies.sort_unstable();
        Sample { took, latencies, server_cpu }
    }
}

impl Sample {
    /// Answers in a second.
    pub fn rate(&self) -> f64 {
        self.count() / self.took.as_secs_f64()
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
        self.latencies[position]
    }

    /// What an answer cost the server.
    pub fn server_cpu_us(&self) -> f64 {
        self.server_cpu.as_secs_f64() * 1e6 / self.count()
    }

    fn count(&self) -> f64 {
        f64::from(u32::try_from(self.latencies.len()).unwrap())
    }
}

/// A request as it is sent.
pub fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: log\r\n\r\n").into_bytes()
}

/// One kept connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
    pub body: Vec<u8>,
}

impl Connection {
    pub fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::with_capacity(1 << 14, stream), line: Vec::new(), body: Vec::new() }
    }

    /// Asks, and reads the whole answer, which must be 200.
    pub fn exchange(&mut self, request: &[u8]) {
        self.stream.get_mut().write_all(request).unwrap();
        self.read_line();
        assert!(
            self.line.starts_with(b"HTTP/1.1 200 "),
            "{} is answered {}",
            String::from_utf8_lossy(request),
            String::from_utf8_lossy(&self.line)
        );
        let mut length = 0;
        loop {
            self.read_line();
            if self.line == b"\r\n" {
                break;
            }
            if let Some(value) = self.line.strip_prefix(b"content-length: ") {
                length = std::str::from_utf8(value).unwrap().trim_end().parse().unwrap();
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).unwrap();
    }

    fn read_line(&mut self) {
        self.line.clear();
        self.stream.read_until(b'\n', &mut self.line).unwrap();
    }
}
