#!/bin/sh
# Builds toolcrib for those who run it, into target/dist: trained. A first build counts what is run while it serves (deploy/training.py),
# a second is laid out by that: what calls go through lies together and is made quick, the rest is made small. Takes three quarters of
# an hour on two cores where nothing is built yet. Ends with 3 where the compiler's llvm-profdata is not here.
set -eu

cd "$(dirname "$0")/.."
mkdir -p "${CARGO_TARGET_DIR:-target}/dist"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
dist=$target/dist
platform=$(rustc -vV | sed -n 's/^host: //p')
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')

# The program that reads what was counted is to be of the compiler's own LLVM.
profdata=
for found in "$(rustc --print sysroot)/lib/rustlib/$platform/bin/llvm-profdata" "$(command -v "llvm-profdata-$llvm" || true)"; do
  if [ -x "$found" ]; then
    profdata=$found
    break
  fi
done
if [ -z "$profdata" ]; then
  echo "dist: llvm-profdata of LLVM $llvm is not here: run 'rustup component add llvm-tools', or install the package llvm-$llvm" >&2
  exit 3
fi

# What the load takes, and a sign by which another training is known.
CARGO_TARGET_DIR="$target" sh bench/load.sh
stamp=$(cat deploy/training.py bench/compare/*.py bench/compare/candidates/toolcrib*.py bench/compare/load.lua bench/fixtures/src/bin/*.rs | cksum)

# Flags of one's own go with ours. With --target they are for the program alone, not for what runs while it is built.
separator=$(printf '\037')
own_flags=${CARGO_ENCODED_RUSTFLAGS:-$(printf %s "${RUSTFLAGS:-}" | tr ' ' '\037')}
build() {
  CARGO_TARGET_DIR="$dist/$1" CARGO_ENCODED_RUSTFLAGS="${own_flags:+$own_flags$separator}$2" \
    cargo build --release --locked --target "$platform" -p toolcrib --bin toolcrib --example echo
}

echo "dist: 1 of 3: a build that counts what is run" >&2
build counting "-Cprofile-generate=$dist/counts"
counting=$dist/counting/$platform/release

if [ "$(cat "$dist/training" 2>/dev/null)" = "$stamp" ] && [ "$dist/training" -nt "$counting/toolcrib" ]; then
  echo "dist: 2 of 3: it was trained before" >&2
else
  echo "dist: 2 of 3: it is trained, for some minutes" >&2
  # Cargo would not notice that libraries were laid out by another training.
  rm -rf "$dist/counts" "$dist/trained"
  env -u LLVM_PROFILE_FILE CARGO_TARGET_DIR="$target" python3 deploy/training.py "$counting"
  "$profdata" merge -o "$dist/trained.profdata" "$dist/counts"/*.profraw
  echo "$stamp" > "$dist/training"
fi

echo "dist: 3 of 3: the build that is laid out by it" >&2
build trained "-Cprofile-use=$dist/trained.profdata"
mkdir -p "$dist/examples"
ln -f "$dist/trained/$platform/release/toolcrib" "$dist/toolcrib"
ln -f "$dist/trained/$platform/release/examples/echo" "$dist/examples/echo"
echo "dist: $dist/toolcrib" >&2
