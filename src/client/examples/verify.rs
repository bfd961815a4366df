//! What an app does before it opens a session: `cargo run --example verify -- https://log.example trust.json floor.json`.

use std::error::Error;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use countermark_bundle::{identity::Timestamp, trust::TrustFile};
use countermark_client::fetch::{LogReader, Timeouts};
use countermark_client::floor_store::FloorFile;
use countermark_client::verify::fetch_and_verify;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let [address, trust, floor] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "three arguments")?;
    let trust = TrustFile::parse(&std::fs::read(trust)?)?;
    let log = LogReader::new(&address, &trust.namespace(), Timeouts::default())?;
    let now =
        Timestamp::from_unix(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()).ok_or("the clock is wrong")?;
    let bundle = fetch_and_verify(&log, &trust, &FloorFile::new(Path::new(&floor)), now, &mut |_| {}).await?;
    for fleet in bundle.serving_fleets() {
        println!("{}: {} members may be used until {}", fleet.fleet_id, fleet.members.len(), bundle.stale_at());
    }
    Ok(())
}
