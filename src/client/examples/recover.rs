//! What an app does on a new phone: `cargo run --example recover -- https://member-1.example trust.json floor.json
//! account.jwt sealed.age restored.db`, with the password on standard input.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use countermark_bundle::{identity::Timestamp, trust::TrustFile};
use countermark_client::backup::file::{Existing, decrypt_file};
use countermark_client::backup::password::normalise;
use countermark_client::backup::{Account, AccountProof, HttpMember, ProofFault, Transport, Vault};
use countermark_client::fetch::{LogReader, Timeouts};
use countermark_client::floor_store::FloorFile;
use countermark_client::verify::fetch_and_verify;

/// Stands for the key store of the phone, which holds the key that the account token is bound to.
struct PhoneKey(ed25519_dalek::SigningKey);

impl AccountProof for PhoneKey {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], ProofFault> {
        Ok(ed25519_dalek::Signer::sign(&self.0, message).to_bytes())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let [address, trust, floor, token, sealed, restored] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "six arguments")?;
    let now =
        Timestamp::from_unix(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()).ok_or("the clock is wrong")?;

    // 1. Are these really the fleet's keys? The member staples the proof to its answers; sixteen steps check it.
    let trust = TrustFile::parse(&std::fs::read(trust)?)?;
    let staple = LogReader::new(&address, &trust.namespace(), Timeouts::default())?;
    let bundle = fetch_and_verify(&staple, &trust, &FloorFile::new(Path::new(&floor)), now, &mut |_| {}).await?;

    // 2. Only now a session, to exactly these keys.
    let phone = PhoneKey(ed25519_dalek::SigningKey::from_bytes(&[7; 32]));
    let account = Account::new(std::fs::read_to_string(token)?.trim(), Arc::new(phone))?;
    let members = [Arc::new(HttpMember::new(&address, Timeouts::default())?) as Arc<dyn Transport>];
    let password = normalise(std::io::read_to_string(std::io::stdin())?.trim_end_matches('\n'))?;
    let done = Vault::new(&bundle, &members, account, now).recover(password).await?;
    println!("recovered by {}, {} attempts are left", done.member_id, done.outcome.attempts_left);

    // 3. The backup.
    decrypt_file(Path::new(&sealed), Path::new(&restored), Existing::Keep, &done.outcome.key, &mut |_| {})?;
    Ok(())
}
