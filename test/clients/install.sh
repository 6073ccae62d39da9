#!/usr/bin/env bash
# Installs what the client tests run: a browser, and SDKs with the toolchains of their languages (Debian). What is there stays. Anything
# that cannot be had is an error.
set -Eeuo pipefail
cd "$(dirname "$0")"
into="${TRIBUTARY_CLIENTS:-$(cd ../.. && pwd)/.clients}"
mkdir -p "$into"

say() { echo "clients: $*" >&2; }
trap 'say "failed: $BASH_COMMAND (install.sh:$LINENO); the client tests need it, and none is skipped"' ERR

packages=()
command -v chromium >/dev/null || packages+=(chromium)
command -v go >/dev/null || packages+=(golang-go)
command -v javac >/dev/null || packages+=(default-jdk-headless)
command -v mvn >/dev/null || packages+=(maven)
# Debian's other cargo is too old for what the crate is made with.
command -v cargo >/dev/null || packages+=(cargo-web)
python3 -m venv --help >/dev/null 2>&1 && python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
if [ "${#packages[@]}" -gt 0 ]; then
  say "installing ${packages[*]}"
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

# A part is built again when its files have changed.
is_built() { [ -f "$into/$1.stamp" ] && [ "$(cat "$into/$1.stamp")" = "$2" ]; }
sum_of() { find "$1" -type f -not -name Cargo.lock -print0 | sort -z | xargs -0 cat | sha256sum | cut -c1-16; }

copy_jars() {
  rm -rf "$3"
  mvn --quiet --batch-mode -Dstyle.color=never -f "$1" dependency:copy-dependencies -DincludeScope="$2" -DoutputDirectory="$3"
}

sum=$(sum_of python)
if ! is_built python "$sum"; then
  say "Python SDK"
  python3 -m venv "$into/python"
  "$into/python/bin/pip" install --quiet --disable-pip-version-check -r python/requirements.txt
  echo "$sum" >"$into/python.stamp"
fi

sum=$(sum_of go)
if ! is_built go "$sum"; then
  say "Go SDK"
  mkdir -p "$into/go"
  (cd go && go build -o "$into/go/client" .)
  echo "$sum" >"$into/go.stamp"
fi

sum=$(sum_of java)
if ! is_built java "$sum"; then
  say "Java SDK"
  copy_jars java/pom.xml runtime "$into/java/lib"
  javac -encoding UTF-8 -cp "$into/java/lib/*" -d "$into/java/classes" java/Client.java
  echo "$sum" >"$into/java.stamp"
fi

# The compiler is a package like the SDK: Debian has none.
sum=$(sum_of kotlin)
if ! is_built kotlin "$sum"; then
  say "Kotlin SDK"
  copy_jars kotlin/pom.xml runtime "$into/kotlin/lib"
  copy_jars kotlin/pom.xml provided "$into/kotlin/compiler"
  jars=("$into"/kotlin/lib/*.jar)
  java -cp "$into/kotlin/compiler/*:$into/kotlin/lib/*" org.jetbrains.kotlin.cli.jvm.K2JVMCompiler \
    -no-stdlib -no-reflect -cp "$(IFS=: && echo "${jars[*]}")" -d "$into/kotlin/classes" kotlin/Client.kt
  echo "$sum" >"$into/kotlin.stamp"
fi

sum=$(sum_of rust)
if ! is_built rust "$sum"; then
  say "Rust crate"
  cargo build --quiet --release --manifest-path rust/Cargo.toml --target-dir "$into/rust"
  echo "$sum" >"$into/rust.stamp"
fi
say "ready"
