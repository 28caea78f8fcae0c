# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: Doushard contributors
# What every script of the project shares: messages, usage, waiting, and processes identified by pid
# and start time. Sourced, never run.

# The checkout, or the directory that `make install` put procedures/ and scripts/ into.
# shellcheck disable=SC2034 # for the scripts that source this
ROOT=$(CDPATH='' cd -- "${BASH_SOURCE[0]%/*}/.." && pwd -P)
SCRIPT_NAME=${0##*/}

# Where Debian keeps the servers; an ordinary user's PATH does not have it.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "$SCRIPT_NAME" "$*" >&2; }
die() {
	warn "$@"
	exit 1
}

# Processes are looked up in /proc, and bash needs /dev/fd, which is a link into it.
[[ -r /proc/self/stat ]] || die "/proc is not mounted here: mount -t proc proc /proc"

# The header comment of the running script is its help.
usage() { sed -n '/^#!/d; /^# SPDX-/d; /^[^#]/q; /^$/q; s/^# \{0,1\}//p' "$0"; }

# For --help: to standard output, status 0. For misuse: to standard error, status 2.
usage_exit() {
	usage
	exit 0
}
misuse() {
	warn "$@"
	usage >&2
	exit 2
}

# Milliseconds of wall-clock time; good enough for deadlines and reports.
now_ms() {
	local t=${EPOCHREALTIME/[.,]/}
	printf '%s' "$((t / 1000))"
}

# seconds MS: "12.3"
seconds() { printf '%d.%d' "$(($1 / 1000))" "$(($1 % 1000 / 100))"; }

is_number() { [[ $1 =~ ^[0-9]+$ ]]; }

# wait_until SECONDS COMMAND...: run COMMAND every 50 ms until it succeeds or time is up.
wait_until() {
	local end_us=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
	shift
	until "$@"; do
		((${EPOCHREALTIME/[.,]/} < end_us)) || return 1
		sleep 0.05
	done
}

# absolute PATH: PATH from the root directory, whether it exists or not.
absolute() {
	if [[ $1 == /* ]]; then printf '%s' "$1"; else printf '%s/%s' "$PWD" "$1"; fi
}

# One number for a path: used in names of things outside a directory that belong to it.
path_number() { printf '%s' "$1" | cksum | cut -d' ' -f1; }

# write_file MODE FILE: standard input becomes FILE, completely or not at all. A temporary file of
# an interrupted run is removed first, since its mode may differ.
write_file() {
	[[ ! -e $2.new ]] || rm -f -- "$2.new"
	local mask
	printf -v mask '%o' $((0777 & ~0$1))
	(umask "$mask" && exec cat >"$2.new") && mv -f -- "$2.new" "$2"
}

# random_hex BYTES
random_hex() { od -An -v -tx1 -N"$1" /dev/urandom | tr -d ' \n'; }

# ---- texts for other formats ----------------------------------------------------------

# A string literal of JSON and of libconfig: paths and URLs, no control characters.
quote_json() {
	local s=${1//\\/\\\\}
	printf '"%s"' "${s//\"/\\\"}"
}

# A string literal of SQL, in hexadecimal so that nothing in it can end it.
quote_sql() {
	if [[ -z $1 ]]; then printf "''"; else
		printf "X'%s'" "$(printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n')"
	fi
}

# ---- shards ---------------------------------------------------------------------------

# Sets SHARDCTL, unless a script that called this one has: the program of DOUSHARD_BUILD_DIR, of this
# checkout, of the installation that this script is a part of, or of PATH.
SHARDCTL=${SHARDCTL:-}
shardctl_find() {
	local name
	[[ -z $SHARDCTL ]] || return 0
	for name in "${DOUSHARD_BUILD_DIR:-$ROOT/build}/shardctl" "${ROOT%/share/doushard}/bin/shardctl" \
		"$(type -P shardctl || true)"; do
		if [[ -x $name ]]; then
			SHARDCTL=$name
			return 0
		fi
	done
	die "shardctl is neither in ${DOUSHARD_BUILD_DIR:-$ROOT/build} nor installed: run make, or set DOUSHARD_BUILD_DIR"
}

# topology_shards FILE: lines "name host port socket", tabs in between, - for what is not given.
# False: shardctl, which reads the file as the servers do, has said what is wrong with it.
topology_shards() {
	shardctl_find
	"$SHARDCTL" servers "--topology=$1" || return 1
}

# shard_options HOST PORT SOCKET: sets where, the options by which a client finds the shard.
shard_options() {
	where=()
	if [[ $3 != - ]]; then where+=("--socket=$3"); else
		[[ $1 == - ]] || where+=("--host=$1")
		[[ $2 == - ]] || where+=("--port=$2")
	fi
}

# ---- processes ------------------------------------------------------------------------
# A process is a line "pid start boot" in a file: a pid alone may have been reused.

{ read -r BOOT </proc/sys/kernel/random/boot_id; } 2>/dev/null || BOOT=unknown

# process_stat PID: sets process_state and process_start, false when there is no such pid.
process_stat() {
	local stat fields
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
	read -ra fields <<<"${stat##*) }"
	process_state=${fields[0]}
	process_start=${fields[19]}
}

# process_record PID FILE: false when it has ended already.
process_record() {
	process_stat "$1" || return 1
	printf '%s %s %s\n' "$1" "$process_start" "$BOOT" | write_file 644 "$2"
}

# process_of FILE: print the pid if that same process still runs.
process_of() {
	local pid start boot
	[[ -r $1 ]] || return 1
	read -r pid start boot <"$1" || return 1
	process_stat "$pid" || return 1
	[[ $process_start == "$start" && $process_state != Z && $boot == "$BOOT" ]] || return 1
	printf '%s' "$pid"
}

process_gone() { ! process_of "$1" >/dev/null; }

# process_signal SIGNAL FILE: true when it was sent.
process_signal() {
	local pid
	pid=$(process_of "$2") && kill -s "$1" "$pid" 2>/dev/null
}

# process_stop SECONDS FILE: SIGTERM, and SIGKILL after SECONDS. False: it is still there.
process_stop() {
	process_signal TERM "$2" || {
		rm -f -- "$2"
		return 0
	}
	process_signal CONT "$2" || true # a stopped process would not see it
	if ! wait_until "$1" process_gone "$2"; then
		warn "$(basename "$2" .pid) did not stop within $1 s: killing it"
		process_signal KILL "$2" || true
		wait_until 10 process_gone "$2" || return 1
	fi
	rm -f -- "$2"
}
