#!/usr/bin/env bash
# Build OpenSSL's FIPS provider 3.1.2 from its sources in the crate openssl-src, into a folder. Needs
# cargo, perl, make and a C compiler, and 5 minutes. Nothing is installed. Then MFN_TEST_FIPS_MODULE
# names it to the tests. Run as: bash scripts/fips_module_3_1_2.sh FOLDER
set -euo pipefail
folder=$(realpath -m "${1:?the folder that gets fips.so}")
jobs=${JOBS:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/src"
echo > "$work/src/lib.rs"
cat > "$work/Cargo.toml" <<'END'
[package]
name = "fetches"
version = "0.0.0"
edition = "2021"
[dependencies]
openssl-src = "=300.1.3"
END
(cd "$work" && cargo vendor --quiet > /dev/null)
# What cargo took the crate for: the SHA-256 of the file.
grep -q '"package":"cd2c101a165fff9935e34def4669595ab1c7847943c42be86e21503e482be107"' \
  "$work/vendor/openssl-src/.cargo-checksum.json"
cd "$work/vendor/openssl-src/openssl"
# What it was built with is a part of what a certificate says; the tests need a module that works.
./Configure enable-fips no-tests > /dev/null
make -s -j "$jobs" build_generated > /dev/null
make -s -j "$jobs" providers/fips.so > /dev/null
mkdir -p "$folder"
cp providers/fips.so "$folder/fips.so"
sha256sum "$folder/fips.so"
