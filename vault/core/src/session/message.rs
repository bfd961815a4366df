//! Requests, answers and refusals of a session, and their one encoding (postcard), small enough for one frame.

use alloc::vec::Vec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::account_token::TokenRefusal;
use crate::machine::{Refusal, Wrap};
use crate::noise::MESSAGE_BYTES_MAX;
use crate::secret::Secret;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Who the client is. Comes before everything else but [`Request::Idle`].
    Authenticate {
        /// The account token, a compact JWT.
        token: Secret,
        /// The signature of the token's proof key over the session, 64 bytes.
        proof: Vec<u8>,
    },
    /// Spend a guess on the active record.
    LoginStart {
        /// OPAQUE's first message, 96 bytes.
        ke1: Vec<u8>,
    },
    /// The guess was right.
    LoginFinish {
        /// OPAQUE's third message, 64 bytes.
        ke3: Vec<u8>,
    },
    /// The guess was wrong.
    LoginAbandon,
    /// Begin a new record.
    EnrolStart {
        /// OPAQUE's registration request, 32 bytes.
        request: Vec<u8>,
    },
    /// Keep the new record as pending.
    EnrolFinish {
        /// OPAQUE's registration upload, 192 bytes.
        upload: Secret,
        /// The backup key, wrapped.
        wraps: Vec<Wrap>,
    },
    /// Open the pending record, once.
    ConfirmStart {
        /// OPAQUE's first message, 96 bytes.
        ke1: Vec<u8>,
    },
    /// The pending record was opened.
    ConfirmFinish {
        /// OPAQUE's third message, 64 bytes.
        ke3: Vec<u8>,
    },
    /// Forget the account's records.
    Delete,
    /// Nothing: it makes every session equally long.
    Idle,
}

/// What a member answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The token and its proof were believed.
    Authenticated,
    /// A guess was spent.
    LoginStarted {
        /// OPAQUE's second message, 320 bytes: also for an account without a record.
        ke2: Vec<u8>,
        /// How many guesses are left after this one.
        attempts_left: u32,
    },
    /// The guess was right.
    LoggedIn {
        /// The backup key, wrapped.
        wraps: Vec<Wrap>,
        /// The budget, full again.
        attempts_left: u32,
    },
    /// The guess was wrong.
    LoginFailed {
        /// How many guesses are left.
        attempts_left: u32,
    },
    /// A new record was begun.
    EnrolStarted {
        /// OPAQUE's registration response, 64 bytes.
        response: Vec<u8>,
    },
    /// The new record is pending.
    Enrolled,
    /// The pending record was tried.
    ConfirmStarted {
        /// OPAQUE's second message, 320 bytes.
        ke2: Vec<u8>,
    },
    /// The pending record was confirmed.
    Confirmed {
        /// When it becomes the active one, in seconds since 1970; `None` if it is already.
        waits_until_unix: Option<u64>,
    },
    /// Deletion was asked for.
    Deleted {
        /// When it happens, in seconds since 1970; `None` if it did already.
        waits_until_unix: Option<u64>,
    },
    /// Nothing was asked for.
    Idle,
    /// It was not done, or, for [`SessionRefusal::Unknown`], perhaps it was.
    Refused(SessionRefusal),
}

/// Why a request was not answered with what it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SessionRefusal {
    /// The client did not say who it is yet.
    #[error("the session is not authenticated")]
    NotAuthenticated,
    /// The account token was not believed.
    #[error("the account token was refused: {0}")]
    Token(TokenRefusal),
    /// The request does not follow what was asked before. Nothing was changed.
    #[error("the request is out of order")]
    OutOfOrder,
    /// The request, or a value in it, is none. Nothing was changed, but a guess that was spent before stays spent.
    #[error("the request is malformed")]
    Malformed,
    /// The proof that the pending record opens is wrong. A new record must be begun.
    #[error("the pending record was not opened")]
    NotOpened,
    /// The fleet refused.
    #[error("the fleet refused: {0}")]
    Machine(Refusal),
    /// No majority of the fleet took part: it was not done.
    #[error("no majority of the fleet was reached in time")]
    NoMajority,
    /// It is not known whether it was done. A guess counts as spent.
    #[error("it is not known whether the request was carried out")]
    Unknown,
    /// The member itself failed.
    #[error("the member failed")]
    MemberFault,
}

/// Bytes that are no message, or a message too large for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a session message of at most {MESSAGE_BYTES_MAX} bytes")]
pub struct MessageError;

impl Request {
    /// The message's bytes, at most [`MESSAGE_BYTES_MAX`].
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, MessageError> {
        encode(self)
    }

    /// Reads a message. Nothing may follow it.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        decode(bytes)
    }
}

impl Answer {
    /// The message's bytes, at most [`MESSAGE_BYTES_MAX`].
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, MessageError> {
        encode(self)
    }

    /// Reads a message. Nothing may follow it.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        decode(bytes)
    }
}

fn encode<T: Serialize>(message: &T) -> Result<Zeroizing<Vec<u8>>, MessageError> {
    let bytes = Zeroizing::new(postcard::to_allocvec(message).map_err(|_| MessageError)?);
    if bytes.len() > MESSAGE_BYTES_MAX { Err(MessageError) } else { Ok(bytes) }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MessageError> {
    // The size is looked at before anything is taken apart.
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(MessageError);
    }
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok((_, [_, ..])) | Err(_) => Err(MessageError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{UPLOAD_BYTES, WRAP_CIPHERTEXT_BYTES_MAX, WRAPS_MAX, WrapKind};
    use alloc::vec;

    fn wraps() -> Vec<Wrap> {
        let wrap =
            Wrap { kind: WrapKind::Passkey, commitment: [7; 32], ciphertext: vec![8; WRAP_CIPHERTEXT_BYTES_MAX] };
        vec![wrap; WRAPS_MAX]
    }

    fn requests() -> Vec<Request> {
        vec![
            Request::Authenticate { token: Secret::new(vec![b'a'; 1024]), proof: vec![1; 64] },
            Request::LoginStart { ke1: vec![2; 96] },
            Request::LoginFinish { ke3: vec![3; 64] },
            Request::LoginAbandon,
            Request::EnrolStart { request: vec![4; 32] },
            Request::EnrolFinish { upload: Secret::new(vec![5; UPLOAD_BYTES]), wraps: wraps() },
            Request::ConfirmStart { ke1: vec![6; 96] },
            Request::ConfirmFinish { ke3: vec![7; 64] },
            Request::Delete,
            Request::Idle,
        ]
    }

    fn answers() -> Vec<Answer> {
        vec![
            Answer::Authenticated,
            Answer::LoginStarted { ke2: vec![1; 320], attempts_left: u32::MAX },
            Answer::LoggedIn { wraps: wraps(), attempts_left: u32::MAX },
            Answer::LoginFailed { attempts_left: 0 },
            Answer::EnrolStarted { response: vec![2; 64] },
            Answer::Enrolled,
            Answer::ConfirmStarted { ke2: vec![3; 320] },
            Answer::Confirmed { waits_until_unix: Some(u64::MAX) },
            Answer::Deleted { waits_until_unix: None },
            Answer::Idle,
            Answer::Refused(SessionRefusal::Machine(Refusal::Link { from: u64::MAX })),
        ]
    }

    #[test]
    fn the_largest_messages_fit_into_a_frame_and_come_back() {
        for request in requests() {
            assert_eq!(Request::decode(&request.encode().unwrap()), Ok(request));
        }
        for answer in answers() {
            assert_eq!(Answer::decode(&answer.encode().unwrap()), Ok(answer));
        }
    }

    #[test]
    fn a_message_that_is_cut_or_followed_by_something_is_refused() {
        for bytes in requests().iter().map(|request| request.encode().unwrap()) {
            for end in 0..bytes.len() {
                assert_eq!(Request::decode(&bytes[..end]), Err(MessageError));
            }
            assert_eq!(Request::decode(&[&bytes[..], &[0]].concat()), Err(MessageError));
        }
        for bytes in answers().iter().map(|answer| answer.encode().unwrap()) {
            for end in 0..bytes.len() {
                assert_eq!(Answer::decode(&bytes[..end]), Err(MessageError));
            }
            assert_eq!(Answer::decode(&[&bytes[..], &[0]].concat()), Err(MessageError));
        }
    }

    #[test]
    fn a_message_too_large_for_a_frame_is_neither_made_nor_read() {
        let fits = Request::LoginStart { ke1: vec![1; MESSAGE_BYTES_MAX - 3] };
        let bytes = fits.encode().unwrap();
        assert_eq!(bytes.len(), MESSAGE_BYTES_MAX);
        assert_eq!(Request::decode(&bytes), Ok(fits));
        let large = Request::LoginStart { ke1: vec![1; MESSAGE_BYTES_MAX - 2] };
        assert_eq!(large.encode(), Err(MessageError));
        assert_eq!(Request::decode(&postcard::to_allocvec(&large).unwrap()), Err(MessageError));
    }

    #[test]
    fn a_length_that_lies_and_an_unknown_kind_are_refused() {
        // A vector that says to have 2^28 bytes.
        assert_eq!(Request::decode(&[1, 0xff, 0xff, 0xff, 0x7f, 1]), Err(MessageError));
        assert_eq!(Request::decode(&[10]), Err(MessageError));
        assert_eq!(Answer::decode(&[11]), Err(MessageError));
        assert_eq!(Request::decode(&[]), Err(MessageError));
    }

    #[test]
    fn printing_a_request_shows_no_secret() {
        let text = alloc::format!("{:?}", requests());
        assert!(text.contains("Secret(1024 bytes)") && text.contains("Secret(192 bytes)"));
        assert!(!text.contains("97, 97") && !text.contains("5, 5, 5"));
    }
}
