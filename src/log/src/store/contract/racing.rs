//! Two processes that write to one log at once: one goes on, the other is told why it does not, and nothing forks.

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::*;

const NAME: &str = "log.example/a";
const ROUNDS: u64 = 15;

/// What one of two writers met.
#[derive(Debug)]
struct Met {
    writer: WriterId,
    epoch: WriterEpoch,
    committed: Result<(), CommitError>,
    kept: Result<WriterEpoch, TakeWriterError>,
}

pub(super) async fn of_two_writers_that_start_at_once_one_commits(store: Arc<dyn Store>) {
    let (mut tree, _) = created(store.as_ref(), NAME).await;
    let mut expect = vec![b"entry 0".to_vec()];
    for round in 0..ROUNDS {
        let together = Arc::new(Barrier::new(2));
        let mut writers = JoinSet::new();
        for writer in [A, B] {
            let (store, together, tree) = (store.clone(), together.clone(), tree.clone());
            writers.spawn(async move {
                let epoch = store.take_writer(&origin(NAME), writer, None).await.unwrap().epoch;
                together.wait().await;
                let batch = batch(NAME, &tree, texts(round, writer));
                let committed = store.commit(epoch, &batch).await;
                together.wait().await;
                let kept = store.take_writer(&origin(NAME), writer, Some(epoch)).await.map(|taken| taken.epoch);
                Met { writer, epoch, committed, kept }
            });
        }
        let mut met = writers.join_all().await;
        met.sort_by_key(|met| met.epoch);
        let [earlier, later] = <[Met; 2]>::try_from(met).unwrap();
        assert!(later.committed.is_ok() && later.kept.is_ok(), "{later:?}");
        match (earlier.committed, earlier.kept) {
            (Err(CommitError::Fenced { expected, found, .. }), Err(TakeWriterError::Fenced { .. })) => {
                assert_eq!((expected, found), (earlier.epoch, later.epoch));
            }
            other => panic!("{other:?}"),
        }
        let grown = batch(NAME, &tree, texts(round, later.writer));
        tree = grown.tree().clone();
        expect.extend(texts(round, later.writer).into_iter().map(String::into_bytes));
    }
    assert_eq!(store.entries(&origin(NAME), index(0), 999).await.unwrap(), expect);
    let taken = store.take_writer(&origin(NAME), A, None).await.unwrap();
    assert_eq!((taken.head.size, taken.head.root), (tree.size(), tree.root()));
}

fn texts(round: u64, writer: WriterId) -> [String; 2] {
    [1, 2].map(|number| format!("round {round}, writer {}, {number}", writer.0[0]))
}

pub(super) async fn of_two_commits_at_one_size_one_is_kept(store: Arc<dyn Store>) {
    let (mut tree, epoch) = created(store.as_ref(), NAME).await;
    let mut expect = 1;
    for round in 0..ROUNDS {
        let mut commits = JoinSet::new();
        for (writer, length) in [(A, 1), (B, 2)] {
            let entries: Vec<String> = texts(round, writer).into_iter().take(length).collect();
            let (store, batch) = (store.clone(), batch(NAME, &tree, entries));
            commits.spawn(async move { (store.commit(epoch, &batch).await, batch) });
        }
        let mut kept = Vec::new();
        let mut refused = Vec::new();
        for (outcome, batch) in commits.join_all().await {
            match outcome {
                Ok(()) => kept.push(batch),
                Err(CommitError::Fenced { found_size, .. }) => refused.push(found_size),
                Err(other) => panic!("{other}"),
            }
        }
        let [kept] = &kept[..] else { panic!("{} commits at one size were kept", kept.len()) };
        assert_eq!(refused, [kept.head().size]);
        tree = kept.tree().clone();
        expect += kept.entries().len();
    }
    assert_eq!(store.entries(&origin(NAME), index(0), 999).await.unwrap().len(), expect);
    let stored = store.partial_tiles(&origin(NAME)).await.unwrap();
    assert_eq!(Tree::from_partial_tiles(tree.size(), stored).unwrap().root(), tree.root());
}
