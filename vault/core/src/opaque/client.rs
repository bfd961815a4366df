//! The side that knows the password.

use alloc::vec::Vec;
use core::fmt;

use opaque_ke::errors::ProtocolError;
use opaque_ke::{
    ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters,
    CredentialResponse, RegistrationResponse,
};

use super::{
    CONTEXT, ELEMENT_BYTES, ExportKey, Hardness, KE1_BYTES, KE2_BYTES, NormalisedPassword, Parties,
    REGISTRATION_RESPONSE_BYTES, Stretching, Suite, drawing,
};
use crate::device::{DeviceFault, RandomSource};
use crate::secret::Secret;

/// Where the server's ephemeral key stands in its answer to a login: after evaluation, masked record and nonce.
const SERVER_EPHEMERAL_AT: usize = KE2_BYTES - 96;
/// Where the client's ephemeral key stands in a login's first message.
const CLIENT_EPHEMERAL_AT: usize = KE1_BYTES - ELEMENT_BYTES;

/// Why a record was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// Refused: not a registration response, or an element in it that cannot be used.
    #[error("the server's answer to a registration is malformed")]
    Malformed,
    /// Refused: the server sent the client's own element back.
    #[error("the server reflected the client's value")]
    Reflected,
    /// Fault: the device.
    #[error(transparent)]
    Device(#[from] DeviceFault),
}

/// Why a record was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The password does not open the record; or there is none; or the answer was made by who does not have it.
    #[error("the password does not open the record")]
    WrongPassword,
    /// Refused: not an answer to a login, or an element in it that cannot be used.
    #[error("the server's answer to a login is malformed")]
    Malformed,
    /// Refused: the server sent one of the client's own elements back.
    #[error("the server reflected the client's value")]
    Reflected,
    /// Fault: the device.
    #[error(transparent)]
    Device(#[from] DeviceFault),
}

/// A record that is being made.
pub struct Registration {
    state: ClientRegistration<Suite>,
    request: Vec<u8>,
}

impl Registration {
    /// Blinds the password. Gives the request to send, [`super::REGISTRATION_REQUEST_BYTES`] bytes.
    pub fn start(
        password: &NormalisedPassword,
        rng: &mut dyn RandomSource,
    ) -> Result<(Self, Vec<u8>), RegistrationError> {
        let started = drawing(rng, |rng| ClientRegistration::<Suite>::start(rng, &password.0))?;
        // A password that hashes to the identity cannot be registered; nobody knows one.
        let started = started.map_err(|_| RegistrationError::Malformed)?;
        let request = started.message.serialize().to_vec();
        Ok((Self { state: started.state, request: request.clone() }, request))
    }

    /// Hashes the password with what the server answered. Gives the upload to send, 192 bytes, and what the password opens
    /// from now on. Takes as long as `hardness` says.
    pub fn finish(
        self,
        password: &NormalisedPassword,
        response: &[u8],
        parties: &Parties,
        hardness: Hardness,
        rng: &mut dyn RandomSource,
    ) -> Result<(Secret, ExportKey), RegistrationError> {
        // SPEC: RFC 9807 §10.6 asks for every element to be checked; the library decodes what is long enough.
        let response: &[u8; REGISTRATION_RESPONSE_BYTES] =
            response.try_into().map_err(|_| RegistrationError::Malformed)?;
        if response.chunks_exact(ELEMENT_BYTES).any(|element| element == self.request) {
            return Err(RegistrationError::Reflected);
        }
        let response = RegistrationResponse::deserialize(response).map_err(|_| RegistrationError::Malformed)?;
        let stretching = Stretching(hardness);
        let parameters = ClientRegistrationFinishParameters::new(parties.identifiers(), Some(&stretching));
        let finished = drawing(rng, |rng| self.state.finish(rng, &password.0, response, parameters))?;
        let mut finished = finished.map_err(|error| match error {
            ProtocolError::ReflectedValueError => RegistrationError::Reflected,
            ProtocolError::LibraryError(_)
            | ProtocolError::InvalidLoginError
            | ProtocolError::SerializationError
            | ProtocolError::SizeError { .. }
            | ProtocolError::Custom(_) => RegistrationError::Malformed,
        })?;
        let export_key = ExportKey::take(&mut finished.export_key).ok_or(RegistrationError::Malformed)?;
        Ok((Secret::new(finished.message.serialize().to_vec()), export_key))
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registration(…)")
    }
}

/// A guess that is being made.
pub struct Login {
    state: ClientLogin<Suite>,
    ke1: Vec<u8>,
}

impl Login {
    /// Blinds the password. Gives the first message, [`KE1_BYTES`] bytes.
    pub fn start(password: &NormalisedPassword, rng: &mut dyn RandomSource) -> Result<(Self, Vec<u8>), LoginError> {
        let started = drawing(rng, |rng| ClientLogin::<Suite>::start(rng, &password.0))?;
        let started = started.map_err(|_| LoginError::Malformed)?;
        let ke1 = started.message.serialize().to_vec();
        Ok((Self { state: started.state, ke1: ke1.clone() }, ke1))
    }

    /// Opens the record in the second message. Gives the third one, [`super::KE3_BYTES`] bytes, and what the password
    /// opens. Takes as long as `hardness` says.
    pub fn finish(
        self,
        password: &NormalisedPassword,
        ke2: &[u8],
        parties: &Parties,
        hardness: Hardness,
        rng: &mut dyn RandomSource,
    ) -> Result<(Vec<u8>, ExportKey), LoginError> {
        let ke2: &[u8; KE2_BYTES] = ke2.try_into().map_err(|_| LoginError::Malformed)?;
        if self.is_reflected_in(ke2) {
            return Err(LoginError::Reflected);
        }
        let response = CredentialResponse::deserialize(ke2).map_err(|_| LoginError::Malformed)?;
        let stretching = Stretching(hardness);
        let parameters = ClientLoginFinishParameters::new(Some(CONTEXT), parties.identifiers(), Some(&stretching));
        let finished = drawing(rng, |rng| self.state.finish(rng, &password.0, response, parameters))?;
        let mut finished = finished.map_err(|error| match error {
            ProtocolError::InvalidLoginError => LoginError::WrongPassword,
            ProtocolError::ReflectedValueError => LoginError::Reflected,
            ProtocolError::LibraryError(_)
            | ProtocolError::SerializationError
            | ProtocolError::SizeError { .. }
            | ProtocolError::Custom(_) => LoginError::Malformed,
        })?;
        let export_key = ExportKey::take(&mut finished.export_key).ok_or(LoginError::Malformed)?;
        Ok((finished.message.serialize().to_vec(), export_key))
    }

    /// Whether the server sent one of the client's elements back: each has one encoding, so bytes can be compared.
    fn is_reflected_in(&self, ke2: &[u8; KE2_BYTES]) -> bool {
        let own = [element(&self.ke1, 0), element(&self.ke1, CLIENT_EPHEMERAL_AT)];
        [element(ke2, 0), element(ke2, SERVER_EPHEMERAL_AT)].iter().any(|theirs| own.contains(theirs))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

fn element(message: &[u8], at: usize) -> Option<&[u8; ELEMENT_BYTES]> {
    message.get(at..)?.first_chunk()
}
