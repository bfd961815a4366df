//! What OPAQUE costs a server, with nothing around it.

use std::time::{Duration, Instant};

use countermark_bundle::identity::Name;
use countermark_tlog::checkpoint::Origin;
use countermark_vault_core::account::AccountId;
use countermark_vault_core::machine::{Evaluation, Record};
use countermark_vault_core::opaque::client::{Login, Registration};
use countermark_vault_core::opaque::server::{self, KeyConfirmation, LoginRequest, ServerLogin};
use countermark_vault_core::opaque::{Hardness, Parties};

use crate::phone::{SystemRandom, password};

/// Logins per second on one core: the second message made, the third one checked.
pub fn login(rounds: u32) -> f64 {
    let (rng, password) = (&mut SystemRandom, password());
    let account = AccountId::of("bench", "bench");
    let parties =
        Parties::new(account, &Origin::new("bench.example/backup").unwrap(), &Name::parse("fleet-1").unwrap());
    let setup = server::new_setup(rng).unwrap();
    let (registration, request) = Registration::start(&password, rng).unwrap();
    let response = server::register_start(&setup, &parties, &request).unwrap();
    let (upload, _) = registration.finish(&password, &response, &parties, Hardness::TestOnly, rng).unwrap();
    let evaluation = Evaluation::Record(Record { setup, upload, wraps: vec![] }.into());

    let mut server_time = Duration::ZERO;
    for _ in 0..rounds {
        let (login, ke1) = Login::start(&password, rng).unwrap();
        let begun = Instant::now();
        let request = LoginRequest::parse(&ke1).unwrap();
        let (state, ke2) = ServerLogin::start(&evaluation, &parties, request, rng).unwrap();
        server_time += begun.elapsed();
        let (ke3, _) = login.finish(&password, &ke2, &parties, Hardness::TestOnly, rng).unwrap();
        let begun = Instant::now();
        state.finish(&parties, KeyConfirmation::parse(&ke3).unwrap()).unwrap();
        server_time += begun.elapsed();
    }
    f64::from(rounds) / server_time.as_secs_f64()
}
