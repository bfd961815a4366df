//! The side that keeps records.

use alloc::vec::Vec;
use core::fmt;

use opaque_ke::{
    CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload, ServerLogin as LibraryLogin,
    ServerLoginParameters, ServerRegistration, ServerSetup,
};
use zeroize::Zeroize as _;

use super::{CONTEXT, ELEMENT_BYTES, KE1_BYTES, KE3_BYTES, Parties, REGISTRATION_REQUEST_BYTES, Suite, drawing};
use crate::device::{DeviceFault, RandomSource};
use crate::machine::{Evaluation, SETUP_BYTES, UPLOAD_BYTES};
use crate::secret::Secret;

/// Why a client's message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientMessageError {
    /// Another length, or an element in it that cannot be used: the identity, or in another encoding than its own.
    #[error("the client's message is malformed")]
    Malformed,
    /// The client sent the server's own element back.
    #[error("the client reflected the server's value")]
    Reflected,
}

/// Why a password was not evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// Refused: the client's message.
    #[error(transparent)]
    Message(#[from] ClientMessageError),
    /// Fault: what the machine keeps is no record.
    #[error("the record that is kept cannot be read")]
    Record,
    /// Fault: the device.
    #[error(transparent)]
    Device(#[from] DeviceFault),
}

/// The proof that a record was opened is wrong: so was the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record was not opened with its password")]
pub struct WrongPassword;

/// Makes a setup of [`SETUP_BYTES`] bytes: one for each record, and one for a fleet's decoys.
pub fn new_setup(rng: &mut dyn RandomSource) -> Result<Secret, DeviceFault> {
    let setup = drawing(rng, |rng| ServerSetup::<Suite>::new(rng))?;
    let mut bytes = setup.serialize();
    let secret = Secret::new(bytes.to_vec());
    bytes.as_mut_slice().zeroize();
    Ok(secret)
}

/// Answers a registration request under a setup that was made for this record alone:
/// [`super::REGISTRATION_RESPONSE_BYTES`] bytes.
pub fn register_start(setup: &Secret, parties: &Parties, request: &[u8]) -> Result<Vec<u8>, EvaluationError> {
    let setup = read_setup(setup)?;
    let request: &[u8; REGISTRATION_REQUEST_BYTES] = request.try_into().map_err(|_| ClientMessageError::Malformed)?;
    check_reflection(&setup, request)?;
    let request = RegistrationRequest::deserialize(request).map_err(|_| ClientMessageError::Malformed)?;
    let started = ServerRegistration::start(&setup, request, parties.credential_identifier());
    Ok(started.map_err(|_| ClientMessageError::Malformed)?.message.serialize().to_vec())
}

/// Checks a registration upload of [`UPLOAD_BYTES`] bytes, made with the answer that [`register_start`] gave under `setup`.
pub fn check_upload(setup: &Secret, upload: &Secret) -> Result<(), EvaluationError> {
    let setup = read_setup(setup)?;
    let upload: &[u8; UPLOAD_BYTES] = upload.expose().try_into().map_err(|_| ClientMessageError::Malformed)?;
    let (client_key, _) = upload.split_first_chunk::<ELEMENT_BYTES>().ok_or(ClientMessageError::Malformed)?;
    check_reflection(&setup, client_key)?;
    RegistrationUpload::<Suite>::deserialize(upload).map_err(|_| ClientMessageError::Malformed)?;
    Ok(())
}

/// A login's first message, read: what is malformed is refused before anything is charged for it.
pub struct LoginRequest {
    bytes: [u8; KE1_BYTES],
    request: CredentialRequest<Suite>,
}

impl LoginRequest {
    /// Reads a first message of [`KE1_BYTES`] bytes.
    pub fn parse(ke1: &[u8]) -> Result<Self, ClientMessageError> {
        let bytes: [u8; KE1_BYTES] = ke1.try_into().map_err(|_| ClientMessageError::Malformed)?;
        let request = CredentialRequest::deserialize(&bytes).map_err(|_| ClientMessageError::Malformed)?;
        Ok(Self { bytes, request })
    }
}

impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginRequest(…)")
    }
}

/// A login that was evaluated and waits for its third message.
pub struct ServerLogin {
    state: LibraryLogin<Suite>,
}

impl ServerLogin {
    /// Evaluates a password. [`Evaluation`] is what a committed charge answers: without one there is nothing to evaluate
    /// with. Gives the second message, [`super::KE2_BYTES`] bytes, of the same form with a record and with a decoy.
    pub fn start(
        evaluation: &Evaluation,
        parties: &Parties,
        request: LoginRequest,
        rng: &mut dyn RandomSource,
    ) -> Result<(Self, Vec<u8>), EvaluationError> {
        let (setup, password_file) = match evaluation {
            Evaluation::Record(record) => {
                let file = ServerRegistration::<Suite>::deserialize(record.upload.expose());
                (&record.setup, Some(file.map_err(|_| EvaluationError::Record)?))
            }
            Evaluation::Decoy(setup) => (setup, None),
        };
        let setup = read_setup(setup)?;
        check_reflection(&setup, &request.bytes)?;
        let parameters = ServerLoginParameters { context: Some(CONTEXT), identifiers: parties.identifiers() };
        let identifier = parties.credential_identifier();
        let started = drawing(rng, |rng| {
            LibraryLogin::start(rng, &setup, password_file, request.request, identifier, parameters)
        })?;
        let started = started.map_err(|_| ClientMessageError::Malformed)?;
        Ok((Self { state: started.state }, started.message.serialize().to_vec()))
    }

    /// Takes the third message: right only from who opened the record.
    pub fn finish(self, parties: &Parties, proof: KeyConfirmation) -> Result<(), WrongPassword> {
        let parameters = ServerLoginParameters { context: Some(CONTEXT), identifiers: parties.identifiers() };
        self.state.finish(proof.0, parameters).map(|_| ()).map_err(|_| WrongPassword)
    }
}

impl fmt::Debug for ServerLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerLogin(…)")
    }
}

/// A login's third message, read and not checked.
pub struct KeyConfirmation(CredentialFinalization<Suite>);

impl KeyConfirmation {
    /// Reads a third message of [`KE3_BYTES`] bytes.
    pub fn parse(ke3: &[u8]) -> Result<Self, ClientMessageError> {
        let bytes: &[u8; KE3_BYTES] = ke3.try_into().map_err(|_| ClientMessageError::Malformed)?;
        CredentialFinalization::deserialize(bytes).map(Self).map_err(|_| ClientMessageError::Malformed)
    }
}

impl fmt::Debug for KeyConfirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyConfirmation(…)")
    }
}

fn read_setup(setup: &Secret) -> Result<ServerSetup<Suite>, EvaluationError> {
    let bytes: &[u8; SETUP_BYTES] = setup.expose().try_into().map_err(|_| EvaluationError::Record)?;
    ServerSetup::deserialize(bytes).map_err(|_| EvaluationError::Record)
}

/// Refuses a message in which the server's own public key stands where an element of the client's belongs.
fn check_reflection(setup: &ServerSetup<Suite>, message: &[u8]) -> Result<(), ClientMessageError> {
    let own = setup.keypair().public().serialize();
    if message.chunks_exact(ELEMENT_BYTES).any(|part| part == own.as_slice()) {
        return Err(ClientMessageError::Reflected);
    }
    Ok(())
}
