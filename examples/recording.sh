#!/bin/sh
# What docs/recording.svg shows. To record it anew, with a service running (freshrelay serve --sandbox, in an empty directory that
# has examples/calls in it) and freshrelay on the PATH:
#
#   termtosvg docs/recording.svg -g 130x36 -t window_frame -M 4000 -c examples/recording.sh
show() {
	printf '$ freshrelay %s\n' "$*"
	sleep 1
	freshrelay --sandbox "$@"
	sleep 4
	clear
}
show send calls/01-identify.json
show send calls/06-identify-unmapped.json
show mapping suggest
show status
