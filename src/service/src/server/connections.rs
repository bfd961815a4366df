//! Every open connection of a server, in lines: who has waited longest stands first.
//!
//! A connection stands in at most one of three lines, or has a request under way:
//!
//! * *quiet*: no request, or none yet;
//! * *heads*: a TLS handshake, or the head of an HTTP/1 request, has begun and is not complete;
//! * *flushing*: the last answer was handed over and its reader does not take it.
//!
//! Each answer that is being sent stands in a fourth line, by when its reader last took a piece of it, and each request
//! whose body is arriving in a fifth, by when it began.
//!
//! It knows no HTTP and no socket: it is told what happens, and tells a connection to close. Invariant: a connection with a
//! request under way is told to close only because of an answer that its reader does not take.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::{Limits, PIECE_BYTES_MAX};

/// How often it is said that connections are closed for want of room.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// Every open connection.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Limits,
    table: Mutex<Table>,
    /// A connection has gone, or waits again, while somebody waits for room.
    room: Notify,
}

#[derive(Debug, Default)]
struct Table {
    open: usize,
    /// Those of them that were told to close.
    closing: usize,
    requests: usize,
    answer_bytes: usize,
    /// Somebody waits for room.
    is_awaited: bool,
    warned: Option<Instant>,
    next: u64,
    quiet: Line,
    heads: Line,
    flushing: Line,
    answers: Line,
    uploads: BTreeMap<u64, Arc<Notify>>,
}

/// Who waits, the longest first.
type Line = BTreeMap<u64, Waiting>;

#[derive(Debug)]
struct Waiting {
    since: Instant,
    connection: Arc<Connection>,
    /// Of an answer.
    bytes: usize,
}

/// One connection as its task knows it.
#[derive(Debug)]
pub(super) struct Connection {
    connections: Arc<Connections>,
    told_to_close: Notify,
    /// It was told to. Changes under the table's lock.
    is_closing: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    place: Place,
    under_way: usize,
    is_http2: bool,
    /// Something arrived: the version is known.
    has_begun: bool,
    /// Bytes of a head arrived, and no request came of them yet.
    has_head: bool,
}

/// Where a connection stands, with its number in the line.
#[derive(Clone, Copy, Debug)]
enum Place {
    Quiet(u64),
    Head(u64),
    /// A request is under way.
    Busy,
    /// HTTP/1: the last answer was handed over, and its reader takes it.
    Unflushed,
    Flushing(u64),
    /// Its task has ended; a request may still be dropped elsewhere.
    Gone,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, table: Mutex::default(), room: Notify::new() })
    }

    /// Waits until there is room for one more, telling those to close that have waited longest without a request.
    pub(super) async fn make_room(&self) {
        loop {
            {
                let mut table = self.table();
                table.is_awaited = table.open >= self.limits.connections_max;
                if !table.is_awaited {
                    return;
                }
                // One at a time: who was told to close goes at once.
                if table.closing == 0 {
                    table.close_longest_waiting();
                }
            }
            self.room.notified().await;
        }
    }

    /// Closes one that waits, if there is one: the process has no file left.
    pub(super) fn close_one(&self) {
        self.table().close_longest_waiting();
    }

    /// Counts a connection. With `shakes_hands` it begins with a TLS handshake.
    pub(super) fn open(self: &Arc<Self>, shakes_hands: bool) -> Open {
        let state = State { place: Place::Busy, under_way: 0, is_http2: false, has_begun: false, has_head: false };
        let connection = Arc::new(Connection {
            connections: Arc::clone(self),
            told_to_close: Notify::new(),
            is_closing: AtomicBool::new(false),
            state: Mutex::new(state),
        });
        let mut state = connection.state();
        let mut table = self.table();
        table.open += 1;
        state.place = if shakes_hands {
            Place::Head(table.line_up(|table| &mut table.heads, &connection))
        } else {
            Place::Quiet(table.line_up(|table| &mut table.quiet, &connection))
        };
        drop((table, state));
        Open(connection)
    }

    /// Tells everybody to close who has waited too long.
    pub(super) fn sweep(&self, now: Instant) {
        let Limits { head_max, idle_max, stall_max, .. } = self.limits;
        let mut table = self.table();
        table.close_since(|table| &mut table.quiet, now, idle_max);
        table.close_since(|table| &mut table.heads, now, head_max);
        table.close_since(|table| &mut table.flushing, now, stall_max);
        table.close_since(|table| &mut table.answers, now, stall_max);
    }

    /// Tells everybody to close who has no request under way.
    pub(super) fn close_waiting(&self, now: Instant) {
        let mut table = self.table();
        table.close_since(|table| &mut table.quiet, now, Duration::ZERO);
        table.close_since(|table| &mut table.heads, now, Duration::ZERO);
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.table().open
    }

    /// Nothing is half changed where the lock is released, so a panic in between breaks nothing.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn next_number(&mut self) -> u64 {
        let number = self.next;
        // Never reached, at a billion in a second in five centuries.
        self.next = self.next.wrapping_add(1);
        number
    }

    /// Puts a connection at the end of a line; gives its number.
    fn line_up(&mut self, line: impl FnOnce(&mut Self) -> &mut Line, connection: &Arc<Connection>) -> u64 {
        self.line_up_answer(line, connection, 0)
    }

    fn line_up_answer(
        &mut self,
        line: impl FnOnce(&mut Self) -> &mut Line,
        connection: &Arc<Connection>,
        bytes: usize,
    ) -> u64 {
        let number = self.next_number();
        line(self).insert(number, Waiting { since: Instant::now(), connection: Arc::clone(connection), bytes });
        number
    }

    fn leave(&mut self, place: Place) {
        match place {
            Place::Quiet(number) => drop(self.quiet.remove(&number)),
            Place::Head(number) => drop(self.heads.remove(&number)),
            Place::Flushing(number) => drop(self.flushing.remove(&number)),
            Place::Busy | Place::Unflushed | Place::Gone => {}
        }
    }

    /// Closes whoever has waited longest without a request.
    fn close_longest_waiting(&mut self) {
        let first = |line: &Line| line.first_key_value().map(|(number, _)| *number);
        let line = match (first(&self.quiet), first(&self.heads)) {
            (Some(quiet), Some(head)) if head < quiet => &mut self.heads,
            (None, Some(_)) => &mut self.heads,
            (Some(_) | None, _) => &mut self.quiet,
        };
        let Some((_, waiting)) = line.pop_first() else { return };
        let now = Instant::now();
        if self.warned.is_none_or(|warned| now.saturating_duration_since(warned) >= WARN_EVERY) {
            self.warned = Some(now);
            let open = self.open;
            tracing::warn!(open, "all connections are taken: those that asked nothing for longest are closed");
        }
        self.close(&waiting);
    }

    /// Closes those of a line who have waited so long.
    fn close_since(&mut self, line: impl Fn(&mut Self) -> &mut Line, now: Instant, at_most: Duration) {
        let is_overdue = |waiting: &Waiting| now.saturating_duration_since(waiting.since) >= at_most;
        while line(self).first_key_value().is_some_and(|(_, waiting)| is_overdue(waiting)) {
            let Some((_, waiting)) = line(self).pop_first() else { return };
            self.close(&waiting);
        }
    }

    /// Who left a line this way still counts until its task has ended.
    fn close(&mut self, waiting: &Waiting) {
        self.answer_bytes = self.answer_bytes.saturating_sub(waiting.bytes);
        if !waiting.connection.is_closing.swap(true, Ordering::Relaxed) {
            self.closing += 1;
            waiting.connection.told_to_close.notify_one();
        }
    }
}

impl Connection {
    /// Completes when this connection is to close.
    pub(super) async fn told_to_close(&self) {
        self.told_to_close.notified().await;
    }

    /// The TLS handshake is complete.
    pub(super) fn shook_hands(self: &Arc<Self>) {
        let mut state = self.state();
        self.turn_quiet(&mut state);
    }

    /// Bytes arrived.
    pub(super) fn arrived(&self, bytes: &[u8]) {
        let mut state = self.state();
        if !state.has_begun {
            state.has_begun = true;
            // SPEC: RFC 9113 §3.4: no HTTP/1 request begins like this.
            state.is_http2 = bytes.starts_with(b"PRI");
        }
        state.has_head |= !state.is_http2 && state.under_way == 0;
    }

    /// More bytes are wanted, and there are none.
    pub(super) fn starves(self: &Arc<Self>) {
        let mut state = self.state();
        // A head that arrives at once never stands in line.
        if let (Place::Quiet(_), true) = (state.place, state.has_head) {
            let mut table = self.connections.table();
            table.leave(state.place);
            state.place = Place::Head(table.line_up(|table| &mut table.heads, self));
        }
    }

    /// The reader takes bytes.
    pub(super) fn took(self: &Arc<Self>) {
        let mut state = self.state();
        if let Place::Flushing(_) = state.place {
            self.connections.table().leave(state.place);
            state.place = Place::Unflushed;
        }
    }

    /// The reader takes no bytes, and there are some for it.
    pub(super) fn blocks(self: &Arc<Self>) {
        let mut state = self.state();
        if let Place::Unflushed = state.place {
            state.place = Place::Flushing(self.connections.table().line_up(|table| &mut table.flushing, self));
        }
    }

    /// Everything that was written has gone.
    pub(super) fn flushed(self: &Arc<Self>) {
        let mut state = self.state();
        if let Place::Unflushed | Place::Flushing(_) = state.place {
            self.turn_quiet(&mut state);
        }
    }

    /// A request has arrived. `None` if there are too many.
    pub(super) fn begin(self: &Arc<Self>, is_http2: bool) -> Option<UnderWay> {
        let mut state = self.state();
        let mut table = self.connections.table();
        if table.requests >= self.connections.limits.requests_max {
            return None;
        }
        table.requests += 1;
        if state.under_way == 0 {
            table.leave(state.place);
            state.place = Place::Busy;
        }
        state.under_way += 1;
        state.has_head = false;
        state.is_http2 = is_http2;
        Some(UnderWay { connection: Arc::clone(self), answer: None })
    }

    fn turn_quiet(self: &Arc<Self>, state: &mut State) {
        let mut table = self.connections.table();
        table.leave(state.place);
        state.place = Place::Quiet(table.line_up(|table| &mut table.quiet, self));
        if table.is_awaited {
            self.connections.room.notify_one();
        }
    }

    /// Nothing is half changed where the lock is released, so a panic in between breaks nothing.
    ///
    /// It is taken before the table's, never after.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open connection. It is no longer counted when this is dropped.
#[derive(Debug)]
pub(super) struct Open(pub(super) Arc<Connection>);

impl Drop for Open {
    fn drop(&mut self) {
        let connection = &self.0;
        let mut state = connection.state();
        let mut table = connection.connections.table();
        table.leave(state.place);
        state.place = Place::Gone;
        table.open = table.open.saturating_sub(1);
        if connection.is_closing.swap(true, Ordering::Relaxed) {
            table.closing = table.closing.saturating_sub(1);
        }
        if table.is_awaited {
            connection.connections.room.notify_one();
        }
    }
}

/// A request under way, from the end of its head to the end of its answer.
#[derive(Debug)]
pub(super) struct UnderWay {
    connection: Arc<Connection>,
    /// The answer's number in the line, and its bytes.
    answer: Option<(u64, usize)>,
}

/// A body that is arriving. It is no longer counted when this is dropped.
#[derive(Debug)]
pub(super) struct Upload {
    connections: Arc<Connections>,
    number: u64,
    gives_way: Arc<Notify>,
}

impl Upload {
    /// Completes when its place is needed: it has been arriving for longest.
    pub(super) async fn gives_way(&self) {
        self.gives_way.notified().await;
    }

    /// How long it may take.
    pub(super) fn time_max(&self) -> Duration {
        self.connections.limits.upload_time_max
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.connections.table().uploads.remove(&self.number);
    }
}

impl UnderWay {
    /// The body begins to arrive.
    pub(super) fn uploads(&self) -> Upload {
        let connections = Arc::clone(&self.connection.connections);
        let gives_way = Arc::new(Notify::new());
        let mut table = connections.table();
        if table.uploads.len() >= connections.limits.uploads_max
            && let Some((_, longest)) = table.uploads.pop_first()
        {
            longest.notify_one();
        }
        let number = table.next_number();
        table.uploads.insert(number, Arc::clone(&gives_way));
        drop(table);
        Upload { connections, number, gives_way }
    }

    /// The answer begins to be sent. False if too much is unsent: then nothing was counted.
    pub(super) fn answers(&mut self, bytes: usize) -> bool {
        let Limits { answer_bytes_max, stall_when_full_max, .. } = self.connection.connections.limits;
        let mut table = self.connection.connections.table();
        if table.answer_bytes.saturating_add(bytes) > answer_bytes_max {
            table.close_since(|table| &mut table.answers, Instant::now(), stall_when_full_max);
        }
        let total = table.answer_bytes.saturating_add(bytes);
        if total > answer_bytes_max && bytes > PIECE_BYTES_MAX {
            return false;
        }
        table.answer_bytes = total;
        let number = table.line_up_answer(|table| &mut table.answers, &self.connection, bytes);
        self.answer = Some((number, bytes));
        true
    }

    /// The reader takes the next piece of the answer.
    pub(super) fn goes_on(&mut self) {
        let Some((number, bytes)) = self.answer else { return };
        let mut table = self.connection.connections.table();
        // Whoever is no longer in line was told to close.
        if table.answers.remove(&number).is_some() {
            let number = table.line_up_answer(|table| &mut table.answers, &self.connection, bytes);
            self.answer = Some((number, bytes));
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let connection = &self.connection;
        let mut state = connection.state();
        {
            let mut table = connection.connections.table();
            table.requests = table.requests.saturating_sub(1);
            if let Some((number, bytes)) = self.answer
                && table.answers.remove(&number).is_some()
            {
                table.answer_bytes = table.answer_bytes.saturating_sub(bytes);
            }
        }
        state.under_way = state.under_way.saturating_sub(1);
        if state.under_way > 0 || matches!(state.place, Place::Gone) {
            return;
        }
        if state.is_http2 {
            connection.turn_quiet(&mut state);
        } else {
            state.place = Place::Unflushed;
        }
    }
}

#[cfg(test)]
mod tests;
