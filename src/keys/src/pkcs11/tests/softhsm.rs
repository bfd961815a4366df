//! A real SoftHSM 2 of one test. Its library reads its configuration once in a process, from the environment: so each test
//! runs in a process of its own, which is this very program, told to run this very test.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that tells the second process its folder.
const FOLDER: &str = "COUNTERMARK_TEST_SOFTHSM";

/// Where Debian, and others, have the library.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// The PIN of every token that is made here.
pub const PIN: &str = "8675309";

/// A folder with tokens, and with room for the test's own files.
pub struct SoftHsm {
    folder: PathBuf,
}

/// Runs a test with a SoftHSM of its own, in a process of its own.
macro_rules! with_softhsm {
    ($test:expr) => {{
        fn here() {}
        let path = std::any::type_name_of_val(&here);
        let path = path.strip_suffix("::here").unwrap();
        let (_crate, name) = path.split_once("::").unwrap();
        softhsm::SoftHsm::run(name, $test)
    }};
}

impl SoftHsm {
    /// In the second process: runs the test. In the first: starts the second, and fails if it does.
    pub fn run(name: &str, test: impl FnOnce(&SoftHsm)) {
        if let Some(folder) = env::var_os(FOLDER) {
            test(&SoftHsm { folder: folder.into() });
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let hsm = SoftHsm { folder: folder.path().into() };
        fs::create_dir(hsm.tokens()).unwrap();
        let lines = format!("directories.tokendir = {}\nobjectstore.backend = file\n", hsm.tokens().display());
        fs::write(hsm.configuration(), lines).unwrap();
        hsm.init_token("token-1", PIN);
        let output = Command::new(env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .env("SOFTHSM2_CONF", hsm.configuration())
            .env("COUNTERMARK_TEST_PIN", PIN)
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && shown.contains("test result: ok. 1 passed"),
            "{shown}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// The PKCS#11 library; its absence fails the test.
    pub fn library() -> &'static Path {
        let found = LIBRARIES.iter().map(Path::new).find(|path| path.exists());
        found.expect("libsofthsm2.so is needed (Debian: softhsm2)")
    }

    /// A file of the test's own.
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn configuration(&self) -> PathBuf {
        self.at("softhsm2.conf")
    }

    /// The folder of the tokens: moved away, no token is there.
    pub fn tokens(&self) -> PathBuf {
        self.at("tokens")
    }

    /// Makes one more token.
    pub fn init_token(&self, label: &str, pin: &str) {
        let output = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", pin])
            .env("SOFTHSM2_CONF", self.configuration())
            .output()
            .expect("softhsm2-util is needed (Debian: softhsm2)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
