# The programs that verify, and what is verified. Read by scripts/interop.

go_source=/usr/share/gocode

install_verifiers() {
  step "programs of others"
  need gcc command -v cc
  need openssl command -v openssl
  need python3 command -v python3
  need protobuf-compiler command -v protoc # plexi's build asks for it
  need golang-go command -v go
  need golang-golang-x-mod-dev test -d "$go_source/src/golang.org/x/mod/sumdb/tlog"
  # pycose reads what version 5 of cbor2 gives it, not what version 6 does.
  need_python "$target/interop/venv" 'import cbor2, pycose.messages' 'pycose==1.1.*' 'cbor2==5.*'
  python="$target/interop/venv/bin/python3"

  plexi="$target/interop/plexi/bin/plexi"
  if [ "$("$plexi" --version 2>/dev/null)" != "plexi-cli $plexi_version" ]; then
    echo "== building plexi $plexi_version: minutes"
    cargo install plexi-cli --version "=$plexi_version" --locked --quiet \
      --root "$target/interop/plexi" --target-dir "$target/interop/plexi-build"
    rm -rf "$target/interop/plexi-build"
  fi

  echo "== building the Go program"
  # Debian's sources are no modules, and nothing is fetched.
  env GO111MODULE=off GOFLAGS= GOPATH="$go_source" GOCACHE="$target/interop/go-cache" \
    go build -o "$target/interop/tlog" tests/interop/tlog.go

  if [ -z "${COUNTERMARK_BIN_DIR-}" ]; then
    step build
    # As scripts/test builds it, so that nothing is built twice.
    cargo build --workspace --bins --tests --locked
    COUNTERMARK_BIN_DIR="$target/debug"
  fi
  countermark="$COUNTERMARK_BIN_DIR/countermark"
  echo "$("$countermark" --version), $("$plexi" --version), $(go version), $(openssl version), pycose $("$python" -c '
from importlib.metadata import version
print(version("pycose"))')"
}
