#!/bin/sh
# Makes a Debian package of the plain release: deploy/deb/build.sh [FOLDER]. The same sources and compiler give the same package then.
# BINARY names another build than target/release/toolcrib, COMPRESSION another than xz.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:-"$here/target/packages"}
binary=${BINARY:-}
if [ -z "$binary" ]; then
  (cd "$here" && cargo build --release --locked -p toolcrib)
  binary="${CARGO_TARGET_DIR:-$here/target}/release/toolcrib"
fi
binary=$(realpath "$binary")
version=$("$binary" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
# Files are as old as the last commit, whenever they are packed.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
umask 022
install -D -m 755 "$binary" "$root/usr/bin/toolcrib"
install -D -m 644 "$here/deploy/systemd/toolcrib.service" "$root/usr/lib/systemd/system/toolcrib.service"
install -d "$root/etc/toolcrib" "$root/usr/share/doc/toolcrib"
(cd "$root/etc/toolcrib" && "$binary" init >/dev/null 2>&1)
# The unit says where records are.
sed -i '/^# Keys, secrets and records/d; /^dataFolder:/d' "$root/etc/toolcrib/mcp-config.yaml"
"$binary" man "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*.1
for shell in bash zsh fish; do
  case $shell in
    bash) file=usr/share/bash-completion/completions/toolcrib ;;
    zsh) file=usr/share/zsh/vendor-completions/_toolcrib ;;
    fish) file=usr/share/fish/vendor_completions.d/toolcrib.fish ;;
  esac
  install -d "$root/$(dirname "$file")"
  "$binary" completions $shell > "$root/$file"
done
cp "$here/README.md" "$here/CHANGELOG.md" "$root/usr/share/doc/toolcrib/"
{
  echo "Toolcrib may be used under the MIT licence or the Apache licence 2.0, at your choice."
  echo
  cat "$here/LICENSE-MIT"
} > "$root/usr/share/doc/toolcrib/copyright"
python3 "$here/deploy/sbom.py" > "$root/usr/share/doc/toolcrib/sbom.cdx.json"

install -d "$root/DEBIAN"
cat > "$root/DEBIAN/control" <<CONTROL
Package: toolcrib
Version: $version
Architecture: $architecture
Maintainer: The Toolcrib developers <toolcrib@localhost>
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: libc6
Recommends: ca-certificates
Section: net
Priority: optional
Description: one binary between AI agents and their tools
 Serves ready-made tools over the Model Context Protocol (MCP), gathers other
 MCP servers behind one endpoint, and takes every call down one road:
 authenticate, authorize, validate, run, record.
CONTROL
printf '/etc/toolcrib/mcp-config.yaml\n/etc/toolcrib/mcp-config.schema.json\n' > "$root/DEBIAN/conffiles"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$out"
package="$out/toolcrib_${version}_$architecture.deb"
dpkg-deb --root-owner-group -Z"${COMPRESSION:-xz}" --build "$root" "$package" >/dev/null
echo "$package"
