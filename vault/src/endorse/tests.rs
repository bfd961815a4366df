use super::*;
use crate::http;
use crate::member::VaultMember;
use crate::testing::MemberFolder;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, put};
use countermark_bundle::statement::Software;
use countermark_keys::create_passphrase_file;
use std::net::SocketAddr;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// A vendor's folder.
struct Vendor {
    folder: TempDir,
    key: PublicKey,
}

impl Vendor {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let passphrase = folder.path().join("passphrase");
        create_passphrase_file(&passphrase).unwrap();
        let file = folder.path().join("vendor.key");
        KeyFile::create(&file, Role::Vendor, &passphrase).unwrap();
        let key = PublicKey::ed25519(KeyFile::open_signer(&file, Role::Vendor, &passphrase).unwrap().public_key());
        Self { folder, key: key.unwrap() }
    }

    fn endorsement(&self, member: &str, software_sha256: Digest) -> Endorsement {
        Endorsement {
            member: Url::parse(member).unwrap(),
            vendor_key_file: self.folder.path().join("vendor.key"),
            passphrase_file: self.folder.path().join("passphrase"),
            software_sha256,
        }
    }

    async fn endorse(&self, member: &str, software_sha256: Digest) -> Result<Endorsed, EndorseError> {
        endorse(&self.endorsement(member, software_sha256)).await
    }
}

fn software() -> Software {
    crate::testing::software()
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, service).into_future());
    format!("http://{address}")
}

/// A member that trusts these vendors, and where it serves.
async fn member(vendor_keys: &[PublicKey]) -> (MemberFolder, Arc<VaultMember>, String) {
    let mut folder = MemberFolder::new();
    folder.config.vendor_keys = vendor_keys.to_vec();
    let member = Arc::new(folder.open());
    let url = serve(http::router(member.clone())).await;
    (folder, member, url)
}

#[tokio::test]
async fn a_member_is_endorsed_once() {
    let vendor = Vendor::new();
    let (_folder, member, url) = member(std::slice::from_ref(&vendor.key)).await;
    let endorsed = vendor.endorse(&url, software().sha256).await.unwrap();
    let identity = member.identity();
    assert_eq!(
        (endorsed.member_id.as_str(), &endorsed.identity_key_id, endorsed.newly_endorsed),
        ("member-1", &identity.identity_key.key_id().to_string(), true)
    );
    assert_eq!(member.attested_software(), Some(software().sha256));
    let again = vendor.endorse(&format!("{url}/"), software().sha256).await.unwrap();
    assert_eq!(again, Endorsed { newly_endorsed: false, ..endorsed });
}

#[tokio::test]
async fn another_executable_than_the_one_named_is_not_endorsed() {
    let vendor = Vendor::new();
    let (_folder, member, url) = member(std::slice::from_ref(&vendor.key)).await;
    let refused = vendor.endorse(&url, Digest::of(b"reviewed")).await.unwrap_err();
    assert!(matches!(refused, EndorseError::NotEndorsed(NotEndorsed::OtherSoftware { .. })));
    assert_eq!(member.attested_software(), None);
}

#[tokio::test]
async fn a_member_that_trusts_another_vendor_refuses() {
    let (vendor, other) = (Vendor::new(), Vendor::new());
    let (_folder, member, url) = member(&[other.key]).await;
    match vendor.endorse(&url, software().sha256).await.unwrap_err() {
        EndorseError::Refused { status, detail } => {
            assert_eq!(status, 403);
            assert!(detail.contains("not a vendor key"), "{detail}");
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(member.attested_software(), None);
}

/// Where a member answers with this status and body to everything.
async fn answers(status: u16, body: impl Into<Vec<u8>>) -> String {
    let answer = (StatusCode::from_u16(status).unwrap(), body.into());
    serve(Router::new().route("/v1/member", get(async || answer))).await
}

#[tokio::test]
async fn a_report_that_does_not_prove_its_key_is_refused() {
    let vendor = Vendor::new();
    let (_folder, member, _) = member(&[]).await;
    let report = String::from_utf8(member.report().to_vec()).unwrap();
    let stolen = answers(200, report.replace("member-1", "member-2")).await;
    let refused = vendor.endorse(&stolen, software().sha256).await.unwrap_err();
    assert!(matches!(refused, EndorseError::Report(ReportError::ProofOfPossession(_))), "{refused:?}");
}

#[tokio::test]
async fn what_does_not_answer_as_a_member_is_named() {
    let vendor = Vendor::new();
    let endorse = async |url: &str| vendor.endorse(url, software().sha256).await.unwrap_err();
    assert!(matches!(endorse(&answers(404, "").await).await, EndorseError::Status { status: 404, .. }));
    // A redirect leads to another machine's word.
    assert!(matches!(endorse(&answers(307, "").await).await, EndorseError::Status { status: 307, .. }));
    assert!(matches!(endorse(&answers(200, "{}").await).await, EndorseError::Report(ReportError::Json(_))));
    let long = vec![b' '; REPORT_BYTES_MAX + 1];
    assert!(matches!(endorse(&answers(200, long).await).await, EndorseError::TooLong { .. }));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(matches!(endorse(&format!("http://{closed}")).await, EndorseError::Unreachable(_)));
    assert!(matches!(endorse("data:text/plain,x").await, EndorseError::Address { .. }));
}

#[tokio::test]
async fn what_a_member_says_to_a_terminal_is_one_plain_line() {
    let vendor = Vendor::new();
    let (_folder, member, _) = member(&[]).await;
    let report = member.report().to_vec();
    let says = r#"{"detail":"no\u001b[31m\nway"}"#;
    let router = Router::new()
        .route("/v1/member", get(async || report))
        .route("/v1/attestation", put(async move || (StatusCode::FORBIDDEN, says)));
    let refused = vendor.endorse(&serve(router).await, software().sha256).await.unwrap_err();
    assert_eq!(refused.to_string(), "the member refused the attestation (403): no[31mway");
}

#[tokio::test]
async fn a_key_that_is_no_vendors_endorses_nothing() {
    let (vendor, folder) = (Vendor::new(), MemberFolder::new());
    let own = Endorsement {
        vendor_key_file: folder.config.identity_key_file.clone(),
        passphrase_file: folder.config.passphrase_file.clone(),
        ..vendor.endorsement("http://127.0.0.1:9", software().sha256)
    };
    assert!(matches!(endorse(&own).await, Err(EndorseError::Key(OpenError::WrongRole { .. }))));
}
