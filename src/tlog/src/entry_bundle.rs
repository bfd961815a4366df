//! Entry bundles: up to 256 log entries in a row, each behind its length.
//!
//! A bundle says nothing of its own; its entries hash to the level 0 tile of the same index and width.
//!
//! Source: <https://c2sp.org/tlog-tiles>, Log entries.

use alloc::vec::Vec;

use crate::tile::TILE_WIDTH;

/// The most bytes of an entry, as its length is a 16-bit number.
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// Why entries make no bundle, or bytes are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryBundleError {
    /// An entry is longer than [`ENTRY_BYTES_MAX`].
    #[error("entry {position} has {found} bytes, more than 65535")]
    EntryTooLong {
        /// The entry's position in the bundle, from 0.
        position: usize,
        /// Its bytes.
        found: usize,
    },
    /// More than 256 entries to encode.
    #[error("a bundle has at most 256 entries")]
    TooManyEntries,
    /// A width outside 1 to 256; also no entries to encode.
    #[error("a bundle has 1 to 256 entries, asked for {found}")]
    Width {
        /// The width asked for.
        found: u16,
    },
    /// The bytes end before the last entry does.
    #[error("the bundle ends inside entry {position} of {width}")]
    Truncated {
        /// The position of the entry that is not whole, from 0.
        position: u16,
        /// The width asked for.
        width: u16,
    },
    /// Bytes follow the last entry.
    #[error("{found} bytes follow the last of {width} entries")]
    Trailing {
        /// Bytes left.
        found: usize,
        /// The width asked for.
        width: u16,
    },
}

/// Writes 1 to 256 entries of at most [`ENTRY_BYTES_MAX`] bytes each.
pub fn encode<'a>(entries: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, EntryBundleError> {
    let mut bytes = Vec::new();
    for (position, entry) in entries.enumerate() {
        if position >= usize::from(TILE_WIDTH) {
            return Err(EntryBundleError::TooManyEntries);
        }
        // SPEC: C2SP tlog-tiles, Log entries: big-endian uint16 length-prefixed entries.
        let length =
            u16::try_from(entry.len()).map_err(|_| EntryBundleError::EntryTooLong { position, found: entry.len() })?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    if bytes.is_empty() {
        // SPEC: C2SP tlog-tiles, Partial Tiles: empty tiles are never served.
        return Err(EntryBundleError::Width { found: 0 });
    }
    Ok(bytes)
}

/// Reads a bundle of exactly `width` entries, with nothing after them.
pub fn decode(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, EntryBundleError> {
    let mut entries = Vec::with_capacity(usize::from(width.min(TILE_WIDTH)));
    for entry in self::entries(bytes, width)? {
        entries.push(entry?);
    }
    Ok(entries)
}

/// Reads a bundle of exactly `width` entries where it lies. Whether it is one is known at the end: the item of an
/// entry that is not whole is an error, and so is one after the last entry if bytes follow it. An error is the last item.
///
/// Errors: [`EntryBundleError::Width`].
pub fn entries(bytes: &[u8], width: u16) -> Result<Entries<'_>, EntryBundleError> {
    if !(1..=TILE_WIDTH).contains(&width) {
        return Err(EntryBundleError::Width { found: width });
    }
    Ok(Entries { rest: bytes, position: 0, width })
}

/// The entries of a bundle, made by [`entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
    position: u16,
    width: u16,
}

impl<'a> Entries<'a> {
    fn next_entry(&mut self) -> Option<&'a [u8]> {
        let (length, after) = self.rest.split_first_chunk::<2>()?;
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.rest = after;
        Some(entry)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<&'a [u8], EntryBundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (position, width) = (self.position, self.width);
        if position < width {
            let entry = self.next_entry();
            // After an error nothing is left to be read, nor to be complained about.
            self.position = if entry.is_some() { position.saturating_add(1) } else { u16::MAX };
            return Some(entry.ok_or(EntryBundleError::Truncated { position, width }));
        }
        let trailing = position == width && !self.rest.is_empty();
        self.position = u16::MAX;
        trailing.then_some(Err(EntryBundleError::Trailing { found: self.rest.len(), width }))
    }
}

#[cfg(test)]
mod tests;
