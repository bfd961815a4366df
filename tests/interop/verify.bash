# Who verifies what, and what each of them must refuse. Read by scripts/interop.

# plexi exits with 0 whatever it finds: only the word that it prints counts. Beside it, it says that it works.
plexi_says() { # word, then plexi's arguments
  local said
  said="$(NO_COLOR=1 "$plexi" "${@:2}" 2>"$work/plexi.log")"
  cat "$work/plexi.log"
  echo "$said"
  [ "$said" = "$1" ]
}
plexi_verifies() { # what plexi's long report must say of the signature; then its arguments
  local said
  said="$(NO_COLOR=1 "$plexi" "${@:2}" --long 2>"$work/plexi.log")"
  cat "$work/plexi.log"
  echo "$said"
  grep -Eq "^ *Signature verification *: $1\$" <<<"$said"
}
refusal="failed - signature does not verify for the auditor key"

verify_with_plexi() {
  step "plexi: namespaces, certificates"
  local epoch key lie address
  key="$(cat "$work/certificate-key")"
  check plexi "lists the namespace" plexi_says backup ls --remote-url "$url"
  check plexi "newest epoch, key of the log" plexi_says success audit --remote-url "$url" --namespace backup
  for epoch in $(seq "$epochs"); do
    check plexi "epoch $epoch, key of the log" \
      plexi_verifies success audit --remote-url "$url" --namespace backup --epoch "$epoch"
    check plexi "epoch $epoch, key of the trust file" \
      plexi_verifies success audit --remote-url "$url" --namespace backup --epoch "$epoch" --verifying-key "$key"
    fetch "$url/namespaces/backup/audits/$epoch" >"$work/audit-$epoch.json"
    check plexi "epoch $epoch, from a file" \
      plexi_verifies success local-audit --verifying-key "$key" "$work/audit-$epoch.json"
  done
  # The certificate of one epoch under the number of another one, and a key that is not the log's.
  sed 's/"epoch":1/"epoch":2/' "$work/audit-1.json" >"$work/audit-false.json"
  check plexi "a file with another epoch: refused" \
    plexi_says "$refusal" local-audit --verifying-key "$key" "$work/audit-false.json"
  check plexi "another key: refused" plexi_says "$refusal" audit --remote-url "$url" --namespace backup \
    --verifying-key d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a

  python3 tests/interop/lying_proxy.py "$url" >"$work/proxy" 2>"$work/proxy.log" &
  running+=($!)
  wait_for "the proxy" $! grep -q '^all$' "$work/proxy"
  while read -r lie address; do
    case "$lie" in
      all) ;;
      # Through the same proxy: what is refused below is refused for the lie.
      truth) check plexi "a proxy that does not lie" \
        plexi_says success audit --remote-url "$address" --namespace backup --epoch 2 ;;
      *) check plexi "a proxy that lies, $lie: refused" \
        plexi_says "$refusal" audit --remote-url "$address" --namespace backup --epoch 2 ;;
    esac
  done <"$work/proxy"
}

verify_with_go() {
  step "Go's sumdb/note and sumdb/tlog"
  checks "go sumdb" backup "$target/interop/tlog" \
    -log "$url" -namespace backup -policy "$work/backup.policy" -quorum 3
  checks "go sumdb" digests "$target/interop/tlog" \
    -log "$raw_url" -namespace digests -policy "$work/digests.policy" -quorum 0
  check "go sumdb" "another log's keys: refused" fails "$target/interop/tlog" \
    -log "$url" -namespace backup -policy "$work/digests.policy" -quorum 0
  check "go sumdb" "more witnesses than there are: refused" fails "$target/interop/tlog" \
    -log "$url" -namespace backup -policy "$work/backup.policy" -quorum 5
}

# The two commands of FORMATS.md.
certificate() { # folder, signature
  openssl pkeyutl -verify -pubin -inkey "$1/certificate.pem" -rawin -in "$1/certificate.message" -sigfile "$2"
}
countersignature() { # folder, message
  openssl dgst -sha384 -verify "$1/countersignature.pem" -signature "$1/countersignature.der" "$2"
}
flip() { # file, which byte; on standard output
  python3 -c '
import sys
data, at = bytearray(open(sys.argv[1], "rb").read()), int(sys.argv[2])
data[at] ^= 1
sys.stdout.buffer.write(data)' "$@"
}

verify_with_openssl() {
  step OpenSSL
  local epoch folder
  for epoch in $(seq "$epochs"); do
    folder="$work/epoch-$epoch"
    check openssl "epoch $epoch: certificate" certificate "$folder" "$folder/certificate.signature"
    check openssl "epoch $epoch: countersignature" countersignature "$folder" "$folder/countersignature.message"
    flip "$folder/certificate.signature" 40 >"$work/false.signature"
    check openssl "epoch $epoch: certificate, one bit changed: refused" \
      fails certificate "$folder" "$work/false.signature"
    flip "$folder/countersignature.message" 50 >"$work/false.message"
    check openssl "epoch $epoch: countersignature, one bit changed: refused" \
      fails countersignature "$folder" "$work/false.message"
  done
  check openssl "certificate of another epoch: refused" \
    fails certificate "$work/epoch-1" "$work/epoch-2/certificate.signature"
}

verify_with_pycose() {
  step "pycose: COSE receipts"
  local vkey
  vkey="$(awk '$1 == "log" { print $2 }' "$work/backup.policy")"
  # That the program takes what it should and refuses the rest does not depend on the log.
  checks pycose "backup, test of itself" "$python" tests/interop/cose_receipts.py --self-test "$url" backup
  checks pycose "digests, test of itself" "$python" tests/interop/cose_receipts.py --self-test "$raw_url" digests
  checks pycose backup "$python" tests/interop/cose_receipts.py "$url" backup "$vkey"
  checks pycose digests "$python" tests/interop/cose_receipts.py "$raw_url" digests \
    "$(awk '$1 == "log" { print $2 }' "$work/digests.policy")"
}
