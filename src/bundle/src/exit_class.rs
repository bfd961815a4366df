//! One process exit code per class of failure, so that a script can tell them apart.

/// Why something was not verified, as a class. A verifier exits with 0 only if everything that was asked for was
/// verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitClass {
    /// Our own fault: an internal error, a disk that cannot be written.
    OurFault,
    /// The command line or a configuration is wrong.
    Usage,
    /// Bytes that are not in the documented format.
    Malformed,
    /// A signature or a Merkle proof does not verify.
    Proof,
    /// Fewer witnesses cosigned than the policy asks for.
    Quorum,
    /// The head is older than the limit, or something newer is known to exist.
    Stale,
    /// What was handed over is older than what was already verified.
    Rollback,
    /// Two heads of one log contradict each other.
    Fork,
    /// An epoch, a fleet or a key in use was revoked.
    Revoked,
    /// Certified, but not yet (or no longer) active.
    NotActive,
    /// Signed by keys that the trust file does not lead to.
    UnknownAuthority,
    /// Something that was asked for could not be checked.
    NotChecked,
    /// A policy refused.
    RefusedByPolicy,
    /// A service could not be reached.
    Unreachable,
}

impl ExitClass {
    /// The process exit code: 1, 2, or 10 to 21. Never 0.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::OurFault => 1,
            Self::Usage => 2,
            Self::Malformed => 10,
            Self::Proof => 11,
            Self::Quorum => 12,
            Self::Stale => 13,
            Self::Rollback => 14,
            Self::Fork => 15,
            Self::Revoked => 16,
            Self::NotActive => 17,
            Self::UnknownAuthority => 18,
            Self::NotChecked => 19,
            Self::RefusedByPolicy => 20,
            Self::Unreachable => 21,
        }
    }

    /// The class in words, as reports print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OurFault => "our fault",
            Self::Usage => "usage",
            Self::Malformed => "malformed",
            Self::Proof => "signature or proof",
            Self::Quorum => "quorum",
            Self::Stale => "stale",
            Self::Rollback => "rollback",
            Self::Fork => "fork",
            Self::Revoked => "revoked",
            Self::NotActive => "not active",
            Self::UnknownAuthority => "unknown authority",
            Self::NotChecked => "not checked",
            Self::RefusedByPolicy => "refused by policy",
            Self::Unreachable => "unreachable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ExitClass;

    #[test]
    fn every_class_has_its_documented_code_and_word() {
        for (class, code, word) in [
            (ExitClass::OurFault, 1, "our fault"),
            (ExitClass::Usage, 2, "usage"),
            (ExitClass::Malformed, 10, "malformed"),
            (ExitClass::Proof, 11, "signature or proof"),
            (ExitClass::Quorum, 12, "quorum"),
            (ExitClass::Stale, 13, "stale"),
            (ExitClass::Rollback, 14, "rollback"),
            (ExitClass::Fork, 15, "fork"),
            (ExitClass::Revoked, 16, "revoked"),
            (ExitClass::NotActive, 17, "not active"),
            (ExitClass::UnknownAuthority, 18, "unknown authority"),
            (ExitClass::NotChecked, 19, "not checked"),
            (ExitClass::RefusedByPolicy, 20, "refused by policy"),
            (ExitClass::Unreachable, 21, "unreachable"),
        ] {
            assert_eq!((class.code(), class.as_str()), (code, word));
        }
    }
}
