//! The replicated machine: batches that a member proposes, and snapshots that another one sends. Whatever is applied, the
//! machine can be kept and brought back as the same.
#![no_main]

use countermark_fuzz::founded;
use countermark_vault_core::machine::{Batch, Machine};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(batches) = postcard::from_bytes::<Vec<Batch>>(bytes) {
        for mut machine in [Machine::new(), founded().clone()] {
            for batch in &batches {
                assert_eq!(machine.apply(batch).len(), batch.commands.len());
            }
            assert_eq!(Machine::restore(&machine.snapshot()).unwrap().digest(), machine.digest());
        }
    }
    if let Ok(mut machine) = Machine::restore(bytes) {
        let _ = (machine.next_due(), machine.stapled(), machine.users());
        let batch = Batch { now: machine.now(), commands: vec![countermark_vault_core::machine::Command::Tick] };
        let _ = machine.apply(&batch);
    }
});
