//! One `countermark log serve` over the filled logs, one namespace for each size.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Connection, Server, request};
use crate::fill;
use crate::log::{key, program, run};

/// Longer than a start over the largest log may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// Says that a log is whole.
const FILLED: &str = "filled";

pub struct Served {
    process: Child,
    address: String,
}

/// The namespace of a log of this size.
pub fn name(size: u64) -> String {
    format!("n{size}")
}

impl Served {
    /// Serves logs of these sizes: those that a run before has left, and new ones.
    pub fn start(sizes: &[u64]) -> Self {
        let folders: Vec<PathBuf> = sizes.iter().map(|size| folder(*size)).collect();
        for (size, folder) in sizes.iter().zip(&folders) {
            if !folder.join(FILLED).exists() {
                make(folder, *size);
            }
        }
        let begun = Instant::now();
        let config = assemble(sizes, &folders);
        let mut process = Command::new(program())
            .args(["log", "serve", "--exit-with-stdin", "--config", config.to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(config.with_extension("log")).unwrap())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let served = Self { process, address: ready["address"].as_str().unwrap().to_owned() };
        for size in sizes {
            served.until_published(*size);
        }
        println!("logs of {sizes:?} entries are served after {:.1} s", begun.elapsed().as_secs_f64());
        served
    }

    pub fn stop(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }

    /// The bytes of an answer.
    pub fn length(&self, path: &str) -> usize {
        self.get(path).len()
    }

    /// Hashes of a proof on average, over so many random ones.
    pub fn hashes_of_proofs(&self, size: u64, count: u32) -> f64 {
        let mut hashes = 0;
        for number in 0..u64::from(count) {
            let index = crate::random(number) % size;
            let proof = self.get(&format!("/v1/{}/proofs/inclusion?index={index}", name(size)));
            let proof: Value = serde_json::from_slice(&proof).unwrap();
            hashes += u32::try_from(proof["path"].as_array().unwrap().len()).unwrap();
        }
        f64::from(hashes) / f64::from(count)
    }

    fn until_published(&self, size: u64) {
        let end = Instant::now() + PATIENCE;
        loop {
            let status: Value = serde_json::from_slice(&self.get(&format!("/v1/{}/status", name(size)))).unwrap();
            if status["size"] == size {
                return;
            }
            assert!(Instant::now() < end, "{size} entries were not published: {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn get(&self, path: &str) -> Vec<u8> {
        let mut connection = Connection::open(&self.address);
        connection.exchange(&request(path));
        connection.body
    }
}

impl Server for Served {
    fn address(&self) -> &str {
        &self.address
    }

    fn process(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn folder(size: u64) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("reads").join(size.to_string())
}

/// Creates a log by the command, and fills it past the store.
fn make(folder: &Path, size: u64) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
    let begun = Instant::now();
    let log = key(folder, "log", Some(&format!("log.example/{}", name(size))));
    let policy = format!("log {}\nquorum none\n", log["vkey"].as_str().unwrap());
    fs::write(folder.join("policy"), &policy).unwrap();
    let config = folder.join("log.toml");
    fs::write(&config, header() + &namespace(size, folder)).unwrap();
    run(&["log", "create", "--config", config.to_str().unwrap()]);
    fill::fill(folder, &name(size), size);
    pad(folder, &policy, size);
    fs::write(folder.join(FILLED), "").unwrap();
    println!("a log of {size} entries was made in {:.1} s", begun.elapsed().as_secs_f64());
}

/// Makes the policy text, which the server answers as it is, as long as what it is compared with: the checkpoint for the
/// smallest log, a full tile for the others.
fn pad(folder: &Path, policy: &str, size: u64) {
    let wanted = if size <= 1_000 { fs::read(folder.join("checkpoint")).unwrap().len() } else { 8_192 };
    let missing = wanted - policy.len();
    let comment = format!("#{}\n", ".".repeat(missing.saturating_sub(2)));
    assert!(missing >= 2, "there is room for a comment");
    fs::write(folder.join("policy"), format!("{policy}{comment}")).unwrap();
}

/// One configuration of all of them. Databases and registers stay where they are, by links.
fn assemble(sizes: &[u64], folders: &[PathBuf]) -> PathBuf {
    let all = folders[0].with_file_name("all");
    let _ = fs::remove_dir_all(&all);
    for part in ["databases", "register"] {
        fs::create_dir_all(all.join(part)).unwrap();
        for file in folders.iter().flat_map(|folder| fs::read_dir(folder.join(part)).unwrap()) {
            let file = file.unwrap().path();
            if file.extension().is_none_or(|extension| extension != "lock") {
                std::os::unix::fs::symlink(&file, all.join(part).join(file.file_name().unwrap())).unwrap();
            }
        }
    }
    let namespaces = sizes.iter().zip(folders).map(|(size, folder)| namespace(*size, folder));
    let config = all.join("log.toml");
    fs::write(&config, header() + &namespaces.collect::<String>()).unwrap();
    config
}

fn header() -> String {
    "listen = \"127.0.0.1:0\"\nauthority = \"log.example\"\ndatabase_folder = \"databases\"\n\
     register_folder = \"register\"\nscrub_entries_per_second = 0\n"
        .to_owned()
}

fn namespace(size: u64, folder: &Path) -> String {
    let (name, folder) = (name(size), folder.display());
    format!(
        "\n[[namespace]]\nname = \"{name}\"\nkind = \"raw\"\nwitness_policy = \"{folder}/policy\"\n\
         log_key_file = \"{folder}/log.key\"\npassphrase_file = \"{folder}/passphrase\"\n"
    )
}
