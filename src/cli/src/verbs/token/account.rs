//! `countermark token account`: what an account service gives to the app of a user who logged in.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use countermark_bundle::identity::Name;
use countermark_bundle::{ExitClass, PublicKey};
use countermark_keys::{KeyFile, Role, Signer, os_random_bytes};
use countermark_tlog::checkpoint::Origin;
use countermark_vault_core::account_token::{AccountClaims, Confirmation, Jwk, assemble, audience, signing_input};
use serde_json::json;

use crate::failure::{Class as _, Failure};
use crate::{documents, present};

/// Arguments of `token account`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The account issuer's key file
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Its passphrase file
    #[arg(long, value_name = "FILE")]
    passphrase_file: PathBuf,
    /// The issuer's name, as the fleet knows it
    #[arg(long)]
    issuer: String,
    /// Whom the token is about: the same name is the same backup key
    #[arg(long)]
    subject: String,
    /// The log that the fleet's statement stands in: the authority's name, a slash, the namespace
    #[arg(long)]
    origin: String,
    /// The fleet
    #[arg(long)]
    fleet: String,
    /// The key that the token is bound to, Ed25519 in hex: `keys new --role account-proof` makes one
    #[arg(long, value_name = "HEX")]
    proof_public_key: String,
    /// How long it lives, at most a day
    #[arg(long, default_value_t = 3600)]
    lifetime_seconds: u64,
    /// Where to write it; printed when it is missing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Does what the verb says.
pub fn run(arguments: &Arguments, json: bool) -> anyhow::Result<()> {
    let signer = KeyFile::open_signer(&arguments.key_file, Role::AccountIssuer, &arguments.passphrase_file)
        .context("the account issuer's key")
        .class(ExitClass::Usage)?;
    let claims = claims(arguments, documents::now()?.unix())?;
    let token = mint(signer.as_ref(), &claims)?;
    match &arguments.out {
        Some(out) => {
            documents::write(out, format!("{token}\n").as_bytes())?;
            if json {
                present::json(
                    &json!({ "out": out.display().to_string(), "audience": claims.aud, "expires_at": expiry(&claims) }),
                );
            } else {
                present::done(&format!("{} is a token for {} until {}", out.display(), claims.aud, expiry(&claims)));
            }
        }
        None if json => {
            present::json(&json!({ "token": token, "audience": claims.aud, "expires_at": expiry(&claims) }));
        }
        None => anstream::println!("{token}"),
    }
    Ok(())
}

fn expiry(claims: &AccountClaims) -> String {
    countermark_bundle::Timestamp::from_unix(claims.exp).map_or_else(|| claims.exp.to_string(), |at| at.to_string())
}

/// Claims that a fleet will accept: what it would refuse is refused here.
fn claims(arguments: &Arguments, now: u64) -> anyhow::Result<AccountClaims> {
    let origin = Origin::new(&arguments.origin).context("the origin").class(ExitClass::Usage)?;
    let fleet = Name::parse(&arguments.fleet).context("the fleet").class(ExitClass::Usage)?;
    let key = hex::decode(&arguments.proof_public_key).context("the proof key is not hex").class(ExitClass::Usage)?;
    let key = PublicKey::ed25519(&key).context("the proof key").class(ExitClass::Usage)?;
    let number: [u8; 16] = os_random_bytes().context("the system's randomness")?;
    let claims = AccountClaims {
        iss: arguments.issuer.clone(),
        sub: arguments.subject.clone(),
        aud: audience(&origin, &fleet),
        iat: now,
        exp: now.saturating_add(arguments.lifetime_seconds),
        jti: hex::encode(number),
        cnf: Confirmation { jwk: Jwk::of(&key) },
    };
    let now = countermark_bundle::Timestamp::from_unix(now).context("the clock stands after the year 9999")?;
    claims.check(now, &claims.aud).class(ExitClass::Usage)?;
    Ok(claims)
}

fn mint(signer: &dyn Signer, claims: &AccountClaims) -> anyhow::Result<String> {
    let input = signing_input(claims);
    let token = assemble(&input, &signer.sign(input.as_bytes())?);
    countermark_vault_core::account_token::UntrustedToken::parse(token.as_bytes())
        .map_err(|refusal| Failure::usage(refusal.to_string()))?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> Arguments {
        Arguments {
            key_file: PathBuf::new(),
            passphrase_file: PathBuf::new(),
            issuer: "accounts.example".to_string(),
            subject: "alice".to_string(),
            origin: "log.example/backup".to_string(),
            fleet: "fleet-1".to_string(),
            // RFC 8032 §7.1, test 1.
            proof_public_key: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".to_string(),
            lifetime_seconds: 3600,
            out: None,
        }
    }

    #[test]
    fn claims_that_a_fleet_would_refuse_are_not_signed() {
        let now = 1_795_219_200;
        let made = claims(&arguments(), now).ok();
        let made = made.map(|claims| (claims.aud, claims.exp - claims.iat, claims.jti.len()));
        assert_eq!(made, Some(("log.example/backup fleet-1".to_string(), 3600, 32)));
        let changes: [fn(&mut Arguments); 6] = [
            |arguments| arguments.lifetime_seconds = 86_401,
            |arguments| arguments.lifetime_seconds = 0,
            |arguments| arguments.subject = "a\nb".to_string(),
            |arguments| arguments.issuer = String::new(),
            |arguments| arguments.proof_public_key = "00".to_string(),
            |arguments| arguments.fleet = "Fleet 1".to_string(),
        ];
        for change in changes {
            let mut arguments = arguments();
            change(&mut arguments);
            let error = claims(&arguments, now).err().map(|error| crate::failure::exit_code(&error));
            assert_eq!(error, Some(ExitClass::Usage.code()));
        }
    }
}
