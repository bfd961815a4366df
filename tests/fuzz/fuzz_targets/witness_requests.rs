//! A witness, in this process, that is posted anything. It always answers, never that something is its fault, and cosigns
//! nothing but what the log signed.
#![no_main]

use countermark_fuzz::service::witness;
use countermark_tlog::witness_wire::AddCheckpointRequest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let status = witness().ask("POST", "/add-checkpoint", None, body);
    assert!((200..500).contains(&status), "{status}");
    // The example's head is cosigned once it is asked for from size 0; nobody who fuzzes signs another one.
    assert!(status != 200 || AddCheckpointRequest::parse(body).is_ok());
});
