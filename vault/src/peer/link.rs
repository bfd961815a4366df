//! One link: pieces on a stream, the handshake of either end, and whole messages after it.

use std::io;

use countermark_bundle::identity::Name;
use countermark_vault_core::noise::NoiseError;
use countermark_vault_core::noise::peer::{
    Initiator, PEER_ANSWER_BYTES, PEER_HELLO_BYTES, PEER_OPENING_BYTES, PIECE_BYTES_MAX, PeerChannel, PeerKeys,
    Responder,
};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::{OwnEnd, Roster};
use crate::device::OsRandomness;

/// The most bytes of a member's name.
const NAME_BYTES_MAX: usize = 63;
/// How much is written at once.
const WRITE_BYTES: usize = 256 * 1024;

/// Why a link ended, or was not made.
#[derive(Debug, Error)]
pub(crate) enum LinkError {
    /// The stream failed, or ended.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// The other end is not who it has to be, or what it sent is not its next message.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// The caller's name is none, or not that of a member that is let in.
    #[error("the caller is no member of this fleet")]
    Stranger,
    /// A piece that is longer than it may be at this place, or shorter.
    #[error("a piece has {found} bytes at a place for {expected}")]
    PieceLength {
        /// How many it may have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
}

/// A link between two members that proved who they are.
#[derive(Debug)]
pub(crate) struct Link<Stream> {
    stream: Stream,
    channel: PeerChannel,
}

impl<Stream: AsyncRead + AsyncWrite + Unpin> Link<Stream> {
    /// Opens a link to `responder` on a connected stream.
    pub(crate) async fn open(
        mut stream: Stream,
        own: &OwnEnd,
        responder: &Name,
        keys: PeerKeys,
    ) -> Result<Self, LinkError> {
        let (initiator, opening) =
            Initiator::start(own.calling(responder), own.session.clone(), keys, &mut OsRandomness)?;
        let mut first = Vec::new();
        push_piece(&mut first, own.member_id.as_str().as_bytes())?;
        push_piece(&mut first, &opening)?;
        stream.write_all(&first).await?;
        let answer = read_piece(&mut stream, PEER_ANSWER_BYTES).await?;
        let (channel, hello) = initiator.finish(&answer, own.identity.as_ref())?;
        write_piece(&mut stream, &hello).await?;
        Ok(Self { stream, channel })
    }

    /// Answers whoever calls on a connected stream; gives the link and who it is.
    pub(crate) async fn accept(
        mut stream: Stream,
        own: &OwnEnd,
        roster: &Roster,
    ) -> Result<(Self, Name, PeerKeys), LinkError> {
        let name = read_piece_up_to(&mut stream, NAME_BYTES_MAX).await?;
        let name = std::str::from_utf8(&name).ok().and_then(|name| Name::parse(name).ok());
        let caller = name.ok_or(LinkError::Stranger)?;
        let keys = roster.keys(&caller).filter(|_| caller != own.member_id).ok_or(LinkError::Stranger)?.clone();
        let opening = read_piece(&mut stream, PEER_OPENING_BYTES).await?;
        let (unproven, answer) = Responder::accept(
            own.called_by(&caller),
            &opening,
            own.session.clone(),
            own.identity.as_ref(),
            keys.clone(),
            &mut OsRandomness,
        )?;
        write_piece(&mut stream, &answer).await?;
        let hello = read_piece(&mut stream, PEER_HELLO_BYTES).await?;
        let channel = unproven.check_hello(&hello)?;
        Ok((Self { stream, channel }, caller, keys))
    }

    /// Sends one message, at most 64 MiB.
    pub(crate) async fn send(&mut self, message: &[u8]) -> Result<(), LinkError> {
        let mut bytes = Vec::new();
        for piece in self.channel.seal(message)? {
            push_piece(&mut bytes, &piece)?;
            if bytes.len() >= WRITE_BYTES {
                self.stream.write_all(&bytes).await?;
                bytes.clear();
            }
        }
        self.stream.write_all(&bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Receives one message, at most 64 MiB.
    pub(crate) async fn receive(&mut self) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        loop {
            let piece = read_piece_up_to(&mut self.stream, PIECE_BYTES_MAX).await?;
            if let Some(message) = self.channel.open(&piece)? {
                return Ok(message);
            }
        }
    }

    /// The stream under the link.
    pub(crate) const fn stream(&self) -> &Stream {
        &self.stream
    }
}

fn push_piece(bytes: &mut Vec<u8>, piece: &[u8]) -> Result<(), LinkError> {
    let too_long = LinkError::PieceLength { expected: PIECE_BYTES_MAX, found: piece.len() };
    bytes.extend_from_slice(&u16::try_from(piece.len()).map_err(|_| too_long)?.to_be_bytes());
    bytes.extend_from_slice(piece);
    Ok(())
}

async fn write_piece(stream: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> Result<(), LinkError> {
    let mut bytes = Vec::with_capacity(piece.len().saturating_add(2));
    push_piece(&mut bytes, piece)?;
    stream.write_all(&bytes).await?;
    Ok(stream.flush().await?)
}

/// Reads a piece of exactly so many bytes; one that announces another number is not read.
async fn read_piece(stream: &mut (impl AsyncRead + Unpin), expected: usize) -> Result<Vec<u8>, LinkError> {
    let found = usize::from(stream.read_u16().await?);
    if found != expected {
        return Err(LinkError::PieceLength { expected, found });
    }
    let mut piece = vec![0; found];
    stream.read_exact(&mut piece).await?;
    Ok(piece)
}

async fn read_piece_up_to(stream: &mut (impl AsyncRead + Unpin), most: usize) -> Result<Vec<u8>, LinkError> {
    let found = usize::from(stream.read_u16().await?);
    if found > most {
        return Err(LinkError::PieceLength { expected: most, found });
    }
    let mut piece = vec![0; found];
    stream.read_exact(&mut piece).await?;
    Ok(piece)
}
