//! The log's rows and the hash chain over them.

use std::collections::BTreeMap;
use std::ops::RangeBounds;

use redb::{Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _};

use super::error::{StorageFault, StoragePart};
use super::rows::{Head, LOG, Link, next_link};
use super::seal::{Place, Sealer};
use crate::raft_types::{Entry, LogId};

/// The kept entries' names and the chain after each: what a row must match whenever it is read.
#[derive(Debug)]
pub(super) struct LogIndex {
    base: Link,
    entries: BTreeMap<u64, (LogId, Link)>,
}

/// What a durable transaction did to the log.
pub(super) enum LogChange {
    Nothing,
    Append(Vec<(LogId, Link)>),
    /// This entry and every later one is gone.
    Truncate(u64),
    /// This entry and every earlier one is gone; the chain starts here now.
    Purge(u64, Link),
}

impl LogIndex {
    /// Of an empty log.
    pub(super) fn new(base: Link) -> Self {
        Self { base, entries: BTreeMap::new() }
    }

    /// Reads and verifies the whole log: no entry is missing, changed, moved or too many, because the chain over the
    /// entries, each of which contains its index, ends where the head says.
    pub(super) fn load(transaction: &ReadTransaction, head: &Head, sealer: &Sealer) -> Result<Self, StorageFault> {
        let mut index = Self::new(head.base);
        let (mut link, mut last) = (head.base, head.purged);
        for row in transaction.open_table(LOG)?.iter()? {
            let (key, row) = row?;
            let (entry, after) = open_row(sealer, key.value(), row.value(), &link)?;
            link = after;
            last = Some(entry.log_id);
            index.entries.insert(key.value(), (entry.log_id, link));
        }
        if link == head.tip && last == head.last { Ok(index) } else { Err(CHANGED) }
    }

    /// The entries of a range, in their order, of about `bytes_max` bytes but at least one.
    pub(super) fn read(
        &self,
        database: &Database,
        sealer: &Sealer,
        range: impl RangeBounds<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, StorageFault> {
        let transaction = database.begin_read()?;
        let table = transaction.open_table(LOG)?;
        let (mut entries, mut bytes) = (Vec::new(), 0_usize);
        for (index, (log_id, link)) in self.entries.range(range) {
            let row = table.get(index)?.ok_or(CHANGED)?;
            bytes = bytes.saturating_add(row.value().len());
            if !entries.is_empty() && bytes > bytes_max {
                break;
            }
            let (entry, after) = open_row(sealer, *index, row.value(), &self.before(*index))?;
            if after != *link || entry.log_id != *log_id {
                return Err(CHANGED);
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The last kept entry before this index and the chain after it; without one, where the chain starts.
    pub(super) fn end_before(&self, index: u64) -> (Option<LogId>, Link) {
        self.entries.range(..index).next_back().map_or((None, self.base), |(_, (log_id, link))| (Some(*log_id), *link))
    }

    /// The indexes of a range that are kept.
    pub(super) fn kept(&self, range: impl RangeBounds<u64>) -> Vec<u64> {
        self.entries.range(range).map(|(index, _)| *index).collect()
    }

    /// Where the chain starts once everything up to `index` is purged; `None` if nothing is kept then.
    pub(super) fn base_after(&self, index: u64) -> Option<Link> {
        let kept = self.entries.range(..=index).next_back().map_or(self.base, |(_, (_, link))| *link);
        self.entries.keys().next_back().is_some_and(|last| *last >= index).then_some(kept)
    }

    /// Follows what was made durable.
    pub(super) fn follow(&mut self, change: LogChange) {
        match change {
            LogChange::Nothing => {}
            LogChange::Append(entries) => {
                self.entries.extend(entries.into_iter().map(|(log_id, link)| (log_id.index, (log_id, link))));
            }
            LogChange::Truncate(since) => drop(self.entries.split_off(&since)),
            LogChange::Purge(upto, base) => {
                self.base = base;
                self.entries.retain(|index, _| *index > upto);
            }
        }
    }

    fn before(&self, index: u64) -> Link {
        self.end_before(index).1
    }
}

const CHANGED: StorageFault = StorageFault::Changed(StoragePart::Log);

fn open_row(sealer: &Sealer, index: u64, row: &[u8], before: &Link) -> Result<(Entry, Link), StorageFault> {
    let plaintext =
        sealer.unseal(Place::Log { index }, row).map_err(|error| StorageFault::unsealing(error, StoragePart::Log))?;
    let entry: Entry = postcard::from_bytes(&plaintext).map_err(|_| CHANGED)?;
    if entry.log_id.index == index { Ok((entry, next_link(before, &plaintext))) } else { Err(CHANGED) }
}
