//! How fast a log is replayed: `cargo test --release -p countermark-client -- --ignored replay_speed --nocapture`.

use std::time::Instant;

use super::*;
use crate::fetch::FolderSource;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, not a claim"]
async fn replay_speed() {
    let world = World::grown_to(40_000);
    let (len, folder) = (world.len(), world.export());
    let bytes: usize = world.grown.entries.iter().map(Vec::len).sum();
    let over_http = TestLog::serve(world).await;
    let trust = &over_http.world().trust;
    let sources: [(&str, Arc<dyn TileSource>); 2] = [
        ("folder", Arc::new(FolderSource::open(folder.path()).unwrap())),
        ("http", Arc::new(over_http.reader.clone())),
    ];
    for (name, tiles) in sources {
        let begin = Instant::now();
        let request = AuditRequest { tiles, log: None, trust, known_heads: &[], now: at(NOW) };
        let report = audit(request, &mut |_| {}).await.unwrap();
        let elapsed = begin.elapsed();
        assert_eq!(report.exit_class(), None);
        let rate = u128::from(len) * 1000 / elapsed.as_millis();
        println!("{name}: {len} entries, {bytes} bytes in {elapsed:?}: {rate} entries/s");
    }
}
