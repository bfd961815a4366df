# A running authority with something in it: an authority of `up` that certified several epochs, and a log of opaque
# entries. Read by scripts/interop.

start_authority() {
  step "an authority, its witnesses, a countersigner and three members"
  "$countermark" up --authority-only --port-base 0 --data "$data" >"$work/up.log" 2>&1 &
  running+=($!)
  wait_for "the authority" $! grep -q "countermark audit --log" "$work/up.log"
  url="http://127.0.0.1:$(field ports log <"$data/countermark-up.json")"
  trust="$data/client/trust.json"
  field keys policy <"$trust" >"$work/backup.policy"
  field keys certificate 0 public_key <"$trust" >"$work/certificate-key"
  save_bundle 1
  echo "   epoch 1 is active at $url"
}

# A bundle is verified while its epoch is the newest one, and handed to OpenSSL later.
save_bundle() { # epoch
  fetch "$url/v1/backup/bundles/newest" >"$work/epoch-$1.bundle.json"
  "$countermark" verify bundle --trust "$trust" --bundle "$work/epoch-$1.bundle.json" --no-floor \
    --write-der "$work/epoch-$1" >/dev/null
}

active() { # epoch
  [ "$("$countermark" status --log "$url" --namespace backup --json | field newest_active epoch)" = "$1" ]
}

certify_epochs() {
  local epoch
  for epoch in $(seq 2 "$epochs"); do
    certify "$work/statement-$epoch" "$epoch" >"$work/certify-$epoch.log" 2>&1 ||
      { cat "$work/certify-$epoch.log"; exit 1; }
    wait_for "epoch $epoch" "${running[0]}" active "$epoch"
    save_bundle "$epoch"
    echo "   epoch $epoch is active"
  done
}

certify() { # folder, epoch
  local officer number members=() approvals=() attestations=()
  mkdir "$1"
  for number in 0 1 2; do
    members+=(--member "http://127.0.0.1:$(field ports members $number <"$data/countermark-up.json")")
    attestations+=(--attestation "$1/evidence/attestation-member-$((number + 1)).json")
  done
  "$countermark" fleet build --log "$url" --trust "$data/operator/trust.json" "${members[@]}" \
    --vendor-key "$("$countermark" keys show --key-file "$data/vendor/vendor.key" --json | field public_key)" \
    --out "$1/statement.json" --evidence "$1/evidence" || return
  for officer in officer-1 officer-2; do
    "$countermark" approve --statement "$1/statement.json" --officer "$officer" --out "$1/$officer.jws" \
      --key-file "$data/$officer/officer.key" --passphrase-file "$data/$officer/passphrase" || return
    approvals+=(--approval "$1/$officer.jws")
  done
  "$countermark" submit --log "$url" --trust "$data/operator/trust.json" --statement "$1/statement.json" \
    "${approvals[@]}" "${attestations[@]}" --issuer operator --subject release --audience countermark.localhost \
    --token-key-file "$data/operator/token-issuer.key" --token-passphrase-file "$data/operator/passphrase"
}

start_raw_log() {
  step "a log of $raw_entries opaque entries"
  local folder="$work/raw" access
  mkdir "$folder"
  access=(--key-file "$folder/token-issuer.key" --passphrase-file "$folder/passphrase")
  "$countermark" keys new --role token-issuer "${access[@]}" --json >"$folder/token-issuer.json"
  "$countermark" keys new --role log --name raw.localhost/digests --key-file "$folder/log.key" \
    --passphrase-file "$folder/passphrase" --json >"$folder/log.json"
  "$countermark" token keyset --issuer submitters --public-key "$(field public_key <"$folder/token-issuer.json")" \
    --out "$folder/token-keys.json" >/dev/null
  printf 'log %s\nquorum none\n' "$(field vkey <"$folder/log.json")" >"$work/digests.policy"
  cat >"$folder/log.toml" <<TOML
listen = "127.0.0.1:0"
authority = "raw.localhost"
token_keys = "token-keys.json"
database_folder = "databases"
register_folder = "register"

[[namespace]]
name = "digests"
kind = "raw"
witness_policy = "../digests.policy"
log_key_file = "log.key"
passphrase_file = "passphrase"
TOML
  "$countermark" log create --config "$folder/log.toml" >"$work/create.log" 2>&1
  "$countermark" log serve --config "$folder/log.toml" >"$folder/ready.json" 2>"$work/raw.log" &
  running+=($!)
  wait_for "the raw log" $! grep -q ready "$folder/ready.json"
  raw_url="http://$(field address <"$folder/ready.json")"
  "$countermark" token new "${access[@]}" --issuer submitters --subject interop --audience raw.localhost \
    --namespace digests --scope entries >"$folder/token"
  python3 tests/interop/fill.py "$raw_url" digests "$raw_entries" <"$folder/token"
  echo "   $raw_entries entries at $raw_url"
}
