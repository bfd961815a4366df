//! Where blocking on the disk is allowed.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work`, which blocks on the disk: beside the other tasks on a runtime of many threads, in their way on a
/// runtime of one thread (the simulation, whose disk is memory).
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        Ok(_) | Err(_) => work(),
    }
}
