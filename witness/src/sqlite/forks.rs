//! Fork evidence in SQLite, and the heads ever cosigned.

use countermark_tlog::checkpoint::Origin;
use countermark_tlog::fork::{ForkId, VerifiedForkEvidence};
use countermark_tlog::gossip::FORK_IDS_MAX;
use countermark_tlog::hash::Hash;
use countermark_tlog::size::TreeSize;

use super::{SqliteHeads, column, read_error, write_error};
use crate::ports::{FORKS_OF_A_LOG_MAX, ForkStore, Kept, StoreError, UnixSeconds};

impl ForkStore for SqliteHeads {
    async fn fork_of(&self, origin: &Origin) -> Result<Option<ForkId>, StoreError> {
        let id: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT id FROM fork WHERE origin = ? ORDER BY found_at, id LIMIT 1")
                .bind(origin.as_str())
                .fetch_optional(&self.pool)
                .await
                .map_err(read_error)?;
        id.map(|id| fork_id(&id)).transpose()
    }

    async fn keep_fork(&self, evidence: &VerifiedForkEvidence, found_at: UnixSeconds) -> Result<Kept, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(write_error)?;
        let (id, origin) = (evidence.id(), evidence.origin().as_str());
        let is_kept: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM fork WHERE id = ?)")
            .bind(id.0.as_bytes().as_slice())
            .fetch_one(&mut *transaction)
            .await
            .map_err(read_error)?;
        let of_this_log: i64 = sqlx::query_scalar("SELECT count(*) FROM fork WHERE origin = ?")
            .bind(origin)
            .fetch_one(&mut *transaction)
            .await
            .map_err(read_error)?;
        if is_kept {
            return Ok(Kept::Already);
        }
        if usize::try_from(of_this_log).is_ok_and(|found| found >= FORKS_OF_A_LOG_MAX) {
            return Ok(Kept::Enough);
        }
        sqlx::query("INSERT INTO fork (id, origin, found_at, evidence) VALUES (?, ?, ?, ?)")
            .bind(id.0.as_bytes().as_slice())
            .bind(origin)
            .bind(column(found_at.get()))
            .bind(evidence.to_bytes())
            .execute(&mut *transaction)
            .await
            .map_err(write_error)?;
        transaction.commit().await.map_err(write_error)?;
        Ok(Kept::New)
    }

    async fn fork(&self, id: ForkId) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT evidence FROM fork WHERE id = ?")
            .bind(id.0.as_bytes().as_slice())
            .fetch_optional(&self.pool)
            .await
            .map_err(read_error)
    }

    async fn forks(&self) -> Result<Vec<ForkId>, StoreError> {
        let most = i64::try_from(FORK_IDS_MAX).unwrap_or(i64::MAX);
        let ids: Vec<Vec<u8>> = sqlx::query_scalar("SELECT id FROM fork ORDER BY found_at DESC, id LIMIT ?")
            .bind(most)
            .fetch_all(&self.pool)
            .await
            .map_err(read_error)?;
        ids.iter().map(|id| fork_id(id)).collect()
    }

    async fn cosigned_at(&self, origin: &Origin, size: TreeSize) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT checkpoint FROM cosigned_head WHERE origin = ? AND size = ?")
            .bind(origin.as_str())
            .bind(column(size.get()))
            .fetch_optional(&self.pool)
            .await
            .map_err(read_error)
    }
}

fn fork_id(bytes: &[u8]) -> Result<ForkId, StoreError> {
    Hash::from_slice(bytes).map(ForkId).map_err(|error| StoreError::Read(Box::new(error)))
}

#[cfg(test)]
mod tests;
