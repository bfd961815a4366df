//! Objects in a bucket of an S3-compatible store.
//!
//! It never tries again by itself: a request that was sent twice could be refused for what its first copy did. Who asked
//! decides what to do after a fault.
//!
//! Conditions are entity tags (`If-Match`, `If-None-Match: *`), which every S3 has honoured on PUT since 2024. A server
//! that ignores them must not be used for a head register; [`crate::head_register::object`] finds that out at its start.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::{
    ClientOptions, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, RetryConfig, UpdateVersion,
};
use tokio::time::timeout;

use super::access::{Access, AccessError};
use super::location::BucketName;
use super::{Object, Objects, ObjectsFault, ObjectsFaultCause, SwapError, Tag};
use crate::ports::PortFuture;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one call may take unless told otherwise: a bundle of 16 MiB on a slow line.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// The code of the error document where there is no bucket.
const NO_BUCKET: &str = "NoSuchBucket";

/// A bucket, or what begins with a prefix in it.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    store: Arc<AmazonS3>,
    prefix: String,
    call_timeout: Duration,
}

impl Bucket {
    /// Names a bucket. Nothing is asked yet.
    pub(crate) fn open(name: &BucketName, access: &Access, call_timeout: Duration) -> Result<Self, AccessError> {
        // The one TLS provider of the process. An error means that it is installed already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let plain = access.endpoint_url.as_deref().is_some_and(|url| url.starts_with("http://"));
        let client = ClientOptions::new()
            .with_allow_http(plain)
            // Without TLS no root certificates are needed, and a system without any is no reason to fail.
            .with_no_system_certificates(plain)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(call_timeout);
        let once = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name.bucket())
            .with_client_options(client)
            .with_retry(once)
            .with_virtual_hosted_style_request(access.virtual_hosted)
            .with_skip_signature(access.anonymous)
            .with_conditional_put(S3ConditionalPut::ETagMatch);
        if let Some(region) = &access.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &access.endpoint_url {
            builder = builder.with_endpoint(endpoint);
        }
        if let (Some(id), Some(secret)) = (&access.key_id, &access.secret_access_key) {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret.as_str());
        }
        if let Some(token) = &access.session_token {
            builder = builder.with_token(token.as_str());
        }
        let store = Arc::new(builder.build().map_err(AccessError::Refused)?);
        Ok(Self { store, prefix: name.prefix().to_owned(), call_timeout })
    }

    fn path(&self, key: &str) -> Path {
        if self.prefix.is_empty() { Path::from(key) } else { Path::from(format!("{}/{key}", self.prefix)) }
    }

    /// One call with its deadline.
    async fn call<T>(
        &self,
        action: &'static str,
        key: &str,
        work: impl Future<Output = Result<T, ObjectsFaultCause>>,
    ) -> Result<T, ObjectsFault> {
        let late = ObjectsFaultCause::DeadlinePassed { seconds: self.call_timeout.as_secs() };
        let done = timeout(self.call_timeout, work).await.unwrap_or(Err(late));
        done.map_err(|source| ObjectsFault { action, key: key.to_owned(), source })
    }

    async fn read(&self, key: &str, bytes_max: usize) -> Result<Option<Object>, ObjectsFaultCause> {
        let found = match self.store.get(&self.path(key)).await {
            Ok(found) => found,
            // "No such bucket" is not "no such object", and the status is the same.
            Err(object_store::Error::NotFound { source, .. }) if !source.to_string().contains(NO_BUCKET) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if usize::try_from(found.meta.size).map_or(true, |size| size > bytes_max) {
            return Err(ObjectsFaultCause::TooLarge { bytes_max });
        }
        let tag = Tag(found.meta.e_tag.clone().ok_or(ObjectsFaultCause::NoTag)?);
        let bytes = found.bytes().await?.to_vec();
        Ok(Some(Object { bytes, tag }))
    }

    /// Whether it was written. `false`: the condition did not hold, and nothing was changed.
    async fn write_if(&self, key: &str, expected: Option<&Tag>, bytes: Vec<u8>) -> Result<bool, ObjectsFaultCause> {
        let mode = match expected {
            Some(Tag(tag)) => PutMode::Update(UpdateVersion { e_tag: Some(tag.clone()), version: None }),
            None => PutMode::Create,
        };
        match self.store.put_opts(&self.path(key), bytes.into(), PutOptions::from(mode)).await {
            Ok(_) => Ok(true),
            // 412, and 409 where another conditional write is under way: this one was not done.
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete_folder(&self, folder: &str) -> Result<(), ObjectsFaultCause> {
        let listed = self.store.list_with_delimiter(Some(&self.path(folder))).await?;
        for object in listed.objects {
            match self.store.delete(&object.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn list_folders(&self) -> Result<Vec<String>, ObjectsFaultCause> {
        let root = (!self.prefix.is_empty()).then(|| Path::from(self.prefix.as_str()));
        let listed = self.store.list_with_delimiter(root.as_ref()).await?;
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }
}

impl Objects for Bucket {
    fn get<'a>(&'a self, key: &'a str, bytes_max: usize) -> PortFuture<'a, Result<Option<Object>, ObjectsFault>> {
        Box::pin(self.call("read", key, self.read(key, bytes_max)))
    }

    fn put<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> PortFuture<'a, Result<(), ObjectsFault>> {
        Box::pin(self.call("write", key, async move {
            self.store.put(&self.path(key), bytes.into()).await?;
            Ok(())
        }))
    }

    /// A bucket is durable at once.
    fn settle(&self) -> PortFuture<'_, Result<(), ObjectsFault>> {
        Box::pin(async { Ok(()) })
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a Tag>,
        bytes: Vec<u8>,
    ) -> PortFuture<'a, Result<(), SwapError>> {
        Box::pin(async move {
            let written = self.call("replace", key, self.write_if(key, expected, bytes)).await?;
            if written { Ok(()) } else { Err(SwapError::Conflict) }
        })
    }

    fn remove_folder<'a>(&'a self, folder: &'a str) -> PortFuture<'a, Result<(), ObjectsFault>> {
        Box::pin(self.call("remove", folder, self.delete_folder(folder)))
    }

    fn folders(&self) -> PortFuture<'_, Result<Vec<String>, ObjectsFault>> {
        Box::pin(self.call("list", "/", self.list_folders()))
    }
}
