//! The bare baseline: axum alone, in a process of its own, answering constants with the headers of a tile.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::get;

use crate::client::Server;

/// Names the sizes to the process that serves them.
const SIZES: &str = "COUNTERMARK_BENCH_CONSTANTS";

pub struct Bare {
    process: Child,
    address: String,
}

impl Bare {
    /// Serves constants of these sizes, each at its size.
    pub fn start(sizes: &[usize]) -> Self {
        let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env(SIZES, sizes.join(" "))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { process, address: address.trim().to_owned() }
    }
}

impl Server for Bare {
    fn address(&self) -> &str {
        &self.address
    }

    fn process(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The sizes, if this process is the one that serves them.
pub fn sizes_of_this_process() -> Option<Vec<usize>> {
    let sizes = std::env::var(SIZES).ok()?;
    Some(sizes.split(' ').map(|size| size.parse().unwrap()).collect())
}

/// Serves until it is killed, on the runtime that the command has too.
pub fn serve(sizes: &[usize]) {
    let mut router = Router::new();
    for size in sizes {
        let body = Bytes::from(vec![0x5a; *size]);
        let headers = [
            (header::CONTENT_TYPE, "application/octet-stream"),
            (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        ];
        router = router.route(&format!("/{size}"), get(async move || (headers, body)));
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        axum::serve(listener, router).await.unwrap();
    });
}
