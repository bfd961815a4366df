//! How a head that a peer shows stands to our newest, by the log's tiles and, where they do not say, by the peer.

use std::collections::BTreeMap;

use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::fork::{RelateError, Relation, RelationPlan};
use countermark_tlog::tile::TileCoord;
use reqwest::Url;

use super::Round;
use super::peer::FetchError;
use crate::conviction::ConvictError;
use crate::ports::{Clock, ForkStore, HeadState};

impl<Store: ForkStore, Time: Clock> Round<Store, Time> {
    /// Relates an authentic head of another size to our newest. Without a newest there is nothing to contradict.
    pub(super) async fn relate_to_newest(
        &self,
        head: &SignedCheckpoint,
        peer: Option<&Url>,
    ) -> Result<(), ConvictError> {
        let origin = &head.checkpoint().origin;
        let HeadState::Cosigned(newest) = self.witness.store.read(origin).await? else { return Ok(()) };
        let ours = SignedCheckpoint::parse_allowing_extensions(&newest.checkpoint)
            .map_err(|source| ConvictError::Stored { origin: origin.clone(), source })?;
        match self.relate(&ours, head).await? {
            Relation::Same | Relation::Grown => return Ok(()),
            Relation::Fork(evidence) => return self.witness.convict(*evidence).await.map(drop),
            Relation::Unresolved => {}
        }
        // The tiles are not those of the larger head: the other face is shown to us, or none. The peer keeps every head
        // that it cosigned; one of our size, signed by the log, settles it without any tile.
        if let Some(peer) = peer
            && let Ok(Some(theirs)) = self.client.head_at(peer, origin, newest.id.size).await
            && let countermark_tlog::gossip::Verdict::Fork(_) = self.witness.hear(&theirs).await?
        {
            return Ok(());
        }
        crate::metrics::unresolved();
        let (found, peer) = (head.checkpoint(), peer.map(Url::as_str));
        tracing::warn!(
            %origin, peer, size = %found.size, root = %found.root, newest = %newest.id.size,
            "gossip: UNRESOLVED: the log signed a head that its tiles do not relate to our newest; retried in every round"
        );
        Ok(())
    }

    /// Tiles that cannot be fetched say nothing: unresolved.
    async fn relate(&self, ours: &SignedCheckpoint, head: &SignedCheckpoint) -> Result<Relation, ConvictError> {
        let (smaller, larger) =
            if ours.checkpoint().size < head.checkpoint().size { (ours, head) } else { (head, ours) };
        let plan = RelationPlan::new(smaller.checkpoint().size, larger.checkpoint().size).map_err(RelateError::Plan)?;
        let Some(log) = self.config.log_urls.get(head.checkpoint().origin.as_str()) else {
            return Ok(Relation::Unresolved);
        };
        match self.tiles(log, plan.tiles()).await {
            Ok(tiles) => Ok(plan.relate(smaller, larger, &tiles)?),
            Err(error) => {
                tracing::debug!(log = %log, %error, "gossip: a tile was not fetched");
                Ok(Relation::Unresolved)
            }
        }
    }

    async fn tiles(&self, log: &Url, tiles: &[TileCoord]) -> Result<BTreeMap<TileCoord, Vec<u8>>, FetchError> {
        let mut fetched = BTreeMap::new();
        for tile in tiles {
            fetched.insert(*tile, self.client.tile(log, *tile).await?);
        }
        Ok(fetched)
    }
}
