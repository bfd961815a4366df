//! How a replica reaches the other members: bytes out, bytes in.

pub(crate) mod message;

use std::pin::Pin;

use crate::member_number::MemberNumber;

/// The transport between members. It authenticates both ends, keeps what it carries secret (snapshots and commands
/// contain users' records) and gives an answer only to the call that it answers.
pub trait Peers: Send + Sync + 'static {
    /// Hands `request` to the member `to`, which answers with `Replica::answer`. Both are at most 64 MiB; the usual
    /// ones are below 1 MiB. A call that is no longer wanted is dropped; the transport has a deadline of its own.
    fn call(&self, to: MemberNumber, request: Vec<u8>)
    -> impl Future<Output = Result<Vec<u8>, PeerUnreachable>> + Send;
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerUnreachable {
    /// Not one byte of the request reached the member, for certain.
    #[error("the member is not connected")]
    NotSent,
    /// The member may have obeyed the request.
    #[error("the member did not answer")]
    NoAnswer,
}

/// What [`Peers::call`] gives, without its type.
type Call<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, PeerUnreachable>> + Send + 'a>>;

/// [`Peers`] without its type, so that a replica has none either.
pub(crate) trait AnyPeers: Send + Sync + 'static {
    fn call_any(&self, to: MemberNumber, request: Vec<u8>) -> Call<'_>;
}

impl<P: Peers> AnyPeers for P {
    fn call_any(&self, to: MemberNumber, request: Vec<u8>) -> Call<'_> {
        Box::pin(self.call(to, request))
    }
}
