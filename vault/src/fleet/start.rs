//! How a member gets from its files to its place in the replication, and why it does not.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countermark_bundle::identity::Name;
use countermark_bundle::key::PublicKey;
use countermark_bundle::trust::TRUST_BYTES_MAX;
use countermark_vault_core::device::{DeviceFault, MonotonicCounter as _, SealedStore};
use countermark_vault_raft::{
    CounterFile, CounterFileError, OpenError, Replica, ReplicaSettings, StartError, Storage, StorageFault, Timing,
    file_backend,
};
use thiserror::Error;

use super::formation::{FormError, Formation, Seeker};
use super::formation_file::{FormationFile, FormationFileError};
use super::seat::Serving;
use super::terms::FoundingTerms;
use crate::account_token::TokenVerifier;
use crate::clock::SystemClock;
use crate::config::FleetConfig;
use crate::log_client::LogClient;
use crate::peer::{OwnEnd, PeerLanes, Roster};
use crate::ports::WallClock as _;
use crate::session_service::SessionService;

/// The database's name in the data folder.
const DATABASE: &str = "replica.redb";

/// Why a member does not take part in its fleet.
#[derive(Debug, Error)]
pub enum FleetStartError {
    /// A file could not be looked at.
    #[error("cannot look at {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// By way of links, the counter lies in the data folder.
    #[error("{} lies inside the data folder: an older copy of the folder would bring its counter along", path.display())]
    CounterInsideData {
        /// The counter.
        path: PathBuf,
    },
    /// There is no HTTP client.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The formation was not read or stored.
    #[error(transparent)]
    Formation(#[from] FormationFileError),
    /// The counter was not opened.
    #[error("{}", path.display())]
    Counter {
        /// The counter.
        path: PathBuf,
        /// Why not.
        source: CounterFileError,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceFault),
    /// There is a database, or a counter that counted, and no formation.
    #[error(
        "{} has no formation, and this member took part in a fleet before: a member that lost its data is retired, \
         never restarted",
        data_folder.display()
    )]
    DataLost {
        /// The data folder.
        data_folder: PathBuf,
    },
    /// The formation names other keys for this member.
    #[error("this member took part in a fleet with other keys: a member that lost its keys is retired")]
    OtherKeys,
    /// The database is not this member's newest state, or cannot be read.
    #[error("this member does not serve from {}", data_folder.display())]
    Storage {
        /// The data folder.
        data_folder: PathBuf,
        /// Why not.
        source: Box<OpenError>,
    },
    /// The database's file could not be opened.
    #[error("the database was not opened")]
    Database(#[source] Box<StorageFault>),
    /// The replication did not start.
    #[error("the replication did not start")]
    Replica(#[source] Box<StartError>),
    /// The work was not done.
    #[error("the start was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// Where a member takes part, and with what.
pub(crate) struct Place {
    pub(crate) own: OwnEnd,
    pub(crate) config: FleetConfig,
    pub(crate) clock: Arc<SystemClock>,
    pub(crate) log: LogClient,
    seeker: Seeker,
    device: Arc<dyn SealedStore>,
    formation_file: FormationFile,
}

/// A formation and the storage that belongs to it.
pub(crate) struct Joined {
    formation: Formation,
    storage: Storage,
}

/// Looks at what is on the disk: what was joined before, or nothing.
///
/// Whatever does not fit together is refused here, before anybody is served.
pub(super) async fn prepare(
    own: OwnEnd,
    keys: [PublicKey; 2],
    device: Arc<dyn SealedStore>,
    config: FleetConfig,
) -> Result<(Arc<Place>, Option<Joined>), FleetStartError> {
    let [identity_key, session_key] = keys;
    let (fleet_id, member_id) = (own.fleet_id.clone(), own.member_id.clone());
    let log = LogClient::new(&config.log_url, &config.namespace).map_err(FleetStartError::Client)?;
    let formation_file = FormationFile::new(&config.data_folder, &own);
    let seeker = Seeker { fleet_id, member_id, identity_key, session_key };
    let place = Place { own, config, clock: Arc::new(SystemClock), log, seeker, device, formation_file };
    let preparing = tokio::task::spawn_blocking(move || {
        check_apart(&place.config)?;
        let joined = if let Some(formation) = place.formation_file.read(place.device.as_ref())? {
            Some(place.rejoin(formation)?)
        } else {
            place.check_new()?;
            None
        };
        Ok((Arc::new(place), joined))
    });
    preparing.await.map_err(FleetStartError::Interrupted)?
}

/// Joins a fleet for the first time.
pub(crate) async fn join(place: &Arc<Place>, formation: Formation) -> Result<Joined, FleetStartError> {
    let place = Arc::clone(place);
    let joining = tokio::task::spawn_blocking(move || place.join(formation));
    joining.await.map_err(FleetStartError::Interrupted)?
}

/// Takes part in the replication from now on.
pub(crate) async fn take_part(place: &Place, joined: Joined) -> Result<Serving<Replica>, FleetStartError> {
    let Joined { formation, storage } = joined;
    let members = formation.roster().ok_or(FleetStartError::OtherKeys)?;
    let own = members.iter().find(|member| member.member_id == place.own.member_id);
    let own = own.ok_or(FleetStartError::OtherKeys)?.number;
    let settings = ReplicaSettings {
        own,
        members: members.iter().map(|member| (member.number, member.member_id.clone())).collect(),
        timing: Timing::of_heartbeat(place.config.heartbeat),
        clock: place.clock.clone(),
    };
    let roster = Arc::new(Roster::new(members));
    let lanes = PeerLanes::new(place.own.clone(), Arc::clone(&roster), &place.addresses());
    let fleet = Arc::new(
        Replica::start(settings, storage, Arc::new(lanes))
            .await
            .map_err(|error| FleetStartError::Replica(Box::new(error)))?,
    );
    let OwnEnd { origin, fleet_id, .. } = &place.own;
    let tokens = TokenVerifier::new(origin, fleet_id, &place.config.account_issuers);
    let terms = Arc::new(FoundingTerms::new(formation.trust.into(), fleet_id.clone(), &place.config));
    let sessions = SessionService::new(
        place.own.clone(),
        tokens,
        place.clock.clone(),
        Arc::clone(&fleet),
        place.config.write_deadline,
        Arc::clone(&terms),
    );
    Ok(Serving { fleet, sessions: Arc::new(sessions), roster, terms })
}

impl Place {
    /// Looks for the fleet in the log's newest bundle.
    pub(crate) async fn seek(&self) -> Result<Formation, FormError> {
        let trust = read_trust(&self.config.trust)?;
        let addresses = self.addresses();
        let has_address = |member: &Name| addresses.contains_key(member);
        Formation::seek(&self.log, &trust, &self.seeker, has_address, self.clock.now()).await
    }

    fn addresses(&self) -> BTreeMap<Name, String> {
        self.config.peers.iter().map(|peer| (peer.member_id.clone(), peer.address.clone())).collect()
    }

    /// 1. The counter is opened: `init` made it, at 0. One that is missing is not made here, or whoever hides it would make
    ///    this member a new one.
    /// 2. The formation is stored. From here on a counter must be there, or nothing is opened again.
    /// 3. The storage is made, which raises the counter to 1 before anybody is answered. A crash before that leaves an
    ///    empty database beside a counter at 0, which the next start goes on from.
    fn join(&self, formation: Formation) -> Result<Joined, FleetStartError> {
        let counter = self.open_counter()?;
        self.formation_file.store(self.device.as_ref(), &formation)?;
        let storage = self.open_storage(counter)?;
        Ok(Joined { formation, storage })
    }

    fn rejoin(&self, formation: Formation) -> Result<Joined, FleetStartError> {
        let own = formation.members.iter().find(|member| member.member_id == self.own.member_id.as_str());
        let has_own_keys = own.is_some_and(|own| {
            own.identity == self.own.identity.public_key() && own.session == self.own.session.public_key()
        });
        if !has_own_keys {
            return Err(FleetStartError::OtherKeys);
        }
        let storage = self.open_storage(self.open_counter()?)?;
        Ok(Joined { formation, storage })
    }

    /// Refuses a member that took part before and has lost its formation.
    fn check_new(&self) -> Result<(), FleetStartError> {
        let counted = self.open_counter()?.read()?;
        let database = self.database();
        let is_there = database.try_exists().map_err(|source| FleetStartError::Io { path: database, source })?;
        if counted > 0 || is_there {
            return Err(FleetStartError::DataLost { data_folder: self.config.data_folder.clone() });
        }
        Ok(())
    }

    fn open_storage(&self, counter: CounterFile) -> Result<Storage, FleetStartError> {
        let backend = file_backend(&self.database()).map_err(|fault| FleetStartError::Database(Box::new(fault)))?;
        let identity = self.own.identity.public_key();
        Storage::open(backend, Arc::clone(&self.device), Box::new(counter), identity).map_err(|source| {
            let data_folder = self.config.data_folder.clone();
            FleetStartError::Storage { data_folder, source: Box::new(source) }
        })
    }

    fn open_counter(&self) -> Result<CounterFile, FleetStartError> {
        CounterFile::open(&self.config.counter_file).map_err(|source| self.counter_error(source))
    }

    fn counter_error(&self, source: CounterFileError) -> FleetStartError {
        FleetStartError::Counter { path: self.config.counter_file.clone(), source }
    }

    fn database(&self) -> PathBuf {
        self.config.data_folder.join(DATABASE)
    }
}

/// Follows links, which the configuration alone cannot. What is missing cannot be a link.
fn check_apart(config: &FleetConfig) -> Result<(), FleetStartError> {
    let counter_folder = config.counter_file.parent().unwrap_or(Path::new("."));
    let folders = [config.data_folder.as_path(), counter_folder];
    let mut resolved = Vec::new();
    for folder in folders {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        match folder.canonicalize() {
            Ok(folder) => resolved.push(folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(FleetStartError::Io { path: folder.to_owned(), source }),
        }
    }
    match resolved.as_slice() {
        [data, counter] if counter.starts_with(data) => {
            Err(FleetStartError::CounterInsideData { path: config.counter_file.clone() })
        }
        _ => Ok(()),
    }
}

fn read_trust(path: &Path) -> Result<Vec<u8>, FormError> {
    let failed = |source| FormError::TrustFile { path: path.to_owned(), source };
    let room = u64::try_from(TRUST_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(room).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config::Config;
    use crate::testkit::public;

    fn config(folder: &Path) -> FleetConfig {
        let key = hex::encode(public(1).bytes());
        let text = format!(
            "listen = \"127.0.0.1:0\"\norigin = \"log.example/backup\"\nfleet_id = \"fleet-1\"\n\
             member_id = \"member-1\"\nfailure_domain = \"site-1\"\nidentity_key_file = \"identity.key\"\n\
             session_key_file = \"session.key\"\npassphrase_file = \"passphrase\"\n\
             attestation_file = \"attestation.json\"\n\
             vendor_keys = [{{ algorithm = \"ed25519\", public_key = \"{key}\" }}]\n\
             peer_listen = \"127.0.0.1:0\"\npeers = [{{ member_id = \"member-1\", address = \"127.0.0.1:1\" }}]\n\
             log_url = \"http://127.0.0.1:1\"\ntrust = \"trust.json\"\ndata_folder = \"data\"\n\
             counter_file = \"device/counter\"\nsealing_key_file = \"sealing.key\"\n\
             account_issuers = [{{ issuer = \"accounts.example\", public_key = \"{key}\" }}]\n"
        );
        Config::parse(&text, folder).unwrap().fleet.unwrap()
    }

    #[test]
    fn a_counter_that_a_link_leads_into_the_data_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        assert!(check_apart(&config).is_ok(), "neither folder is there yet");
        std::fs::create_dir_all(folder.path().join("data/inside")).unwrap();
        assert!(check_apart(&config).is_ok());
        symlink(folder.path().join("data/inside"), folder.path().join("device")).unwrap();
        let refused = check_apart(&config);
        assert!(matches!(refused, Err(FleetStartError::CounterInsideData { .. })), "{refused:?}");
        std::fs::remove_file(folder.path().join("device")).unwrap();
        std::fs::create_dir(folder.path().join("device")).unwrap();
        assert!(check_apart(&config).is_ok());
    }

    #[test]
    fn a_trust_file_is_read_at_each_try_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trust.json");
        assert!(matches!(read_trust(&path), Err(FormError::TrustFile { .. })));
        std::fs::write(&path, vec![b' '; TRUST_BYTES_MAX + 100]).unwrap();
        assert_eq!(read_trust(&path).unwrap().len(), TRUST_BYTES_MAX + 1);
    }
}
