//! Objects that fail on demand: not done, done but reported as failed, or never answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::objects::{Object, Objects, ObjectsFault, ObjectsFaultCause, SwapError, Tag};
use crate::ports::PortFuture;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strike {
    /// It was not done.
    NotDone,
    /// It was done, and the caller does not know.
    Done,
    /// It was done, and no answer ever comes: who asked is dropped meanwhile, as by a crash.
    Silent,
}

/// Objects of which one call fails, counted from 0.
#[derive(Debug)]
pub(crate) struct FaultyObjects {
    inner: Arc<dyn Objects>,
    strike: Option<(usize, Strike)>,
    calls: AtomicUsize,
    silent: Notify,
}

impl FaultyObjects {
    pub(crate) fn new(inner: Arc<dyn Objects>, strike: Option<(usize, Strike)>) -> Arc<Self> {
        Arc::new(Self { inner, strike, calls: AtomicUsize::new(0), silent: Notify::new() })
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Waits until a call was left without an answer.
    pub(crate) async fn until_silent(&self) {
        self.silent.notified().await;
    }

    async fn call<T, E: From<ObjectsFault>>(&self, real: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let wanted = || ObjectsFault { action: "please", key: String::new(), source: ObjectsFaultCause::Wanted };
        match self.strike.filter(|(call, _)| *call == number) {
            None => real.await,
            Some((_, Strike::NotDone)) => Err(wanted().into()),
            Some((_, Strike::Done)) => {
                real.await?;
                Err(wanted().into())
            }
            Some((_, Strike::Silent)) => {
                real.await?;
                self.silent.notify_one();
                std::future::pending().await
            }
        }
    }
}

impl Objects for FaultyObjects {
    fn get<'a>(&'a self, key: &'a str, bytes_max: usize) -> PortFuture<'a, Result<Option<Object>, ObjectsFault>> {
        Box::pin(self.call(self.inner.get(key, bytes_max)))
    }

    fn put<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> PortFuture<'a, Result<(), ObjectsFault>> {
        Box::pin(self.call(self.inner.put(key, bytes)))
    }

    fn settle(&self) -> PortFuture<'_, Result<(), ObjectsFault>> {
        Box::pin(self.call(self.inner.settle()))
    }

    fn swap<'a>(
        &'a self,
        key: &'a str,
        expected: Option<&'a Tag>,
        bytes: Vec<u8>,
    ) -> PortFuture<'a, Result<(), SwapError>> {
        Box::pin(self.call(self.inner.swap(key, expected, bytes)))
    }

    fn remove_folder<'a>(&'a self, folder: &'a str) -> PortFuture<'a, Result<(), ObjectsFault>> {
        Box::pin(self.call(self.inner.remove_folder(folder)))
    }

    fn folders(&self) -> PortFuture<'_, Result<Vec<String>, ObjectsFault>> {
        Box::pin(self.call(self.inner.folders()))
    }
}
