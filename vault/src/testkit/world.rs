//! A log whose statements name the members of the tests.

use std::sync::{Arc, Mutex};

use countermark_bundle::entry::Entry;
use countermark_bundle::identity::Side;
use countermark_bundle::statement::KeyRole;
use countermark_bundle::statement::{Member, MemberKey, Statement};
use countermark_bundle::testing::{NOW, World, at};
use countermark_bundle::validation_bundle::ValidationBundle;
use countermark_tlog::size::TreeSize;
use reqwest::{StatusCode, Url};

use super::{TestMember, name};
use crate::fetch::FetchError;
use crate::ports::BundleSource;

/// A log and the members that its statements name.
pub(crate) struct TestWorld {
    pub(crate) world: World,
    pub(crate) members: Vec<TestMember>,
    /// Where the newest certified statement stands.
    certified: u64,
    epoch: u64,
}

impl TestWorld {
    /// A log with an active statement of a fleet of so many members, `member-1` and so on.
    pub(crate) fn of(count: u8) -> Self {
        let members = (1..=count).map(TestMember::new).collect();
        let mut world = Self { world: World::new(), members, certified: 0, epoch: 0 };
        world.state(|_| {});
        world
    }

    /// Certifies and activates the next statement, after a change to what it would say.
    pub(crate) fn state(&mut self, change: impl FnOnce(&mut Statement)) {
        self.epoch += 1;
        let mut statement = self.world.statement(self.epoch);
        statement.fleets[0].members = self.members.iter().map(stated).collect();
        statement.fleets[0].majority = u64::try_from(self.members.len() / 2 + 1).unwrap();
        change(&mut statement);
        let certified = self.world.certified(&statement.write(), self.epoch);
        self.certified = self.world.push(&Entry::CertifiedStatement(certified));
        self.world.activate(self.epoch);
    }

    /// Lets the log grow by an entry that changes nothing.
    pub(crate) fn grow(&mut self) {
        let size = self.world.entries.len();
        let entry = self.world.evidence(Side::Operator, &format!("record {size}"));
        self.world.push(&entry);
    }

    pub(crate) fn size(&self) -> u64 {
        u64::try_from(self.world.entries.len()).unwrap()
    }

    /// The bundle of the newest statement under a head that was seen at this time.
    pub(crate) fn bundle_at(&self, seconds: u64) -> Vec<u8> {
        let len = self.world.entries.len();
        let records = (self.certified..self.size()).map(|index| self.world.record(index, len)).collect();
        ValidationBundle::new(self.world.checkpoint(len, seconds, &[0, 1, 2]), records).write()
    }

    pub(crate) fn link(&self, from: u64) -> Vec<u8> {
        self.world.link(usize::try_from(from).unwrap(), self.world.entries.len()).write()
    }

    pub(crate) fn trust(&self) -> Vec<u8> {
        self.world.trust.write()
    }
}

fn stated(member: &TestMember) -> Member {
    let keys = member.peer_keys();
    let (from, to) = (at(NOW - 10), at(NOW + 90 * 86_400));
    let mut keys = vec![
        MemberKey::new(KeyRole::Session, &member.session_key(), from, to),
        MemberKey::new(KeyRole::Identity, &keys.identity, from, to),
    ];
    keys.sort_by_key(|key| key.key_id);
    Member {
        member_id: member.member_id.clone(),
        failure_domain: name("site"),
        keys,
        attestation: countermark_bundle::statement::AttestationRef::to(b"attestation"),
    }
}

/// The log's service, as far as members ask it.
#[derive(Clone)]
pub(crate) struct TestLog {
    pub(crate) world: Arc<Mutex<TestWorld>>,
    state: Arc<Mutex<LogState>>,
}

struct LogState {
    head_time: u64,
    is_away: bool,
    /// Grows by one entry after each of so many bundles.
    grows: u32,
    asked: u32,
}

impl TestLog {
    pub(crate) fn new(world: TestWorld) -> Self {
        let state = LogState { head_time: NOW, is_away: false, grows: 0, asked: 0 };
        Self { world: Arc::new(Mutex::new(world)), state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn set_head_time(&self, seconds: u64) {
        self.state.lock().unwrap().head_time = seconds;
    }

    pub(crate) fn set_away(&self, is_away: bool) {
        self.state.lock().unwrap().is_away = is_away;
    }

    pub(crate) fn grow_while_asked(&self, times: u32) {
        self.state.lock().unwrap().grows = times;
    }

    /// How many bundles were asked for.
    pub(crate) fn asked(&self) -> u32 {
        self.state.lock().unwrap().asked
    }
}

impl BundleSource for TestLog {
    async fn newest_bundle(&self) -> Result<Option<Vec<u8>>, FetchError> {
        let mut state = self.state.lock().unwrap();
        state.asked += 1;
        if state.is_away {
            let url = Url::parse("http://log.example/").unwrap();
            return Err(FetchError::Answer { url, status: StatusCode::BAD_GATEWAY, problem: String::new() });
        }
        let mut world = self.world.lock().unwrap();
        let bundle = world.bundle_at(state.head_time);
        if state.grows > 0 {
            state.grows -= 1;
            world.grow();
        }
        Ok(Some(bundle))
    }

    async fn link(&self, from: TreeSize) -> Result<Option<Vec<u8>>, FetchError> {
        Ok(Some(self.world.lock().unwrap().link(from.get())))
    }
}
