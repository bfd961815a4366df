//! The first start: every role makes its own keys in its own folder, then configurations are written from what is
//! public. Each step either happened already or is done now, so a first start that was killed is simply done again.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;

use super::child::Program;
use super::job::Report;
use super::layout::{ACCOUNTS, AUTHORITY, FLEET, Layout, NAMESPACE, OFFICERS, ORIGIN};
use crate::documents;

/// The public halves of every key that another role must know.
struct PublicKeys {
    /// Ed25519, then ML-DSA-44.
    log_vkeys: [String; 2],
    certificate: String,
    authority_administration: String,
    authority_revocation: String,
    operator: String,
    operator_administration: String,
    operator_revocation: String,
    token_issuer: String,
    account_issuer: String,
    officers: Vec<String>,
    vendor: String,
    /// Ed25519, then ML-DSA-44.
    witness_vkeys: Vec<[String; 2]>,
}

/// Makes whatever is missing.
pub async fn keys_and_configurations(program: &Program, layout: &Layout, report: &mut Report) -> anyhow::Result<()> {
    let begun = Instant::now();
    let keys = make_keys(program, layout).await?;
    report.step("every role makes its own keys", "21 key files in 10 folders", begun);

    let begun = Instant::now();
    write_policy_and_trust(program, layout, &keys).await?;
    report.step("trust file: what a client will pin", "4 witnesses, quorum 3, f = 1", begun);

    let begun = Instant::now();
    write_configurations(layout, &keys)?;
    create(program, layout).await?;
    report.step("log, witnesses, ledger and members are created", "SQLite, one file each", begun);
    Ok(())
}

async fn key(program: &Program, folder: &Path, role: &str, name: Option<&str>) -> anyhow::Result<Value> {
    let file = folder.join(format!("{role}.key")).to_string_lossy().into_owned();
    let passphrase = folder.join("passphrase").to_string_lossy().into_owned();
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut arguments =
        vec!["keys", "new", "--role", role, "--key-file", &file, "--passphrase-file", &passphrase, "--if-absent"];
    if let Some(name) = name {
        arguments.extend(["--name", name]);
    }
    program.verb(&arguments).await
}

async fn public(program: &Program, folder: &Path, role: &str) -> anyhow::Result<String> {
    text(&key(program, folder, role, None).await?, "public_key")
}

fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    value[field].as_str().map(ToString::to_string).with_context(|| format!("the verb printed no {field}"))
}

async fn make_keys(program: &Program, layout: &Layout) -> anyhow::Result<PublicKeys> {
    let (authority, operator) = (layout.authority(), layout.operator());
    let mut officers = Vec::new();
    for officer in OFFICERS {
        officers.push(public(program, &layout.officer(officer), "officer").await?);
    }
    let mut witness_vkeys = Vec::new();
    for number in 1..=4 {
        let name = format!("witness-{number}.localhost");
        let folder = layout.witness(number);
        let ed25519 = key(program, &folder, "witness", Some(&name)).await?;
        let ml_dsa_44 = key(program, &folder, "witness-ml-dsa-44", Some(&name)).await?;
        witness_vkeys.push([text(&ed25519, "vkey")?, text(&ml_dsa_44, "vkey")?]);
    }
    Ok(PublicKeys {
        log_vkeys: [
            text(&key(program, &authority, "log", Some(ORIGIN)).await?, "vkey")?,
            text(&key(program, &authority, "log-ml-dsa-44", Some(ORIGIN)).await?, "vkey")?,
        ],
        certificate: public(program, &authority, "certificate").await?,
        authority_administration: public(program, &authority, "administration").await?,
        authority_revocation: public(program, &authority, "revocation").await?,
        operator: public(program, &operator, "operator").await?,
        operator_administration: public(program, &operator, "administration").await?,
        operator_revocation: public(program, &operator, "revocation").await?,
        token_issuer: public(program, &operator, "token-issuer").await?,
        account_issuer: public(program, &layout.accounts(), "account-issuer").await?,
        officers,
        vendor: public(program, &layout.vendor(), "vendor").await?,
        witness_vkeys,
    })
}

async fn write_policy_and_trust(program: &Program, layout: &Layout, keys: &PublicKeys) -> anyhow::Result<()> {
    let policy = layout.public().join("witnesses.policy");
    let trust = layout.public().join("trust.json");
    // Issued once: its time is part of it.
    if !trust.exists() {
        documents::write(&policy, witness_policy(layout, keys).as_bytes())?;
        let (policy, trust) = (policy.to_string_lossy(), trust.to_string_lossy());
        let arguments = [
            ("--origin", ORIGIN),
            ("--policy", &policy),
            ("--certificate-key", &keys.certificate),
            ("--operator-key", &keys.operator),
            ("--authority-administration-key", &keys.authority_administration),
            ("--operator-administration-key", &keys.operator_administration),
            ("--authority-revocation-key", &keys.authority_revocation),
            ("--operator-revocation-key", &keys.operator_revocation),
            ("--out", &trust),
        ];
        let arguments = arguments.iter().flat_map(|(flag, value)| [*flag, *value]);
        program.verb(&["trust", "new"].into_iter().chain(arguments).collect::<Vec<_>>()).await?;
    }
    // Each party pins its own copy.
    let bytes = documents::read(&trust)?;
    let members = (1..=3).map(|number| layout.member(number));
    let roles = [layout.authority(), layout.operator(), layout.client(), layout.auditor()];
    for folder in roles.into_iter().chain(members) {
        let copy = folder.join("trust.json");
        if !copy.exists() {
            documents::write(&copy, &bytes)?;
        }
    }
    let token_keys = layout.authority().join("token-keys.json").to_string_lossy().into_owned();
    let arguments =
        ["token", "keyset", "--issuer", "operator", "--public-key", &keys.token_issuer, "--out", &token_keys];
    program.text(&arguments).await?;
    Ok(())
}

fn witness_policy(layout: &Layout, keys: &PublicKeys) -> String {
    use std::fmt::Write as _;
    let [ed25519, ml_dsa_44] = &keys.log_vkeys;
    let mut text = format!("log {ed25519} {url}\nlog {ml_dsa_44} {url}\n\n", url = layout.log_url());
    for (number, [ed25519, ml_dsa_44]) in (1..).zip(&keys.witness_vkeys) {
        let (name, url) = (format!("witness-{number}"), layout.witness_url(number));
        // A witness counts once, with either of its keys.
        let _ = writeln!(text, "witness {name}-ed25519 {ed25519} {url}\nwitness {name}-ml-dsa-44 {ml_dsa_44} {url}");
        let _ = writeln!(text, "group {name} any {name}-ed25519 {name}-ml-dsa-44");
    }
    text.push_str("\ngroup three-of-four 3 witness-1 witness-2 witness-3 witness-4\nquorum three-of-four\n");
    text
}

fn write_configurations(layout: &Layout, keys: &PublicKeys) -> anyhow::Result<()> {
    let officers: Vec<String> = OFFICERS
        .iter()
        .zip(&keys.officers)
        .map(|(subject, key)| format!("  {{ subject = \"{subject}\", public_key = \"{key}\" }},\n"))
        .collect();
    let vendor = format!("[{{ algorithm = \"ed25519\", public_key = \"{}\" }}]", keys.vendor);
    // A folder from before logs had a second key goes on with the keys that its trust file names.
    let policy = documents::read(&layout.public().join("witnesses.policy"))?;
    let has_second = String::from_utf8_lossy(&policy).contains(&keys.log_vkeys[1]);
    let second = if has_second { "ml_dsa_44_log_key_file = \"log-ml-dsa-44.key\"\n" } else { "" };
    let log = format!(
        "listen = \"{listen}\"\nauthority = \"{AUTHORITY}\"\ntoken_keys = \"token-keys.json\"\n\
         database_folder = \"databases\"\nregister_folder = \"register\"\nsubmission_deadline_ms = 60000\n\n\
         [[namespace]]\nname = \"{NAMESPACE}\"\nkind = \"fleet-keys\"\ntrust = \"trust.json\"\n\
         log_key_file = \"log.key\"\n{second}certificate_key_file = \"certificate.key\"\n\
         administration_key_file = \"administration.key\"\npassphrase_file = \"passphrase\"\n\
         vendor_keys = {vendor}\nofficers = [\n{officers}]\napprovals_needed = 2\n",
        listen = Layout::listen(&layout.log_url()),
        officers = officers.concat(),
    );
    documents::write(&layout.authority().join("log.toml"), log.as_bytes())?;
    for number in 1..=4 {
        let witness = format!(
            "listen = \"{listen}\"\nname = \"witness-{number}.localhost\"\nkey_file = \"witness.key\"\n\
             ml_dsa_44_key_file = \"witness-ml-dsa-44.key\"\npassphrase_file = \"passphrase\"\nstate = \"witness.sqlite\"\n\n\
             [[log]]\norigin = \"{ORIGIN}\"\nvkeys = [\"{}\", \"{}\"]\n",
            keys.log_vkeys[0],
            keys.log_vkeys[1],
            listen = Layout::listen(&layout.witness_url(number)),
        );
        documents::write(&layout.witness(number).join("witness.toml"), witness.as_bytes())?;
    }
    let countersigner = format!(
        "listen = \"{listen}\"\nlog_url = \"{log}\"\ntrust = \"trust.json\"\noperator_key_file = \"operator.key\"\n\
         token_key_file = \"token-issuer.key\"\npassphrase_file = \"passphrase\"\nledger = \"ledger.sqlite\"\n\
         token_audience = \"{AUTHORITY}\"\nissuer = \"operator\"\nsubject = \"countersigner\"\n\
         # A real operator waits for days before it adds trust; here somebody is watching.\n\
         cool_off_seconds = 0\npoll_interval_ms = 100\n",
        listen = Layout::listen(&layout.countersigner_url()),
        log = layout.log_url(),
    );
    documents::write(&layout.operator().join("countersigner.toml"), countersigner.as_bytes())?;
    for number in 1..=3 {
        let member = member_configuration(layout, keys, &vendor, number);
        documents::write(&layout.member(number).join("member.toml"), member.as_bytes())?;
        let device = layout.device(number);
        std::fs::create_dir_all(&device).with_context(|| format!("cannot make {}", device.display()))?;
    }
    Ok(())
}

fn member_configuration(layout: &Layout, keys: &PublicKeys, vendor: &str, number: usize) -> String {
    let peers: Vec<String> = (1..=3)
        .map(|peer| format!("  {{ member_id = \"member-{peer}\", address = \"{}\" }},\n", layout.peer_address(peer)))
        .collect();
    format!(
        "listen = \"{listen}\"\norigin = \"{ORIGIN}\"\nfleet_id = \"{FLEET}\"\nmember_id = \"member-{number}\"\n\
         failure_domain = \"site-{number}\"\nidentity_key_file = \"vault-identity.key\"\n\
         session_key_file = \"vault-session.key\"\npassphrase_file = \"passphrase\"\n\
         attestation_file = \"attestation.json\"\nvendor_keys = {vendor}\n\n\
         peer_listen = \"{peer_listen}\"\npeers = [\n{peers}]\nlog_url = \"{log}\"\ntrust = \"trust.json\"\n\
         data_folder = \"data\"\n# The device: elsewhere than the data, or a copy of the disk has everything.\n\
         sealing_key_file = \"../device-{number}/vault-sealing.key\"\ncounter_file = \"../device-{number}/counter\"\n\
         account_issuers = [{{ issuer = \"{ACCOUNTS}\", public_key = \"{issuer}\" }}]\n\
         # A real fleet waits for a week before it believes without the old password; here somebody is watching.\n\
         cool_off_seconds = 2\nwrite_deadline_ms = 2000\nbundle_poll_interval_ms = 200\n",
        listen = Layout::listen(&layout.member_url(number)),
        peer_listen = layout.peer_address(number),
        peers = peers.concat(),
        log = layout.log_url(),
        issuer = keys.account_issuer,
    )
}

/// Creates what must be created explicitly: an empty database never becomes a new log by itself.
async fn create(program: &Program, layout: &Layout) -> anyhow::Result<()> {
    let mut all = vec![
        ("log", "create", layout.authority().join("log.toml")),
        ("countersigner", "init", layout.operator().join("countersigner.toml")),
    ];
    all.extend((1..=4).map(|number| ("witness", "init", layout.witness(number).join("witness.toml"))));
    all.extend((1..=3).map(|number| ("vault", "init", layout.member(number).join("member.toml"))));
    for (service, verb, config) in all {
        let config = config.to_string_lossy();
        program.text(&[service, verb, "--config", &config, "--if-absent"]).await?;
    }
    Ok(())
}
