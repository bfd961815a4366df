//! A bound on the header of an age file: the library reads it into memory whatever its size.

use std::cell::Cell;
use std::io::{self, BufRead, ErrorKind, Read};
use std::rc::Rc;

/// The most bytes of a header: ours have less than 1 KiB. The library parses from the start again at every line.
pub const HEADER_BYTES_MAX: u64 = 4 * 1024;

/// A reader that refuses to give more than a header may have, until the bound is lifted.
pub struct BoundedHeader<R> {
    inner: R,
    bound: Bound,
}

/// How much may still be read; shared between the reader and whoever lifts it.
#[derive(Clone)]
pub struct Bound(Rc<Cell<Option<u64>>>);

impl Bound {
    /// From now on everything may be read.
    pub fn lift(&self) {
        self.0.set(None);
    }

    fn check(&self) -> io::Result<()> {
        match self.0.get() {
            Some(0) => Err(io::Error::new(ErrorKind::InvalidData, "the header is too long")),
            Some(_) | None => Ok(()),
        }
    }

    fn spend(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.0.set(self.0.get().map(|left| left.saturating_sub(bytes)));
    }

    fn shorten(&self, bytes: usize) -> usize {
        self.0.get().map_or(bytes, |left| bytes.min(usize::try_from(left).unwrap_or(usize::MAX)))
    }
}

impl<R> BoundedHeader<R> {
    /// Bounds what is read of `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, bound: Bound(Rc::new(Cell::new(Some(HEADER_BYTES_MAX)))) }
    }

    /// The bound, to lift it.
    pub fn bound(&self) -> Bound {
        self.bound.clone()
    }
}

impl<R: Read> Read for BoundedHeader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bound.check()?;
        let room = self.bound.shorten(buffer.len());
        let found = self.inner.read(buffer.get_mut(..room).unwrap_or_default())?;
        self.bound.spend(found);
        Ok(found)
    }
}

impl<R: BufRead> BufRead for BoundedHeader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.bound.check()?;
        let bytes = self.inner.fill_buf()?;
        Ok(bytes.get(..self.bound.shorten(bytes.len())).unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        self.bound.spend(bytes);
        self.inner.consume(bytes);
    }
}
