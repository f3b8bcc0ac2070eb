#!/bin/sh
# Gets what `make test-clients` needs: Node, Chromium, and the clients themselves at the versions of package-lock.json.
# Installs system packages only as root on Debian (and its relatives); elsewhere it says what is missing.
set -eu
cd "$(dirname "$0")/testdata"

has() { command -v "$1" >/dev/null 2>&1; }
has_browser() { has chromium || has chromium-browser || has google-chrome; }

missing=""
has node || missing="$missing nodejs"
has npm || missing="$missing npm"
has_browser || missing="$missing chromium"
if [ -n "$missing" ] && [ "$(id -u)" -eq 0 ] && has apt-get; then
	echo "test-clients: installing$missing"
	apt-get -qq -o Acquire::Retries=1 update || true # a mirror that fails may not be the one that matters
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null
fi
for program in node npm; do
	has "$program" || { echo "test-clients: $program is missing. Install Node 20 or newer, with npm." >&2; exit 1; }
done
has_browser || { echo "test-clients: Chromium is missing. Install chromium (or google-chrome) into the PATH." >&2; exit 1; }
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || { echo "test-clients: Node is version $major; @segment/analytics-node needs 20 or newer." >&2; exit 1; }

# npm writes this file last; while it is newer than the lock, everything is there and no network is needed.
installed=node_modules/.package-lock.json
if [ ! -e "$installed" ] || [ package-lock.json -nt "$installed" ]; then
	echo "test-clients: installing the clients from the npm registry"
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error || {
		echo "test-clients: npm ci failed. It needs the npm registry, once." >&2
		exit 1
	}
fi
