//! The quorum of a policy: a tree of thresholds, its truth for a set of witnesses, and how many faults it stands.
//!
//! Members name groups of earlier lines only and each name is a member at most once, so the tree is finite and no
//! witness line counts twice.

use alloc::vec;
use alloc::vec::Vec;

use crate::note::KeyName;

/// The most witnesses whose sets are enumerated: 2^16 sets.
pub const ANALYSED_WITNESSES_MAX: usize = 16;

/// How many faulty witnesses a quorum stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultTolerance {
    /// The witnesses that count, by name; the keys of one witness are one.
    pub witnesses: usize,
    /// The greatest f such that any two satisfying sets share more than f witnesses, and any f missing witnesses still
    /// leave a satisfying set.
    pub faults: usize,
}

/// Why a quorum's fault tolerance is not stated, or too small.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuorumAnalysisError {
    /// `quorum none`: there is nothing to tolerate faults of.
    #[error("the policy asks for no witnesses")]
    NoWitnesses,
    /// More witnesses than are enumerated.
    #[error("{found} witnesses, at most {ANALYSED_WITNESSES_MAX} can be analysed")]
    TooManyWitnesses {
        /// How many the quorum names.
        found: usize,
    },
    /// The keys of one witness stand in several groups, or in a group that asks for more than one of its members.
    #[error("the keys of witness {name} must stand in one `any` group, or one witness would count twice")]
    SplitWitness {
        /// The witness.
        name: KeyName,
    },
    /// Two satisfying sets share no witness: a log can show two histories although no witness is faulty.
    #[error("two satisfying sets of witnesses share no witness")]
    DisjointQuorums {
        /// One satisfying set.
        first: Vec<KeyName>,
        /// Another one, without any of the first.
        second: Vec<KeyName>,
    },
    /// Fewer faults than were asked for.
    #[error("the quorum tolerates {} faulty of {} witnesses, required are {required}", found.faults, found.witnesses)]
    TooFewFaults {
        /// Faults that must be tolerated.
        required: usize,
        /// What the quorum tolerates.
        found: FaultTolerance,
    },
}

/// A witness line or a group line, by its place among its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// A witness line.
    Witness(usize),
    /// A group line.
    Group(usize),
}

/// A group line: satisfied by at least `threshold` of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// 1 to the number of members.
    pub threshold: usize,
    /// Witnesses, and groups of earlier lines.
    pub members: Vec<Member>,
}

/// What the quorum line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// `quorum none`.
    None,
    /// A witness or a group.
    Member(Member),
}

/// The quorum line and the groups it may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quorum {
    /// What must be satisfied.
    pub root: Root,
    /// In the order of their lines.
    pub groups: Vec<Group>,
}

impl Quorum {
    /// Whether the witness lines for which `signed` holds satisfy the quorum.
    pub fn is_met(&self, signed: &dyn Fn(usize) -> bool) -> bool {
        match self.root {
            Root::None => true,
            Root::Member(root) => self.member_is_met(root, signed),
        }
    }

    fn member_is_met(&self, member: Member, signed: &dyn Fn(usize) -> bool) -> bool {
        match member {
            Member::Witness(line) => signed(line),
            Member::Group(index) => self.groups.get(index).is_some_and(|group| {
                let met = group.members.iter().filter(|&&member| self.member_is_met(member, signed)).count();
                met >= group.threshold
            }),
        }
    }

    /// States the tolerated faults; `names` are the key names of the witness lines.
    pub fn fault_tolerance(&self, names: &[&KeyName]) -> Result<FaultTolerance, QuorumAnalysisError> {
        let Root::Member(root) = self.root else { return Err(QuorumAnalysisError::NoWitnesses) };
        let mut witnesses = Witnesses { names: Vec::new(), of_line: vec![None; names.len()] };
        self.gather(root, None, names, &mut witnesses)?;
        let found = witnesses.names.len();
        if found > ANALYSED_WITNESSES_MAX {
            return Err(QuorumAnalysisError::TooManyWitnesses { found });
        }
        let satisfied = self.satisfying_sets(&witnesses);
        let shared = shared_min(&satisfied, found);
        let Some(faults_by_overlap) = shared.checked_sub(1) else {
            return Err(disjoint(&satisfied, &witnesses.names));
        };
        let faults = faults_by_overlap.min(missing_max(&satisfied, found));
        Ok(FaultTolerance { witnesses: found, faults })
    }

    /// Numbers the witnesses below `member` by name, and refuses one whose lines could count more than once.
    fn gather<'n>(
        &self,
        member: Member,
        parent: Option<usize>,
        names: &[&'n KeyName],
        witnesses: &mut Witnesses<'n>,
    ) -> Result<(), QuorumAnalysisError> {
        match member {
            Member::Witness(line) => {
                let Some(&name) = names.get(line) else { return Ok(()) };
                let place = witnesses.place(name, parent, self.is_any(parent))?;
                if let Some(of_line) = witnesses.of_line.get_mut(line) {
                    *of_line = Some(place);
                }
            }
            Member::Group(index) => {
                for &member in self.groups.get(index).map_or(&[][..], |group| &group.members) {
                    self.gather(member, Some(index), names, witnesses)?;
                }
            }
        }
        Ok(())
    }

    fn is_any(&self, group: Option<usize>) -> bool {
        group.and_then(|index| self.groups.get(index)).is_some_and(|group| group.threshold == 1)
    }

    /// For every set of witnesses, as a mask of their numbers, whether it satisfies the quorum.
    fn satisfying_sets(&self, witnesses: &Witnesses) -> Vec<bool> {
        let masks = 1_u32 << witnesses.names.len();
        let signed = |mask: u32, line: usize| {
            witnesses.of_line.get(line).copied().flatten().is_some_and(|witness| has(mask, witness))
        };
        (0..masks).map(|mask| self.is_met(&|line| signed(mask, line))).collect()
    }
}

/// The witnesses of a quorum: one for all lines with the same key name.
struct Witnesses<'n> {
    /// Name and group of each.
    names: Vec<(&'n KeyName, Option<usize>)>,
    /// The witness of each line, `None` where the quorum does not name the line.
    of_line: Vec<Option<usize>>,
}

impl<'n> Witnesses<'n> {
    fn place(&mut self, name: &'n KeyName, group: Option<usize>, any: bool) -> Result<usize, QuorumAnalysisError> {
        match self.names.iter().position(|(known, _)| *known == name) {
            None => {
                self.names.push((name, group));
                Ok(self.names.len().saturating_sub(1))
            }
            Some(place) if any && self.names.get(place).is_some_and(|(_, known)| *known == group) => Ok(place),
            Some(_) => Err(QuorumAnalysisError::SplitWitness { name: name.clone() }),
        }
    }
}

const fn has(mask: u32, witness: usize) -> bool {
    mask >> witness & 1 == 1
}

fn is_satisfied(satisfied: &[bool], mask: u32) -> bool {
    usize::try_from(mask).ok().and_then(|mask| satisfied.get(mask)).is_some_and(|satisfied| *satisfied)
}

fn all_of(witnesses: usize) -> u32 {
    (1_u32 << witnesses).saturating_sub(1)
}

fn masks(witnesses: usize) -> impl Iterator<Item = u32> {
    0..=all_of(witnesses)
}

fn count(mask: u32) -> usize {
    (0..ANALYSED_WITNESSES_MAX).filter(|&witness| has(mask, witness)).count()
}

/// The fewest witnesses that two satisfying sets share.
///
/// A satisfying set stays one when witnesses join, so the set that shares the fewest with S may be taken to hold
/// everything outside S. What it must still take from S is 0 if the outside suffices, and otherwise one witness x
/// plus what it must take from S without x.
fn shared_min(satisfied: &[bool], witnesses: usize) -> usize {
    let mut shared: Vec<usize> = Vec::with_capacity(satisfied.len());
    let mut least = witnesses;
    for set in masks(witnesses) {
        let outside = all_of(witnesses) & !set;
        let fewest = if is_satisfied(satisfied, outside) {
            0
        } else {
            let without = (0..witnesses).filter(|&witness| has(set, witness)).map(|witness| set & !(1 << witness));
            let rest = without.filter_map(|set| usize::try_from(set).ok().and_then(|set| shared.get(set)).copied());
            rest.min().unwrap_or(0).saturating_add(1)
        };
        shared.push(fewest);
        if is_satisfied(satisfied, set) {
            least = least.min(fewest);
        }
    }
    least
}

/// The most witnesses that may be missing, whichever they are.
fn missing_max(satisfied: &[bool], witnesses: usize) -> usize {
    let largest_failing = masks(witnesses).filter(|&set| !is_satisfied(satisfied, set)).map(count).max();
    let needed = largest_failing.map_or(0, |largest| largest.saturating_add(1));
    witnesses.saturating_sub(needed)
}

fn disjoint(satisfied: &[bool], names: &[(&KeyName, Option<usize>)]) -> QuorumAnalysisError {
    let all = all_of(names.len());
    let found = masks(names.len()).find(|&set| is_satisfied(satisfied, set) && is_satisfied(satisfied, all & !set));
    let first = found.unwrap_or(0);
    let members_of = |set: u32| {
        let members = names.iter().enumerate().filter(|(witness, _)| has(set, *witness));
        members.map(|(_, (name, _))| (*name).clone()).collect()
    };
    QuorumAnalysisError::DisjointQuorums { first: members_of(first), second: members_of(all & !first) }
}

#[cfg(test)]
mod tests;
