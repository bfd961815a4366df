use super::*;

const LIMITS: Limits = Limits {
    connections_max: 2,
    requests_max: 3,
    uploads_max: 2,
    upload_time_max: Duration::from_secs(20),
    answer_bytes_max: 10 * PIECE_BYTES_MAX,
    head_max: Duration::from_secs(10),
    idle_max: Duration::from_mins(1),
    stall_max: Duration::from_secs(30),
    stall_when_full_max: Duration::from_secs(2),
    sweep_every: Duration::from_secs(1),
};

/// Whether a connection was told to close.
async fn is_told(open: &Open) -> bool {
    tokio::time::timeout(Duration::ZERO, open.0.told_to_close()).await.is_ok()
}

/// Whether there is room, once everybody who was told to close has gone.
async fn is_room(connections: &Connections) -> bool {
    tokio::time::timeout(Duration::from_millis(1), connections.make_room()).await.is_ok()
}

/// A request of HTTP/1 that was answered.
fn answered(open: &Open) {
    open.0.arrived(b"GET / HTTP/1.1\r\n\r\n");
    let mut under_way = open.0.begin(false).unwrap();
    assert!(under_way.answers(1));
    drop(under_way);
    open.0.took();
    open.0.flushed();
}

#[tokio::test(start_paused = true)]
async fn who_asked_nothing_for_longest_gives_way_first() {
    let connections = Connections::new(LIMITS);
    let first = connections.open(false);
    let second = connections.open(false);
    answered(&first);
    assert!(!is_room(&connections).await, "the one that was told to close is still open");
    assert!(is_told(&second).await && !is_told(&first).await);
    assert!(!is_room(&connections).await && !is_told(&first).await, "one at a time");
    drop(second);
    assert!(is_room(&connections).await);
    assert_eq!(connections.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_keeps_its_connection() {
    let connections = Connections::new(LIMITS);
    let (first, second) = (connections.open(false), connections.open(true));
    let under_way = first.0.begin(false).unwrap();
    second.0.shook_hands();
    let another = second.0.begin(true).unwrap();
    assert!(!is_room(&connections).await);
    connections.close_one();
    connections.sweep(Instant::now() + Duration::from_hours(1));
    connections.close_waiting(Instant::now());
    assert!(!is_told(&first).await && !is_told(&second).await);
    // Who waits for room gets it when a request has been answered.
    let ends = async {
        drop(another);
        second.0.told_to_close().await;
        drop(second);
    };
    let both = async { tokio::join!(connections.make_room(), ends) };
    tokio::time::timeout(Duration::from_secs(1), both).await.unwrap();
    drop(under_way);
    assert!(!is_told(&first).await);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_too_long_is_told_to_close() {
    let connections = Connections::new(LIMITS);
    let begun = Instant::now();
    let shakes = connections.open(true);
    let quiet = connections.open(false);
    let speaks = connections.open(false);
    speaks.0.arrived(b"G");
    speaks.0.starves();
    let reads = connections.open(false);
    let mut under_way = reads.0.begin(false).unwrap();
    assert!(under_way.answers(5));
    let flushes = connections.open(false);
    drop(flushes.0.begin(false).unwrap());
    flushes.0.blocks();
    for (after, expect) in [
        (Duration::from_secs(9), [false, false, false, false, false]),
        (Duration::from_secs(10), [true, false, true, false, false]),
        (Duration::from_secs(30), [false, false, false, true, true]),
        (Duration::from_mins(1), [false, true, false, false, false]),
    ] {
        connections.sweep(begun + after);
        let mut told = Vec::new();
        for open in [&shakes, &quiet, &speaks, &reads, &flushes] {
            told.push(is_told(open).await);
        }
        assert_eq!(told, expect, "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_is_not_overdue() {
    let connections = Connections::new(LIMITS);
    let begun = Instant::now();
    let (reads, flushes, asks) = (connections.open(false), connections.open(false), connections.open(false));
    let mut under_way = reads.0.begin(true).unwrap();
    assert!(under_way.answers(5));
    drop(flushes.0.begin(false).unwrap());
    flushes.0.blocks();
    asks.0.arrived(b"G");
    asks.0.starves();
    tokio::time::advance(Duration::from_secs(8)).await;
    under_way.goes_on();
    flushes.0.took();
    flushes.0.blocks();
    answered(&asks);
    connections.sweep(begun + Duration::from_secs(37));
    for open in [&reads, &flushes, &asks] {
        assert!(!is_told(open).await);
    }
    connections.sweep(begun + Duration::from_secs(38));
    assert!(is_told(&reads).await && is_told(&flushes).await && !is_told(&asks).await);
}

#[tokio::test(start_paused = true)]
async fn a_preface_of_http2_is_no_head_that_never_ends() {
    let connections = Connections::new(LIMITS);
    let open = connections.open(false);
    open.0.arrived(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    open.0.starves();
    connections.sweep(Instant::now() + LIMITS.head_max);
    assert!(!is_told(&open).await);
    connections.sweep(Instant::now() + LIMITS.idle_max);
    assert!(is_told(&open).await);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_not_taken_give_way_when_too_much_is_unsent() {
    let connections = Connections::new(LIMITS);
    let (greedy, honest) = (connections.open(false), connections.open(false));
    let mut unread = greedy.0.begin(true).unwrap();
    assert!(unread.answers(10 * PIECE_BYTES_MAX));
    let mut refused = honest.0.begin(true).unwrap();
    assert!(!refused.answers(2 * PIECE_BYTES_MAX), "it has not waited long enough to be told to close");
    assert!(refused.answers(PIECE_BYTES_MAX), "a small answer waits for nobody");
    drop(refused);
    tokio::time::advance(LIMITS.stall_when_full_max).await;
    let mut fits = honest.0.begin(true).unwrap();
    assert!(fits.answers(10 * PIECE_BYTES_MAX));
    assert!(is_told(&greedy).await && !is_told(&honest).await);
    // Its bytes were given back once, not twice.
    unread.goes_on();
    drop((unread, greedy));
    let mut more = honest.0.begin(true).unwrap();
    assert!(!more.answers(2 * PIECE_BYTES_MAX));
    drop((fits, more));
    assert!(honest.0.begin(true).unwrap().answers(10 * PIECE_BYTES_MAX));
}

#[tokio::test(start_paused = true)]
async fn requests_have_a_bound_of_their_own() {
    let connections = Connections::new(LIMITS);
    let open = connections.open(false);
    let under_way: Vec<UnderWay> = (0..LIMITS.requests_max).map(|_| open.0.begin(true).unwrap()).collect();
    assert!(open.0.begin(true).is_none());
    drop(under_way);
    assert!(open.0.begin(true).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_body_that_has_been_arriving_for_longest_gives_way() {
    let connections = Connections::new(LIMITS);
    let open = connections.open(false);
    let requests: Vec<UnderWay> = (0..3).map(|_| open.0.begin(true).unwrap()).collect();
    let told = async |upload: &Upload| tokio::time::timeout(Duration::ZERO, upload.gives_way()).await.is_ok();
    let (first, second) = (requests[0].uploads(), requests[1].uploads());
    drop(first);
    let third = requests[0].uploads();
    assert!(!told(&second).await && !told(&third).await);
    let fourth = requests[2].uploads();
    assert!(told(&second).await && !told(&third).await && !told(&fourth).await);
    drop((second, third, fourth));
    assert!(connections.table().uploads.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_outlives_its_connection_leaves_nothing_behind() {
    let connections = Connections::new(LIMITS);
    let open = connections.open(false);
    let mut under_way = open.0.begin(true).unwrap();
    assert!(under_way.answers(1));
    drop(open);
    connections.sweep(Instant::now() + LIMITS.stall_max);
    drop(under_way);
    let table = connections.table();
    assert_eq!((table.open, table.closing, table.requests, table.answer_bytes), (0, 0, 0, 0));
    assert!([&table.quiet, &table.heads, &table.flushing, &table.answers].iter().all(|line| line.is_empty()));
}
