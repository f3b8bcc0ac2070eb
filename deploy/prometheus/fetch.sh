#!/bin/sh
# Puts Debian's Prometheus and promtool into a folder, without installing or starting anything: fetch.sh FOLDER
# Where there is no Debian it says so and ends well; the tests that need them are then skipped, visibly.
set -eu
folder=$1
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
	echo "prometheus: SKIPPED: this is no Debian; put prometheus and promtool (2.42 or later) into $folder or the PATH"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fetch() { apt-get -qq -o APT::Sandbox::User=root -o Acquire::Retries=1 -o Acquire::http::Timeout=20 download prometheus; }
if ! fetch 2>/dev/null; then
	apt-get -qq update || true
	if ! fetch; then
		echo "prometheus: SKIPPED: the package cannot be fetched"
		exit 0
	fi
fi
dpkg-deb -x prometheus_*.deb .
cd - >/dev/null
mkdir -p "$folder"
cp "$work/usr/bin/prometheus" "$work/usr/bin/promtool" "$folder/"
echo "prometheus: $("$folder/promtool" --version 2>&1 | head -1) in $folder"
