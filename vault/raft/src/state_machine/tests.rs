use std::sync::Arc;

use openraft::testing::{StoreBuilder, Suite};

use crate::log_store::LogStore;
use crate::member_number::MemberNumber;
use crate::raft_types::{StorageError, Types};
use crate::simulated::device::{Counter, Sealer};
use crate::simulated::disk::Disk;
use crate::state_machine::StateMachine;
use crate::storage::Storage;

struct Builder;

impl StoreBuilder<Types, LogStore, StateMachine> for Builder {
    async fn build(&self) -> Result<((), LogStore, StateMachine), StorageError> {
        let backend = Disk::default().backend();
        let storage = Storage::open(backend, Arc::new(Sealer(1)), Box::new(Counter::default()), [1; 32]).unwrap();
        let storage = Arc::new(storage);
        let machine = StateMachine::load(Arc::clone(&storage)).unwrap();
        Ok(((), LogStore::new(storage, MemberNumber::from(1)), machine))
    }
}

#[test]
fn log_and_machine_pass_the_suite_of_openraft() {
    Suite::test_all(Builder).unwrap();
}
