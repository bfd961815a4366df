//! The head register as objects of an S3-compatible store: the same documents as the files', under the same names.
//!
//! It is not a lock: two processes may both believe that they are the writer, and the store's condition decides.
//!
//! Invariant: an object is replaced as a whole, by compare-and-swap on its entity tag. An entity tag can be a digest of
//! the content, so two equal contents have equal tags; that is harmless, as a head is never registered again after a
//! larger one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countermark_tlog::checkpoint::Origin;
use thiserror::Error;

use super::document;
use crate::objects::access::{Access, AccessError};
use crate::objects::bucket::Bucket;
use crate::objects::location::BucketName;
use crate::objects::{Object, Objects, ObjectsFault, SwapError, Tag};
use crate::ports::{HeadRegister, PortFault, PortFuture, PortName, RegisterError, StoredHead};

/// How long one call may take: a commit waits for it.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// What [`ObjectRegister::open`] tries conditions on. It is no log's: those have names of 64 digits.
const PROBE: &str = "conditions-are-honoured";
const PROBE_CONTENT: &[u8] = b"conditional writes were tried here\n";

/// Why the register was not opened.
#[derive(Debug, Error)]
pub enum OpenObjectRegisterError {
    /// There is no access to the store.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The store failed, or there is no such bucket.
    #[error(transparent)]
    Fault(#[from] ObjectsFault),
    /// The store writes what it was told not to: a fork would not be noticed.
    #[error("the object store at {bucket:?} ignores If-None-Match or If-Match; it cannot hold a head register")]
    Unconditional {
        /// The bucket.
        bucket: String,
    },
}

/// Why an object of the register is not one.
#[derive(Debug, Error)]
enum ObjectRegisterFault {
    #[error(transparent)]
    Store(#[from] ObjectsFault),
    #[error("the object {key:?} is damaged")]
    Damaged { key: String },
}

/// A head register in a bucket.
#[derive(Debug, Clone)]
pub struct ObjectRegister {
    objects: Arc<dyn Objects>,
}

impl ObjectRegister {
    /// Opens the register in a bucket, and makes sure that the store honours conditions. With no file of credentials the
    /// environment's are taken.
    pub async fn open(name: &BucketName, credentials: Option<&Path>) -> Result<Self, OpenObjectRegisterError> {
        let access = Access::read(credentials)?;
        let objects: Arc<dyn Objects> = Arc::new(Bucket::open(name, &access, CALL_TIMEOUT)?);
        if !honours_conditions(objects.as_ref()).await? {
            return Err(OpenObjectRegisterError::Unconditional { bucket: name.bucket().to_owned() });
        }
        Ok(Self { objects })
    }

    /// Trusts that the objects honour conditions.
    #[cfg(test)]
    pub(crate) fn over(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    /// The head with the object that it was read from.
    async fn find(&self, origin: &Origin) -> Result<Option<(StoredHead, Object)>, ObjectRegisterFault> {
        let key = document::name(origin);
        let bytes_max = usize::try_from(document::BYTES_MAX).unwrap_or(usize::MAX);
        let Some(object) = self.objects.get(&key, bytes_max).await? else { return Ok(None) };
        let head = document::parse(origin, &object.bytes).ok_or(ObjectRegisterFault::Damaged { key })?;
        Ok(Some((head, object)))
    }

    async fn swap(
        &self,
        origin: &Origin,
        expected: Option<&StoredHead>,
        head: &StoredHead,
    ) -> Result<Option<Conflict>, ObjectRegisterFault> {
        // 1. What is registered, with its tag. A crash here has changed nothing.
        let (found, tag) = self.find(origin).await?.map(|(head, object)| (head, object.tag)).unzip();
        if found.as_ref() != expected {
            return Ok(Some(Conflict { found }));
        }
        // 2. The new head, if the tag is still that. The store does it whole or not at all. A crash before it leaves the old
        //    head, after it the new one; the database has both, and the new one's signature has not left the process. A
        //    request that arrives after its deadline finds its tag gone if anything was registered since.
        match self.objects.swap(&document::name(origin), tag.as_ref(), document::write(origin, head)).await {
            Ok(()) => Ok(None),
            // Somebody was faster: nothing of ours was written.
            Err(SwapError::Conflict) => Ok(Some(Conflict { found: self.find(origin).await?.map(|(head, _)| head) })),
            // Nobody knows whether it was written. The caller reads again.
            Err(SwapError::Fault(fault)) => Err(fault.into()),
        }
    }
}

/// What was registered instead of what was expected.
struct Conflict {
    found: Option<StoredHead>,
}

/// Whether the store refuses to write where it was told that nothing is there, or something that never was.
async fn honours_conditions(objects: &dyn Objects) -> Result<bool, ObjectsFault> {
    let written = async |expected: Option<&Tag>| match objects.swap(PROBE, expected, PROBE_CONTENT.to_vec()).await {
        Ok(()) => Ok(true),
        Err(SwapError::Conflict) => Ok(false),
        Err(SwapError::Fault(fault)) => Err(fault),
    };
    // The first run writes the probe, every later one finds it.
    written(None).await?;
    Ok(!written(None).await? && !written(Some(&Tag::of_nothing())).await?)
}

fn fault(action: &'static str) -> impl Fn(ObjectRegisterFault) -> PortFault {
    move |source| PortFault { port: PortName::HeadRegister, action, source: Box::new(source) }
}

impl HeadRegister for ObjectRegister {
    fn read<'a>(&'a self, origin: &'a Origin) -> PortFuture<'a, Result<Option<StoredHead>, PortFault>> {
        Box::pin(async move {
            let found = self.find(origin).await.map_err(fault("read the registered head"))?;
            Ok(found.map(|(head, _)| head))
        })
    }

    fn compare_and_swap<'a>(
        &'a self,
        origin: &'a Origin,
        expected: Option<&'a StoredHead>,
        head: &'a StoredHead,
    ) -> PortFuture<'a, Result<(), RegisterError>> {
        Box::pin(async move {
            match self.swap(origin, expected, head).await.map_err(fault("register a head"))? {
                None => Ok(()),
                Some(Conflict { found }) => Err(RegisterError::Conflict { found }),
            }
        })
    }
}

#[cfg(test)]
mod tests;
