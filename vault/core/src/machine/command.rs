//! What members ask the machine to do, and what it answers. Everything that the outcome depends on stands inside:
//! time and randomness too.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use countermark_bundle::identity::Name;
use countermark_tlog::size::TreeSize;
use serde::{Deserialize, Serialize};

use crate::account::AccountId;
use crate::machine::time::ReplicatedTime;
use crate::secret::Secret;

/// The most commands of a batch.
pub const BATCH_COMMANDS_MAX: usize = 512;
/// The most wraps of the backup key in a record.
pub const WRAPS_MAX: usize = 4;
/// The most bytes of a wrap's ciphertext.
pub const WRAP_CIPHERTEXT_BYTES_MAX: usize = 128;
/// The most keys of token issuers of a fleet.
pub const ACCOUNT_ISSUERS_MAX: usize = 8;
/// The bytes of an OPAQUE setup: OPRF seed (64), key pair (32), the decoy's public key (32).
pub const SETUP_BYTES: usize = 128;
/// The bytes of an OPAQUE registration upload (RFC 9807 §5.1, ristretto255-SHA512): client key, masking key, envelope.
pub const UPLOAD_BYTES: usize = 192;
/// How many heads the machine remembers that were stapled before; a client whose floor is one of them gets a link.
pub const LINKS_MAX: usize = 16;

/// One entry of the replicated log: many commands under one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The median of a majority's clocks. The machine's time never goes back, whatever stands here.
    pub now: ReplicatedTime,
    /// Applied in this order; at most [`BATCH_COMMANDS_MAX`].
    pub commands: Vec<Command>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Begin: the first one is obeyed, every other one refused.
    Found(Founding),
    /// Staple this bundle from now on. The machine verifies it itself.
    Adopt(Adoption),
    /// Something about one user.
    Account {
        /// The user.
        account: AccountId,
        /// What about them.
        operation: Operation,
    },
    /// Nothing but the time: what is due is done.
    Tick,
}

/// What a fleet begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// The trust file that bundles are verified with, byte for byte.
    pub trust: Vec<u8>,
    /// Which fleet of the statement this is.
    pub fleet_id: Name,
    /// The OPAQUE setup under which passwords of accounts without a record are evaluated: [`SETUP_BYTES`] bytes.
    pub decoy_setup: Secret,
    /// Whose account tokens count on every member, sorted; at most [`ACCOUNT_ISSUERS_MAX`]. The machine does not look at
    /// tokens: a member that is configured with others than its fleet serves nobody.
    pub account_issuers: Vec<AccountIssuer>,
    /// How long trust in a new record, a deletion without a login and a new start after exhaustion have to wait.
    pub cool_off_seconds: u64,
}

/// A key under which account tokens count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountIssuer {
    /// The issuer, as it stands in a token's `iss`.
    pub issuer: String,
    /// Its Ed25519 key.
    pub public_key: [u8; 32],
}

/// A bundle and the proofs that lead to its head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    /// The validation bundle, byte for byte.
    pub bundle: Vec<u8>,
    /// Consistency links from heads stapled before, byte for byte; at most [`LINKS_MAX`].
    pub links: Vec<Vec<u8>>,
}

/// The name of one charged guess: 16 random bytes, made by the member that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptId(pub [u8; 16]);

/// The name of one enrolment: 16 random bytes, made by the member that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RegistrationId(pub [u8; 16]);

/// Something about one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Spend one guess. Only the answer to this contains what a password is evaluated with.
    Charge {
        /// Its name.
        attempt: AttemptId,
    },
    /// The guess was right, on the active record.
    Succeed {
        /// Which guess.
        attempt: AttemptId,
    },
    /// The guess was wrong, or will never be known to be right.
    Fail {
        /// Which guess.
        attempt: AttemptId,
    },
    /// Keep this record as pending: nobody can guess against it.
    Enrol {
        /// Its name.
        registration: RegistrationId,
        /// The record.
        record: Arc<Record>,
    },
    /// Spend the one evaluation that a pending record has.
    Try {
        /// Which pending record.
        registration: RegistrationId,
    },
    /// The pending record was opened with its password: it may become the active one.
    Confirm {
        /// Which pending record.
        registration: RegistrationId,
        /// The successful guess on the active record, in the same session, that makes waiting unnecessary.
        login: Option<AttemptId>,
    },
    /// Forget the user's records.
    Delete {
        /// The successful guess on the active record, in the same session, that makes waiting unnecessary.
        login: Option<AttemptId>,
    },
}

/// What one password opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The OPAQUE setup made for this record alone, [`SETUP_BYTES`] bytes: erasing the record erases the key that its
    /// password was hardened with.
    pub setup: Secret,
    /// The client's registration upload, [`UPLOAD_BYTES`] bytes.
    pub upload: Secret,
    /// The backup key, wrapped; 1 to [`WRAPS_MAX`].
    pub wraps: Vec<Wrap>,
}

/// By what a wrapped backup key is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WrapKind {
    /// The vault password: OPAQUE's export key.
    VaultPassword,
    /// A key of 64 digits that the user wrote down.
    DigitKey,
    /// A passkey, by WebAuthn's PRF extension.
    Passkey,
}

/// The backup key, encrypted by the client for itself. The vault cannot open it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrap {
    /// By what it is opened.
    pub kind: WrapKind,
    /// The commitment to the backup key: a client refuses a key that does not have it.
    pub commitment: [u8; 32],
    /// The nonce and the ciphertext, at most [`WRAP_CIPHERTEXT_BYTES_MAX`] bytes.
    pub ciphertext: Vec<u8>,
}

/// The machine's answer to one command, in the command's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// It was done, and there is nothing more to say.
    Done,
    /// A guess was spent: now, and only now, a password may be evaluated, once.
    Charged {
        /// How many guesses are left after this one.
        attempts_left: u32,
        /// What it is evaluated with.
        evaluation: Evaluation,
    },
    /// The guess was right.
    Succeeded {
        /// The budget, full again.
        attempts_left: u32,
        /// The backup key, wrapped.
        wraps: Vec<Wrap>,
    },
    /// The guess was wrong.
    Failed {
        /// How many guesses are left.
        attempts_left: u32,
    },
    /// The pending record may be evaluated, once.
    Tried {
        /// It.
        record: Arc<Record>,
    },
    /// The pending record was confirmed.
    Confirmed {
        /// When it is or becomes the active one; `None` if it is already.
        waits_until: Option<ReplicatedTime>,
    },
    /// Deletion was asked for.
    Deleted {
        /// When it happens; `None` if it did already.
        waits_until: Option<ReplicatedTime>,
    },
    /// Nothing was changed.
    Refused(Refusal),
}

/// What a password is evaluated with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evaluation {
    /// The user's active record.
    Record(Arc<Record>),
    /// There is no active record: the setup of decoys. The client must not see a difference before it fails.
    Decoy(Secret),
}

/// Why nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The first command was not [`Command::Found`].
    #[error("the fleet is not founded")]
    NotFounded,
    /// A second [`Command::Found`].
    #[error("the fleet is founded already")]
    FoundedAlready,
    /// A trust file that is none, a setup of the wrong size.
    #[error("the founding is malformed")]
    MalformedFounding,
    /// No bundle was adopted yet, or it states that this fleet does not serve.
    #[error("no adopted bundle states that this fleet serves")]
    NotServing,
    /// A draining fleet only gives back.
    #[error("the fleet is draining: it takes no new records")]
    Draining,
    /// The bundle did not verify.
    #[error("the bundle is not believed (class {class})")]
    Distrust {
        /// The exit class of the distrust, as in `ExitClass::code`.
        class: u8,
    },
    /// The bundle does not state this fleet.
    #[error("the bundle does not state this fleet")]
    OtherFleet,
    /// A link that is none or does not lead from a head stapled before to the bundle's.
    #[error("the link from size {from} does not lead to the bundle's head")]
    Link {
        /// From where it claims to lead; 0 if it cannot be read.
        from: u64,
    },
    /// The last guess is being evaluated, or was lost.
    #[error("no attempt is left")]
    NoAttemptLeft,
    /// All guesses were spent and the record is erased.
    #[error("all attempts were spent; a new record can be made from {until} on")]
    Exhausted {
        /// From when a new record may be made.
        until: ReplicatedTime,
    },
    /// The guess is unknown, was answered already, or took too long.
    #[error("there is no such attempt")]
    UnknownAttempt,
    /// The pending record is unknown, replaced, or took too long.
    #[error("there is no such pending record")]
    UnknownRegistration,
    /// The pending record was evaluated already.
    #[error("the pending record was tried already")]
    TriedAlready,
    /// The pending record was confirmed without having been tried.
    #[error("the pending record was not tried yet")]
    NotTried,
    /// The login is unknown, too old, or about a record that is gone.
    #[error("there is no such login")]
    UnknownLogin,
    /// A record of the wrong size.
    #[error("the record is malformed")]
    MalformedRecord,
    /// More users than a fleet takes.
    #[error("the fleet has no room for another account")]
    Full,
    /// Too many guesses of one user are being evaluated.
    #[error("too many attempts of this account are under way")]
    TooManyUnderWay,
    /// More than [`BATCH_COMMANDS_MAX`] commands in one batch.
    #[error("the batch is too long")]
    BatchTooLong,
}

/// A head that was stapled before, and how it leads to the stapled one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StapledHead {
    /// Its size.
    pub(super) size: u64,
    /// Its root.
    pub(super) root: [u8; 32],
    /// The link to the head stapled now, byte for byte; none if the log did not give one.
    pub(super) link: Option<Vec<u8>>,
}

impl StapledHead {
    /// Its size as a tree's.
    pub(super) fn tree_size(&self) -> Option<TreeSize> {
        TreeSize::new(self.size)
    }
}
