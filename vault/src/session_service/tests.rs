use countermark_vault_core::machine::{AccountIssuer as AccountIssuerKey, Operation, Refusal};
use countermark_vault_core::noise::{FRAME_BYTES, OPENED_BYTES};
use countermark_vault_core::session::client::steps::{
    Enrolment, Guess, Recovered, Verdict, authenticated, confirmed, guess_failed,
};
use countermark_vault_core::session::message::{Answer, Request, SessionRefusal};
use countermark_vault_core::wrap::BackupKey;
use tokio::time::advance;

use super::*;
use crate::config::AccountIssuer;
use crate::session_table::IDLE_MAX;
use crate::testkit::{Commits, ISSUER, LocalFleet, TestClock, TestWorld, User, name, public, terms};

struct Setup {
    world: TestWorld,
    clock: TestClock,
    fleet: Arc<LocalFleet>,
    service: Arc<SessionService<LocalFleet>>,
}

impl Setup {
    fn new() -> Self {
        let (world, clock) = (TestWorld::of(3), TestClock::new());
        let fleet = Arc::new(LocalFleet::serving(&clock, &world));
        Self::with(world, clock, fleet)
    }

    fn with(world: TestWorld, clock: TestClock, fleet: Arc<LocalFleet>) -> Self {
        let own = world.members[0].own_end();
        let issuer = AccountIssuer { issuer: "accounts.example".to_owned(), key: public(ISSUER) };
        let tokens = TokenVerifier::new(&own.origin, &own.fleet_id, &[issuer]);
        let deadline = Duration::from_secs(5);
        let terms = Arc::new(terms(&world.trust()));
        let service = SessionService::new(own, tokens, Arc::new(clock.clone()), Arc::clone(&fleet), deadline, terms);
        Self { world, clock, fleet, service: Arc::new(service) }
    }

    fn adopted(&self) -> Digest {
        self.fleet.read(|machine| machine.stapled().unwrap().statement)
    }

    fn open(&self, name: &str) -> User {
        let (opening, finish) = User::open(name, &self.world.members[0], self.adopted(), self.clock.unix());
        let answer = self.service.open(&opening).unwrap();
        assert_eq!(answer.len(), OPENED_BYTES);
        finish(&answer)
    }

    async fn log_on(&self, name: &str) -> User {
        let mut user = self.open(name);
        let frame = user.authenticate();
        authenticated(self.send(&mut user, &frame).await).unwrap();
        user
    }

    async fn send(&self, user: &mut User, frame: &[u8]) -> Answer {
        let answer = self.service.exchange(user.id, frame).await.unwrap();
        assert_eq!(answer.len(), FRAME_BYTES);
        user.answer(&answer)
    }

    async fn ask(&self, user: &mut User, request: &Request) -> Answer {
        let frame = user.request(request);
        self.send(user, &frame).await
    }

    async fn register(&self, name: &str, password: &str) -> BackupKey {
        let (mut user, password) = (self.log_on(name).await, User::password(password));
        let terms = user.terms.clone();
        let key = BackupKey::generate(&mut OsRandomness).unwrap();
        let (enrolment, request) = Enrolment::start(&password, &mut OsRandomness).unwrap();
        let answer = self.ask(&mut user, &request).await;
        let (pending, request) =
            enrolment.started(answer, &password, (&key, vec![]), &terms, &mut OsRandomness).unwrap();
        let answer = self.ask(&mut user, &request).await;
        let (confirmation, request) = pending.enrolled(answer, &password, &mut OsRandomness).unwrap();
        let answer = self.ask(&mut user, &request).await;
        let request = confirmation.opened(answer, &password, &terms, &mut OsRandomness).unwrap();
        assert_eq!(confirmed(self.ask(&mut user, &request).await).unwrap(), None);
        key
    }

    async fn guess(&self, user: &mut User, password: &str) -> Result<Recovered, u32> {
        let (password, terms) = (User::password(password), user.terms.clone());
        let (guess, request) = Guess::start(&password, &mut OsRandomness).unwrap();
        let answer = self.ask(user, &request).await;
        match guess.evaluated(answer, &password, &terms, &mut OsRandomness).unwrap() {
            Verdict::Right(request, opened) => Ok(opened.recovered(self.ask(user, &request).await, &terms).unwrap()),
            Verdict::Wrong(request) => Err(guess_failed(self.ask(user, &request).await).unwrap()),
        }
    }

    /// A session whose guess was charged, and is not settled.
    async fn charged(&self, name: &str) -> User {
        let mut user = self.log_on(name).await;
        let (_, request) = Guess::start(&User::password("guess"), &mut OsRandomness).unwrap();
        let answer = self.ask(&mut user, &request).await;
        assert!(matches!(answer, Answer::LoginStarted { .. }), "{answer:?}");
        user
    }

    /// How many guesses were charged and how many were reported as wrong.
    fn charges_and_failures(&self) -> (usize, usize) {
        let count = |wanted: fn(&Operation) -> bool| {
            let committed = self.fleet.committed();
            let is = |command: &Command| matches!(command, Command::Account { operation, .. } if wanted(operation));
            committed.iter().filter(|command| is(command)).count()
        };
        (count(|it| matches!(it, Operation::Charge { .. })), count(|it| matches!(it, Operation::Fail { .. })))
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_registers_and_another_phone_recovers() {
    let setup = Setup::new();
    let key = setup.register("user-1", "correct").await;
    let mut phone = setup.log_on("user-1").await;
    assert_eq!(setup.guess(&mut phone, "wrong").await.unwrap_err(), 9);
    let recovered = setup.guess(&mut phone, "correct").await.unwrap();
    assert_eq!((recovered.key.expose(), recovered.attempts_left), (key.expose(), 10));
    let mut stranger = setup.log_on("user-2").await;
    assert_eq!(setup.guess(&mut stranger, "correct").await.unwrap_err(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_issuer_is_refused_inside_the_session() {
    let mut setup = Setup::new();
    let own = setup.world.members[0].own_end();
    let issuer = AccountIssuer { issuer: "accounts.example".to_owned(), key: public(1) };
    let service = Arc::get_mut(&mut setup.service).unwrap();
    service.tokens = TokenVerifier::new(&own.origin, &own.fleet_id, &[issuer]);
    let mut user = setup.open("user-1");
    let frame = user.authenticate();
    let answer = setup.send(&mut user, &frame).await;
    assert!(matches!(answer, Answer::Refused(SessionRefusal::Token(_))), "{answer:?}");
    let (_, request) = Guess::start(&User::password("guess"), &mut OsRandomness).unwrap();
    let answer = setup.ask(&mut user, &request).await;
    assert_eq!(answer, Answer::Refused(SessionRefusal::NotAuthenticated));
    assert_eq!(setup.charges_and_failures(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_adopted_nothing_or_another_statement_opens_nothing() {
    let (world, clock) = (TestWorld::of(3), TestClock::new());
    let empty = Setup::with(world, clock.clone(), Arc::new(LocalFleet::new(&clock)));
    let other = Digest::of(b"other");
    let (opening, _) = User::open("user-1", &empty.world.members[0], other, clock.unix());
    assert_eq!(empty.service.open(&opening), Err(OpenRefusal::NotServing));
    empty.fleet.found(&empty.world.trust());
    assert_eq!(empty.service.open(&opening), Err(OpenRefusal::NotServing));

    let setup = Setup::new();
    let adopted = setup.adopted();
    assert_eq!(setup.service.open(&opening), Err(OpenRefusal::OtherStatement { adopted }));
    assert_eq!(setup.service.open(&opening[1..]), Err(OpenRefusal::Malformed));
    let (opening, _) = User::open("user-1", &setup.world.members[1], adopted, clock.unix());
    assert_eq!(setup.service.open(&opening), Err(OpenRefusal::Malformed), "it was meant for another member");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_founded_on_other_terms_than_the_members_own_serves_nobody() {
    // What a host could write into its own member's files.
    let changes: [fn(&mut FoundingTerms); 4] = [
        |terms| terms.trust = Arc::from(*b"another"),
        |terms| terms.cool_off_seconds = 1,
        |terms| terms.fleet_id = name("fleet-2"),
        |terms| terms.account_issuers.push(AccountIssuerKey { issuer: "accounts.example".into(), public_key: [7; 32] }),
    ];
    for change in changes {
        let (world, clock) = (TestWorld::of(3), TestClock::new());
        let fleet = Arc::new(LocalFleet::serving(&clock, &world));
        let mut setup = Setup::with(world, clock, fleet);
        change(Arc::make_mut(&mut Arc::get_mut(&mut setup.service).unwrap().terms));
        let (opening, _) = User::open("user-1", &setup.world.members[0], setup.adopted(), setup.clock.unix());
        assert_eq!(setup.service.open(&opening), Err(OpenRefusal::NotServing));
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_room_for_so_many_sessions() {
    let mut setup = Setup::new();
    Arc::get_mut(&mut setup.service).unwrap().table = SessionTable::new(1);
    let _user = setup.open("user-1");
    let (opening, _) = User::open("user-2", &setup.world.members[0], setup.adopted(), setup.clock.unix());
    assert_eq!(setup.service.open(&opening), Err(OpenRefusal::Busy));
}

#[tokio::test(start_paused = true)]
async fn the_commits_outcome_reaches_the_client_as_what_it_is() {
    let setup = Setup::new();
    for (commits, expect) in [(Commits::NotDone, SessionRefusal::NoMajority), (Commits::Lost, SessionRefusal::Unknown)]
    {
        let mut user = setup.log_on("user-1").await;
        setup.fleet.set_commits(commits);
        let (_, request) = Guess::start(&User::password("guess"), &mut OsRandomness).unwrap();
        assert_eq!(setup.ask(&mut user, &request).await, Answer::Refused(expect));
        setup.fleet.set_commits(Commits::Done);
    }
    // What was lost is spent nevertheless.
    assert_eq!(setup.charges_and_failures().0, 1);
    let mut user = setup.log_on("user-1").await;
    assert_eq!(setup.guess(&mut user, "wrong").await.unwrap_err(), 8);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_not_the_next_frame_ends_the_session_and_settles_its_guess() {
    let setup = Setup::new();
    for (count, bad) in [vec![0; FRAME_BYTES], vec![], vec![0; FRAME_BYTES - 1]].into_iter().enumerate() {
        let mut user = setup.charged("user-1").await;
        assert_eq!(setup.service.exchange(user.id, &bad).await, Err(NoSession));
        let frame = user.request(&Request::Idle);
        assert_eq!(setup.service.exchange(user.id, &frame).await, Err(NoSession));
        assert_eq!(setup.charges_and_failures(), (count + 1, count + 1));
    }
    // A frame again is not the next one either.
    let mut user = setup.log_on("user-1").await;
    let frame = user.request(&Request::Idle);
    assert!(setup.service.exchange(user.id, &frame).await.is_ok());
    assert_eq!(setup.service.exchange(user.id, &frame).await, Err(NoSession));
    assert_eq!(setup.service.exchange(SessionId::from([0; 16]), &frame).await, Err(NoSession));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_waits_too_long_is_ended_and_its_guess_settled() {
    let setup = Setup::new();
    // By the sweep.
    let mut user = setup.charged("user-1").await;
    setup.service.expire().await;
    assert_eq!(setup.charges_and_failures(), (1, 0));
    advance(IDLE_MAX).await;
    setup.service.expire().await;
    assert_eq!(setup.charges_and_failures(), (1, 1));
    let frame = user.request(&Request::Idle);
    assert_eq!(setup.service.exchange(user.id, &frame).await, Err(NoSession));
    // By the request that comes too late.
    let mut user = setup.charged("user-1").await;
    advance(IDLE_MAX).await;
    let frame = user.request(&Request::Idle);
    assert_eq!(setup.service.exchange(user.id, &frame).await, Err(NoSession));
    assert_eq!(setup.charges_and_failures(), (2, 2));
    // Sessions without a guess leave nothing behind.
    let _user = setup.log_on("user-1").await;
    advance(IDLE_MAX).await;
    setup.service.expire().await;
    assert_eq!(setup.charges_and_failures(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_guess_that_cannot_be_settled_is_the_machines_to_settle() {
    let setup = Setup::new();
    let _user = setup.charged("user-1").await;
    setup.fleet.set_commits(Commits::NotDone);
    advance(IDLE_MAX).await;
    setup.service.expire().await;
    setup.fleet.set_commits(Commits::Done);
    assert_eq!(setup.charges_and_failures(), (1, 0));
    assert!(setup.service.table.has_room());
}

#[tokio::test(start_paused = true)]
async fn the_machines_refusal_is_an_answer_like_any_other() {
    let setup = Setup::new();
    setup.register("user-1", "correct").await;
    let mut user = setup.log_on("user-1").await;
    for left in (0..10).rev() {
        assert_eq!(setup.guess(&mut setup.log_on("user-1").await, "wrong").await.unwrap_err(), left);
    }
    let (_, request) = Guess::start(&User::password("correct"), &mut OsRandomness).unwrap();
    let answer = setup.ask(&mut user, &request).await;
    assert!(matches!(answer, Answer::Refused(SessionRefusal::Machine(Refusal::Exhausted { .. }))), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_relay_sees_the_same_sizes_whatever_goes_on_inside() {
    let setup = Setup::new();
    setup.register("user-1", "correct").await;
    let mut seen = Vec::new();
    for (name, password) in [("user-1", "correct"), ("user-1", "wrong"), ("user-2", "correct")] {
        let (opening, finish) = User::open(name, &setup.world.members[0], setup.adopted(), setup.clock.unix());
        let answer = setup.service.open(&opening).unwrap();
        let mut sizes = vec![opening.len(), answer.len()];
        let (mut user, password) = (finish(&answer), User::password(password));
        let terms = user.terms.clone();
        let mut frames = vec![user.authenticate()];
        let mut guess = None;
        while let Some(frame) = frames.pop() {
            let answered = setup.service.exchange(user.id, &frame).await.unwrap();
            sizes.extend([frame.len(), answered.len()]);
            let answer = user.answer(&answered);
            let next = match answer {
                Answer::Authenticated => {
                    let (started, request) = Guess::start(&password, &mut OsRandomness).unwrap();
                    guess = Some(started);
                    request
                }
                Answer::LoginStarted { .. } => {
                    let started: Guess = guess.take().unwrap();
                    match started.evaluated(answer, &password, &terms, &mut OsRandomness).unwrap() {
                        Verdict::Right(request, _) | Verdict::Wrong(request) => request,
                    }
                }
                _ => Request::Idle,
            };
            if user.session.idle_left() > 0 {
                frames.push(user.request(&next));
            }
        }
        seen.push(sizes);
    }
    assert_eq!(seen[0].len(), 2 + 2 * 8);
    assert!(seen.iter().all(|sizes| *sizes == seen[0]), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_of_a_stranger_holds_its_place_for_a_short_time() {
    let setup = Setup::new();
    let mut stranger = setup.open("user-1");
    let user = setup.log_on("user-2").await;
    advance(STRANGER_IDLE_MAX).await;
    let frame = stranger.request(&Request::Idle);
    assert_eq!(setup.service.exchange(stranger.id, &frame).await, Err(NoSession));
    let mut user = user;
    let frame = user.request(&Request::Idle);
    assert!(setup.service.exchange(user.id, &frame).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_filled_up_leaves_its_place() {
    let setup = Setup::new();
    let mut user = setup.log_on("user-1").await;
    for _ in 1..EXCHANGES {
        let frame = user.request(&Request::Idle);
        let answer = setup.service.exchange(user.id, &frame).await.unwrap();
        user.answer(&answer);
    }
    advance(DONE_IDLE_MAX).await;
    let frame = user.request(&Request::Idle);
    assert_eq!(setup.service.exchange(user.id, &frame).await, Err(NoSession));
}
