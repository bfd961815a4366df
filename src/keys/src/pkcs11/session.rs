//! One session with a token: found by name, logged in, its key looked at before it is used.

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use sha2::{Digest as _, Sha384};

use super::pin::Pin;
use super::reference::{TokenName, UntrustedReference};
use super::{CreateInTokenError, TokenError, attributes, point};
use crate::role::Algorithm;

/// A session that is logged in. It must be ended by [`TokenSession::close`] while its library lives, or forgotten: its
/// handle may be another session's in the next life, so dropping it closes nothing.
pub(super) struct TokenSession {
    session: Session,
    /// The life of the library that it belongs to.
    pub(super) life: u64,
}

/// A private key that was looked at.
#[derive(Clone, Copy)]
pub(super) struct TokenKey {
    private: ObjectHandle,
}

/// What a session is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// To sign.
    Read,
    /// To make a key.
    Write,
}

impl TokenSession {
    /// Opens a session with the token of that name and logs in, once.
    pub(super) fn open(
        context: &Pkcs11,
        life: u64,
        token: &TokenName,
        pin: &Pin,
        access: Access,
    ) -> Result<Self, TokenError> {
        let (slot, info) = find_token(context, token)?;
        admit_tries(info.user_pin_locked(), info.user_pin_final_try())?;
        let opened = match access {
            Access::Read => context.open_ro_session_no_drop(slot),
            Access::Write => context.open_rw_session_no_drop(slot),
        };
        let opened = Self { session: opened.map_err(unavailable)?, life };
        match opened.session.login(UserType::User, Some(pin.as_secret())) {
            // Another session of this process with the same token is logged in: PKCS#11 knows one login for all.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(opened),
            Err(error) => {
                opened.close();
                Err(login_refused(&error))
            }
        }
    }

    /// Ends the session. Only in the life that it belongs to.
    pub(super) fn close(self) {
        // A token that is gone ended it already.
        drop(self.session.close());
    }

    /// Finds the key of the reference and refuses one that is not as it should be.
    pub(super) fn find_key(&self, reference: &UntrustedReference) -> Result<TokenKey, TokenError> {
        let private = self.find_one(&attributes::by_id(ObjectClass::PRIVATE_KEY, reference))?;
        let mut asked = attributes::expected_types();
        asked.extend([AttributeType::Label, AttributeType::KeyType]);
        let found = self.session.get_attributes(private, &asked).map_err(unavailable)?;
        let label = Attribute::Label(reference.object_label());
        if !found.contains(&label) {
            return Err(TokenError::OtherLabel);
        }
        attributes::admit(&found)?;
        let key_type = attributes::key_type(reference.role.algorithm()).ok_or(TokenError::PublicKey)?;
        if !found.contains(&Attribute::KeyType(key_type)) || self.public_key(reference)? != reference.public_key {
            return Err(TokenError::PublicKey);
        }
        Ok(TokenKey { private })
    }

    /// The public key beside the private one.
    pub(super) fn public_key(&self, reference: &UntrustedReference) -> Result<Vec<u8>, TokenError> {
        let public = self.find_one(&attributes::by_id(ObjectClass::PUBLIC_KEY, reference))?;
        let found = self.session.get_attributes(public, &[AttributeType::EcPoint]).map_err(unavailable)?;
        let [Attribute::EcPoint(found)] = found.as_slice() else {
            return Err(TokenError::PublicKey);
        };
        point::from_ec_point(reference.role.algorithm(), found).ok_or(TokenError::PublicKey)
    }

    /// Signs, and believes the signature only if it verifies.
    pub(super) fn sign(
        &self,
        key: TokenKey,
        reference: &UntrustedReference,
        message: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        let algorithm = reference.role.algorithm();
        let mechanism = attributes::signing(algorithm).ok_or(TokenError::Signature)?;
        let signed = match algorithm {
            Algorithm::EcdsaP384 => self.session.sign(&mechanism, key.private, &Sha384::digest(message)),
            Algorithm::Ed25519 | Algorithm::MlDsa44 | Algorithm::X25519 | Algorithm::XChaCha20Poly1305 => {
                self.session.sign(&mechanism, key.private, message)
            }
        };
        point::admit_signature(algorithm, &reference.public_key, message, &signed.map_err(unavailable)?)
    }

    /// Makes the key that `reference` describes; its public key is what is returned.
    pub(super) fn generate(&self, reference: &UntrustedReference) -> Result<Vec<u8>, CreateInTokenError> {
        let of_token = |error| CreateInTokenError::Token(unavailable(error));
        let taken = self.session.find_objects(&attributes::by_label(reference)).map_err(of_token)?;
        if !taken.is_empty() {
            return Err(CreateInTokenError::LabelTaken { role: reference.role });
        }
        let (mechanism, curves) = attributes::generation(reference.role.algorithm());
        let private = attributes::private_template(reference);
        let made = curves.iter().any(|curve| {
            let public = attributes::public_template(reference, curve);
            self.session.generate_key_pair(&mechanism, &public, &private).is_ok()
        });
        if !made {
            return Err(CreateInTokenError::Token(TokenError::NotMade));
        }
        // PKCS#11 has no "only if it is new": of two that looked before either made one, both go.
        if self.session.find_objects(&attributes::by_label(reference)).map_err(of_token)?.len() != 1 {
            return Err(CreateInTokenError::LabelTaken { role: reference.role });
        }
        self.public_key(reference).map_err(CreateInTokenError::Token)
    }

    /// Removes the key that was just made.
    pub(super) fn destroy(&self, reference: &UntrustedReference) -> Result<(), TokenError> {
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            for object in self.session.find_objects(&attributes::by_id(class, reference)).map_err(unavailable)? {
                self.session.destroy_object(object).map_err(unavailable)?;
            }
        }
        Ok(())
    }

    fn find_one(&self, template: &[Attribute]) -> Result<ObjectHandle, TokenError> {
        match self.session.find_objects(template).map_err(unavailable)?.as_slice() {
            [] => Err(TokenError::NoKey),
            [object] => Ok(*object),
            [_, _, ..] => Err(TokenError::KeyAmbiguous),
        }
    }
}

/// The one slot whose token has that name.
fn find_token(context: &Pkcs11, name: &TokenName) -> Result<(Slot, TokenInfo), TokenError> {
    let slots = context.get_slots_with_token().map_err(unavailable)?;
    let mut found = None;
    for slot in slots {
        // A token that does not answer is not the one, or is gone.
        let Ok(info) = context.get_token_info(slot) else { continue };
        let named = |name: &Option<String>, found: &str| name.as_ref().is_none_or(|name| name == found.trim_end());
        if info.token_initialized() && named(&name.label, info.label()) && named(&name.serial, info.serial_number()) {
            if found.is_some() {
                return Err(TokenError::TokenAmbiguous);
            }
            found = Some((slot, info));
        }
    }
    found.ok_or(TokenError::NoToken)
}

/// Refuses to log in where that could lock the token: a service that is started again and again with a wrong PIN would.
const fn admit_tries(locked: bool, last_try: bool) -> Result<(), TokenError> {
    match (locked, last_try) {
        (true, _) => Err(TokenError::PinLocked),
        (false, true) => Err(TokenError::PinLastTry),
        (false, false) => Ok(()),
    }
}

fn unavailable(_error: Error) -> TokenError {
    TokenError::Unavailable
}

/// What a refused login means. Whatever may have counted as a try is a refused PIN.
fn login_refused(error: &Error) -> TokenError {
    match error {
        Error::Pkcs11(RvError::PinLocked, _) => TokenError::PinLocked,
        Error::Pkcs11(
            RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::UserPinNotInitialized,
            _,
        ) => TokenError::PinRefused,
        // Not our enum, and open to new variants: the token is not in a state to judge a PIN.
        _ => TokenError::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::context::Function;

    #[test]
    fn the_last_try_of_a_pin_is_never_spent() {
        assert_eq!(admit_tries(false, false), Ok(()));
        assert_eq!(admit_tries(false, true), Err(TokenError::PinLastTry));
        assert_eq!(admit_tries(true, false), Err(TokenError::PinLocked));
        assert_eq!(admit_tries(true, true), Err(TokenError::PinLocked));
    }

    #[test]
    fn every_answer_that_may_have_cost_a_try_ends_the_tries() {
        let refused = |error| login_refused(&Error::Pkcs11(error, Function::Login));
        for error in [RvError::PinIncorrect, RvError::PinLenRange, RvError::PinExpired, RvError::PinInvalid] {
            assert!(refused(error).is_of_the_pin(), "{error}");
        }
        assert_eq!(refused(RvError::PinLocked), TokenError::PinLocked);
        assert_eq!(refused(RvError::DeviceRemoved), TokenError::Unavailable);
    }
}
