//! The sixteen steps, by number and by name.

/// The steps of a client's verification, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// 1 bounded parse.
    Parse,
    /// 2 the origin is the pinned one.
    Origin,
    /// 3 changes of authority since the trust file.
    Authority,
    /// 4 the checkpoint is signed by the log key in force.
    LogSignature,
    /// 5 the witness quorum, counted in witnesses.
    Quorum,
    /// 6 the head's time and age.
    HeadAge,
    /// 7 the floor and the consistency link.
    Floor,
    /// 8 every record's path; statement and activation present.
    Paths,
    /// 9 the tail is complete and changes nothing.
    Tail,
    /// 10 the certificate.
    Certificate,
    /// 11 the countersignature threshold.
    Countersignature,
    /// 12 the epoch against the floor.
    Epoch,
    /// 13 no revocation touches it.
    Revocation,
    /// 14 windows, lifetime, fleet status, key roles.
    Validity,
    /// 15 pinned keys.
    PinnedKeys,
    /// 16 the new floor is stored.
    Stored,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 16] = [
        Self::Parse,
        Self::Origin,
        Self::Authority,
        Self::LogSignature,
        Self::Quorum,
        Self::HeadAge,
        Self::Floor,
        Self::Paths,
        Self::Tail,
        Self::Certificate,
        Self::Countersignature,
        Self::Epoch,
        Self::Revocation,
        Self::Validity,
        Self::PinnedKeys,
        Self::Stored,
    ];

    /// 1 to 16.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Parse => 1,
            Self::Origin => 2,
            Self::Authority => 3,
            Self::LogSignature => 4,
            Self::Quorum => 5,
            Self::HeadAge => 6,
            Self::Floor => 7,
            Self::Paths => 8,
            Self::Tail => 9,
            Self::Certificate => 10,
            Self::Countersignature => 11,
            Self::Epoch => 12,
            Self::Revocation => 13,
            Self::Validity => 14,
            Self::PinnedKeys => 15,
            Self::Stored => 16,
        }
    }

    /// What the step checks, in a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Parse => "bounded parse",
            Self::Origin => "origin is the pinned one",
            Self::Authority => "changes of authority",
            Self::LogSignature => "log signature",
            Self::Quorum => "witness quorum",
            Self::HeadAge => "head age",
            Self::Floor => "floor and consistency",
            Self::Paths => "inclusion of every record",
            Self::Tail => "tail complete, changes nothing",
            Self::Certificate => "third-party certificate",
            Self::Countersignature => "operator countersignature",
            Self::Epoch => "epoch not below the floor",
            Self::Revocation => "no revocation touches it",
            Self::Validity => "validity, fleet status, key roles",
            Self::PinnedKeys => "pinned keys",
            Self::Stored => "new floor stored",
        }
    }
}
