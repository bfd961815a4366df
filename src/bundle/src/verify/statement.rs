//! Steps 10 to 15: the statement. Both organisations' signatures, its epoch, revocations, windows, and pinned keys.

use alloc::format;
use alloc::string::ToString;

use super::head::Head;
use super::records::Chosen;
use super::{Client, Distrust, Observer, Step};
use crate::authority::Authority;
use crate::countersignature::{self, Countersigned};
use crate::entry::{Entry, Revocation};
use crate::identity::Timestamp;
use crate::key::KeyId;
use crate::namespace_state::Revoked;
use crate::statement::{KeyRole, ParsedStatement};
use crate::trust::{Floor, TrustFile};

/// Steps 10 to 15.
pub(super) fn check(
    client: &Client<'_>,
    head: &Head,
    chosen: &Chosen<'_>,
    in_tail: &[(&Revocation, &[u8])],
    passed: Observer<'_>,
) -> Result<(), Distrust> {
    let Client { trust, floor, .. } = *client;
    let statement = chosen.statement.statement();
    let (epoch, digest) = (statement.epoch, chosen.statement.digest());
    let keys = &head.authority.keys().certificate;
    chosen.certified.certificate.verify(keys, &trust.namespace(), epoch, digest)?;
    passed(Step::Certificate, format!("epoch {epoch}, {digest}"));

    check_countersignatures(chosen, &head.authority)?;
    passed(Step::Countersignature, format!("{} of the operator", chosen.activation.countersignatures.len()));

    check_epoch(floor, &chosen.statement)?;
    passed(Step::Epoch, floor.epoch.map_or_else(|| "no floor yet".to_string(), |floor| format!("floor {floor}")));

    let revoked = known_revocations(floor, in_tail)?;
    check_revoked(&revoked, &chosen.statement)?;
    passed(Step::Revocation, format!("{} known", floor.revocations.len() + in_tail.len()));

    check_validity(&chosen.statement, trust, head.now)?;
    passed(Step::Validity, format!("until {}", statement.not_after));

    check_pinned(&chosen.statement, trust)?;
    passed(Step::PinnedKeys, if trust.pinned_keys.is_some() { "all pinned" } else { "not asked for" }.to_string());
    Ok(())
}

fn check_countersignatures(chosen: &Chosen<'_>, authority: &Authority) -> Result<(), Distrust> {
    let activation = chosen.activation;
    let (epoch, digest) = (chosen.statement.statement().epoch, chosen.statement.digest());
    if (activation.epoch, activation.statement, activation.leaf_index) != (epoch, digest, chosen.certified_index) {
        return Err(Distrust::ActivationMismatch);
    }
    let tuple = Countersigned {
        origin: authority.origin(),
        epoch,
        statement: digest,
        leaf_index: chosen.certified_index,
        certificate_signature: &chosen.certified.certificate.signature,
    };
    let operator = &authority.keys().operator;
    Ok(countersignature::verify(&tuple, &activation.countersignatures, &operator.keys, operator.threshold)?)
}

fn check_epoch(floor: &Floor, statement: &ParsedStatement) -> Result<(), Distrust> {
    let (Some(epoch), Some(digest)) = (floor.epoch, floor.digest) else {
        return Ok(());
    };
    let found = statement.statement().epoch;
    if found < epoch {
        return Err(Distrust::EpochRollback { floor: epoch, found });
    }
    if found == epoch && statement.digest() != digest {
        return Err(Distrust::OtherStatement { epoch, floor: digest, found: statement.digest() });
    }
    Ok(())
}

fn known_revocations(floor: &Floor, in_tail: &[(&Revocation, &[u8])]) -> Result<Revoked, Distrust> {
    let mut revoked = Revoked::default();
    for text in &floor.revocations {
        match Entry::parse(text.as_bytes()).map_err(|_| Distrust::RememberedRevocation)? {
            Entry::Revocation(revocation) if revocation.origin == floor.origin => revoked.add(&revocation),
            Entry::Revocation(_)
            | Entry::CertifiedStatement(_)
            | Entry::Activation(_)
            | Entry::Evidence(_)
            | Entry::PolicyChange(_)
            | Entry::AuthorityChange(_) => return Err(Distrust::RememberedRevocation),
        }
    }
    for (revocation, _) in in_tail {
        revoked.add(revocation);
    }
    Ok(revoked)
}

fn check_revoked(revoked: &Revoked, statement: &ParsedStatement) -> Result<(), Distrust> {
    let epoch = statement.statement().epoch;
    if revoked.epochs.contains(&epoch) {
        return Err(Distrust::EpochRevoked { epoch });
    }
    revoked.touches(statement.statement()).map_or(Ok(()), |what| Err(Distrust::Revoked { what }))
}

fn check_validity(parsed: &ParsedStatement, trust: &TrustFile, now: Timestamp) -> Result<(), Distrust> {
    let statement = parsed.statement();
    if now < statement.not_before {
        return Err(Distrust::NotYetValid { not_before: statement.not_before });
    }
    if now >= statement.not_after {
        return Err(Distrust::Expired { not_after: statement.not_after });
    }
    let (found, limit) = (statement.lifetime_seconds(), trust.limits.max_statement_lifetime_seconds);
    if found > limit {
        return Err(Distrust::StatementLifetime { found, limit });
    }
    if !statement.fleets.iter().any(|fleet| fleet.status.serves()) {
        return Err(Distrust::NoServingFleet);
    }
    for fleet in statement.fleets.iter().filter(|fleet| fleet.status.serves()) {
        for member in &fleet.members {
            let usable = |role| member.keys_of(role).any(|key| key.not_before <= now && now < key.not_after);
            if !usable(KeyRole::Session) || !usable(KeyRole::Identity) {
                return Err(Distrust::NoUsableKey { member: member.member_id.clone() });
            }
        }
    }
    Ok(())
}

fn check_pinned(parsed: &ParsedStatement, trust: &TrustFile) -> Result<(), Distrust> {
    let Some(pinned) = &trust.pinned_keys else {
        return Ok(());
    };
    let serving = parsed.statement().keys().filter(|(fleet, _, _)| fleet.status.serves());
    let stranger = serving.map(|(_, _, key)| key.key_id).find(|key_id: &KeyId| !pinned.contains(key_id));
    stranger.map_or(Ok(()), |key_id| Err(Distrust::NotPinned { key_id }))
}
