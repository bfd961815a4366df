//! A guess at the active record's password: spent before it is judged, and its outcome reported whatever it is.

use std::sync::Arc;

use countermark_vault_core::opaque::NormalisedPassword;
use countermark_vault_core::session::client::steps::{self, Guess, OpenedRecord, StepError, Verdict};
use countermark_vault_core::session::message::{Answer, Request, SessionRefusal};

use super::error::{BackupError, Deed};
use super::randomness::OsRandom;
use super::session::{Session, hard_work};

/// Opens the active record with its password.
pub(super) async fn log_in(
    session: &mut Session<'_>,
    password: &Arc<NormalisedPassword>,
) -> Result<steps::Recovered, BackupError> {
    let (guess, request) = Guess::start(password, &mut OsRandom).map_err(|error| session.failed(error, Deed::Guess))?;
    let answer = session.ask_for(Deed::Guess, &request).await?;
    // What is left after this guess, should nobody say it again.
    let Answer::LoginStarted { attempts_left, .. } = answer else {
        return Err(session.failed(other_answer(&answer), Deed::Guess));
    };
    session.spend();
    let (password, terms) = (Arc::clone(password), session.terms().clone());
    let verdict = hard_work(move || guess.evaluated(answer, &password, &terms, &mut OsRandom)).await?;
    match verdict {
        Ok(Verdict::Right(proof, record)) => take(session, &proof, record).await,
        Ok(Verdict::Wrong(abandon)) => Err(give_up(session, &abandon, attempts_left).await),
        Err(error) => {
            // The guess is spent. That it was no right one is said at once, so that nothing waits for it.
            let _ = session.ask_for(Deed::Guess, &Request::LoginAbandon).await;
            Err(session.failed(error, Deed::Guess))
        }
    }
}

/// Reports the right guess, and takes what the record holds.
async fn take(
    session: &mut Session<'_>,
    proof: &Request,
    record: OpenedRecord,
) -> Result<steps::Recovered, BackupError> {
    let mut answer = session.ask_for(Deed::Login, proof).await?;
    // Surely not done, and the guess is spent already: it is asked once more, where that makes no session longer.
    if answer == Answer::Refused(SessionRefusal::NoMajority) && session.has_room() {
        answer = session.ask_for(Deed::Login, proof).await?;
    }
    let commitments = commitments(&answer);
    let recovered = record.recovered(answer, session.terms()).map_err(|error| session.failed(error, Deed::Login))?;
    // All wraps are of one key: a list that says otherwise was put together by somebody else than its owner.
    if commitments.iter().any(|commitment| *commitment != recovered.key.commitment()) {
        return Err(BackupError::Wraps { rule: "its wraps are of different keys" });
    }
    Ok(recovered)
}

fn commitments(answer: &Answer) -> Vec<[u8; 32]> {
    let Answer::LoggedIn { wraps, .. } = answer else { return Vec::new() };
    wraps.iter().map(|wrap| wrap.commitment).collect()
}

/// Reports the wrong guess. Whatever comes of that, the password was wrong.
async fn give_up(session: &mut Session<'_>, abandon: &Request, attempts_left: u32) -> BackupError {
    let reported = session.ask_for(Deed::Guess, abandon).await.map(steps::guess_failed);
    BackupError::WrongPassword {
        attempts_left: match reported {
            Ok(Ok(left)) => left,
            Ok(Err(_)) | Err(_) => attempts_left,
        },
    }
}

/// An answer that is not the one asked for, as the steps see it.
fn other_answer(answer: &Answer) -> StepError {
    if let Answer::Refused(refusal) = answer { StepError::Refused(*refusal) } else { StepError::Unexpected }
}
