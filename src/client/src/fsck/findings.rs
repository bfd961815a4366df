//! What is wrong, by name, the first hundred of it.

use countermark_bundle::ExitClass;
use countermark_tlog::entry_bundle::EntryBundleError;
use countermark_tlog::recompute::{Difference, Disagreement};
use countermark_tlog::tile::{TILE_WIDTH, TileCoord, TilePath};
use serde::{Serialize, Serializer};

use crate::fetch::FetchError;

/// The most findings that are named; the rest is counted.
pub const FINDINGS_MAX: usize = 100;

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// There is no such entry bundle.
    BundleMissing,
    /// The entry bundle could not be read.
    BundleUnreadable,
    /// Bytes that are no bundle of this width.
    BundleMalformed,
    /// Entries are others than those that the hash tiles, and the tiles over them, were made of.
    BundleDiffers,
    /// There is no such hash tile.
    TileMissing,
    /// The hash tile could not be read.
    TileUnreadable,
    /// Not 32 bytes for each hash.
    TileMalformed,
    /// Hashes are made by nothing that lies below them.
    TileDiffers,
    /// Entries and their hash tile differ, and nothing over them says which is right.
    BundleOrTileDiffers,
    /// The entries make another root than the checkpoint's.
    RootDiffers,
    /// The entries make another root than one known before.
    KnownHeadDiffers,
    /// Nothing was there for so long that the rest was not looked at.
    EndedEarly,
}

impl Rule {
    /// Its stable name, as reports have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BundleMissing => "bundle-missing",
            Self::BundleUnreadable => "bundle-unreadable",
            Self::BundleMalformed => "bundle-malformed",
            Self::BundleDiffers => "bundle-differs",
            Self::TileMissing => "tile-missing",
            Self::TileUnreadable => "tile-unreadable",
            Self::TileMalformed => "tile-malformed",
            Self::TileDiffers => "tile-differs",
            Self::BundleOrTileDiffers => "bundle-or-tile-differs",
            Self::RootDiffers => "root-differs",
            Self::KnownHeadDiffers => "known-head-differs",
            Self::EndedEarly => "ended-early",
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub rule: Rule,
    /// The class of the failure.
    #[serde(serialize_with = "shown_class")]
    pub class: ExitClass,
    /// Where, as a path below the log's prefix; `checkpoint` for what is about the whole.
    pub path: String,
    /// The first entry that is below it.
    pub first_entry: u64,
    /// The last entry that is below it; that of the tree if it is about the whole.
    pub last_entry: u64,
    /// What exactly, for a person.
    pub detail: String,
}

/// Findings in the making.
#[derive(Default)]
pub(super) struct Findings {
    pub named: Vec<Finding>,
    pub omitted: u64,
    /// The gravest class of all, also of those that are not named.
    pub gravest: Option<ExitClass>,
    /// How many are about bundles, and how many about tiles.
    pub bundles: u64,
    pub tiles: u64,
}

impl Findings {
    pub fn add(&mut self, finding: Finding) {
        self.gravest = Some(graver(self.gravest, finding.class));
        match finding.rule {
            Rule::BundleMissing | Rule::BundleUnreadable | Rule::BundleMalformed | Rule::BundleDiffers => {
                self.bundles += 1;
            }
            Rule::TileMissing | Rule::TileUnreadable | Rule::TileMalformed | Rule::TileDiffers => self.tiles += 1,
            Rule::BundleOrTileDiffers => {
                self.bundles += 1;
                self.tiles += 1;
            }
            Rule::RootDiffers | Rule::KnownHeadDiffers | Rule::EndedEarly => {}
        }
        if self.named.len() < FINDINGS_MAX {
            self.named.push(finding);
        } else {
            self.omitted += 1;
        }
    }

    /// Puts them in the order of entries. What was read is found before what was compared.
    pub fn sort(&mut self) {
        self.named.sort_by_key(|finding| finding.first_entry);
    }

    /// Takes what was found after all of this.
    pub fn append(&mut self, later: Self) {
        let Self { named, omitted, gravest, bundles, tiles } = later;
        let room = FINDINGS_MAX.saturating_sub(self.named.len()).min(named.len());
        self.omitted += omitted + u64::try_from(named.len() - room).unwrap_or(u64::MAX);
        self.named.extend(named.into_iter().take(room));
        self.gravest = gravest.map(|class| graver(self.gravest, class)).or(self.gravest);
        self.bundles += bundles;
        self.tiles += tiles;
    }

    pub fn unread(&mut self, what: TilePath, error: &FetchError) {
        let rule = match (what, error.is_not_found(), error.exit_class() == ExitClass::Malformed) {
            (TilePath::Entries(_), true, _) => Rule::BundleMissing,
            (TilePath::Entries(_), false, false) => Rule::BundleUnreadable,
            (TilePath::Entries(_), false, true) => Rule::BundleMalformed,
            (TilePath::Hashes(_), true, _) => Rule::TileMissing,
            (TilePath::Hashes(_), false, false) => Rule::TileUnreadable,
            (TilePath::Hashes(_), false, true) => Rule::TileMalformed,
        };
        self.add(about(rule, error.exit_class(), what, error.to_string()));
    }

    pub fn malformed_bundle(&mut self, bundle: TileCoord, error: EntryBundleError) {
        self.add(about(Rule::BundleMalformed, ExitClass::Malformed, TilePath::Entries(bundle), error.to_string()));
    }

    pub fn malformed_tile(&mut self, tile: TileCoord, found: usize) {
        let detail = format!("the tile has {found} bytes, expected {}", tile.byte_count());
        self.add(about(Rule::TileMalformed, ExitClass::Malformed, TilePath::Hashes(tile), detail));
    }

    pub fn disagreement(&mut self, disagreement: Disagreement) {
        let entries = |bundle: TileCoord, Difference { first, count }| {
            let first = first_entry(bundle) + u64::from(first);
            format!("{count} of {} entries, the first is entry {first}", bundle.width())
        };
        self.add(match disagreement {
            Disagreement::Bundle { bundle, at } => {
                let detail = format!("{} differ from what the tiles above were made of", entries(bundle, at));
                about(Rule::BundleDiffers, ExitClass::Proof, TilePath::Entries(bundle), detail)
            }
            Disagreement::Tile { tile, at: Difference { first, count } } => {
                let detail = format!(
                    "{count} of {} hashes, the first at position {first}, are not what lies below them makes",
                    tile.width()
                );
                about(Rule::TileDiffers, ExitClass::Proof, TilePath::Hashes(tile), detail)
            }
            Disagreement::BundleOrTile { place, at } => {
                let detail = format!(
                    "{} differ from {}, and nothing above says which is right",
                    entries(place, at),
                    place.path()
                );
                about(Rule::BundleOrTileDiffers, ExitClass::Proof, TilePath::Entries(place), detail)
            }
        });
    }
}

/// The first entry below a tile or in a bundle.
fn first_entry(tile: TileCoord) -> u64 {
    tile.index().saturating_mul(entries_of_a_tile(tile.level()))
}

/// The entries below a full tile of a level.
fn entries_of_a_tile(level: u8) -> u64 {
    u64::from(TILE_WIDTH).saturating_pow(u32::from(level).saturating_add(1))
}

fn about(rule: Rule, class: ExitClass, what: TilePath, detail: String) -> Finding {
    let (path, tile) = match what {
        TilePath::Entries(bundle) => (bundle.entries_path(), bundle),
        TilePath::Hashes(tile) => (tile.path(), tile),
    };
    let first_entry = first_entry(tile);
    let below_each = entries_of_a_tile(tile.level()) / u64::from(TILE_WIDTH);
    let last_entry = first_entry.saturating_add(below_each.saturating_mul(tile.width().into())).saturating_sub(1);
    Finding { rule, class, path, first_entry, last_entry, detail }
}

/// The class that says more: what contradicts the log's word, then what has no form, then what is not there.
fn graver(one: Option<ExitClass>, other: ExitClass) -> ExitClass {
    let weight = |class: ExitClass| match class {
        ExitClass::Fork => 5,
        ExitClass::Proof => 4,
        ExitClass::Malformed => 3,
        ExitClass::NotChecked => 2,
        ExitClass::Unreachable => 1,
        ExitClass::OurFault
        | ExitClass::Usage
        | ExitClass::Quorum
        | ExitClass::Stale
        | ExitClass::Rollback
        | ExitClass::Revoked
        | ExitClass::NotActive
        | ExitClass::UnknownAuthority
        | ExitClass::RefusedByPolicy => 0,
    };
    one.filter(|one| weight(*one) >= weight(other)).unwrap_or(other)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `serialize_with` hands over a reference")]
fn shown_class<S: Serializer>(class: &ExitClass, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(class.as_str())
}
