//! openraft's network, over the node's transport.

use std::sync::Arc;

use openraft::EmptyNode;
use openraft::error::{InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use tokio::time::{Instant, sleep_until};

use crate::clock::Clocks;
use crate::member_number::MemberNumber;
use crate::peers::message::{AnswerContent, PeerAnswer, PeerRequest, decode, encode};
use crate::peers::{AnyPeers, PeerUnreachable};
use crate::raft_types::Types;
use crate::timing::Timing;

/// Makes links to the other members.
#[derive(Clone)]
pub(crate) struct Links {
    pub(crate) peers: Arc<dyn AnyPeers>,
    pub(crate) clocks: Arc<Clocks>,
    pub(crate) timing: Timing,
}

/// The way to one member.
pub(crate) struct Link {
    links: Links,
    to: MemberNumber,
}

/// Why a call gave no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Unreachable(#[from] PeerUnreachable),
    #[error("the member's replica has stopped")]
    Stopped,
    #[error("the member's answer is malformed")]
    Malformed,
}

type RpcError<E> = RPCError<MemberNumber, EmptyNode, RaftError<MemberNumber, E>>;

impl Links {
    /// Calls a member, and notes its clock.
    pub(crate) async fn call(&self, to: MemberNumber, request: &PeerRequest) -> Result<AnswerContent, CallError> {
        let asked_at = Instant::now();
        let mut bytes = encode(request);
        let answer = self.peers.call_any(to, std::mem::take(&mut *bytes)).await?;
        let PeerAnswer { clock, content } = decode(&answer).ok_or(CallError::Malformed)?;
        self.clocks.heard(to, clock, asked_at);
        Ok(content)
    }
}

impl Link {
    /// Calls the member for openraft, which calls again at once when this fails. (Its "unreachable" makes a follower
    /// wait longer for the next heartbeat than for an election.) So failing takes half a heartbeat at least.
    async fn call<E: std::error::Error>(&self, request: &PeerRequest) -> Result<AnswerContent, RpcError<E>> {
        let next_call = Instant::now() + self.links.timing.heartbeat / 2;
        let error = match self.links.call(self.to, request).await {
            Ok(AnswerContent::Stopped) => CallError::Stopped,
            Ok(AnswerContent::Malformed) => CallError::Malformed,
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        sleep_until(next_call).await;
        Err(network_error(error))
    }
}

impl RaftNetworkFactory<Types> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: MemberNumber, _node: &EmptyNode) -> Link {
        Link { links: self.clone(), to: target }
    }
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<MemberNumber>, RPCError<MemberNumber, EmptyNode, RaftError<MemberNumber>>> {
        match self.call(&PeerRequest::Append(rpc)).await? {
            AnswerContent::Append(answer) => Ok(answer),
            _ => Err(network_error(CallError::Malformed)),
        }
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<MemberNumber>, RpcError<InstallSnapshotError>> {
        match self.call(&PeerRequest::Snapshot(rpc)).await? {
            AnswerContent::Snapshot(answer) => Ok(answer),
            AnswerContent::SnapshotMismatch(mismatch) => {
                let error = RaftError::APIError(InstallSnapshotError::SnapshotMismatch(mismatch));
                Err(RPCError::RemoteError(RemoteError::new(self.to, error)))
            }
            _ => Err(network_error(CallError::Malformed)),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<MemberNumber>,
        _option: RPCOption,
    ) -> Result<VoteResponse<MemberNumber>, RPCError<MemberNumber, EmptyNode, RaftError<MemberNumber>>> {
        match self.call(&PeerRequest::Vote(rpc)).await? {
            AnswerContent::Vote(answer) => Ok(answer),
            _ => Err(network_error(CallError::Malformed)),
        }
    }
}

fn network_error<E: std::error::Error>(error: CallError) -> RpcError<E> {
    RPCError::Network(NetworkError::new(&error))
}
