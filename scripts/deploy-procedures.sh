#!/usr/bin/env bash
# Load tables and routines of this directory into all shards, one after the other, while they serve.
#
# usage: scripts/deploy-procedures.sh --topology=FILE [OPTION...]
#
#   --topology=FILE             the shards, as the server reads them (topology_file)
#   --readyz=URL                of a server (its admin listener), http://host:port/readyz: it must
#                               be ready before the first shard and after each; may be repeated
#   --soak=SECONDS              how long to watch after each shard (with --readyz 6: servers check
#                               the shards every 5 s)
#   --defaults-file=FILE        as in scripts/migrate, like
#   --defaults-extra-file=FILE
#   --passwords=DIR
#   --patience=SECONDS          (600), also for --readyz
#   --dry-run                   say what would be done on which shard, change nothing
#   --help
#
# Before anything is changed, every shard is checked: does it answer, can its version be upgraded to
# this one, and do the running servers support the new one (scripts/migrate --dry-run)? If one check
# fails, nothing is done. Then, shard by shard: scripts/migrate, and more checks: does the shard
# have the new versions, does it serve as many slots as before, are all servers ready? The first
# failure stops the run, which says where; versions are then mixed, which servers and routines of
# both versions support. Run the same command again to go on: finished shards are skipped.
#
# Exit status: 0 all shards are up to date; 1 stopped, with the reason; 2 misuse.
#
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: Doushard contributors

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

DATABASE=doushard

topology='' soak='' patience=600 dry_run=0
urls=() client=() options=()

while (($# > 0)); do
	case $1 in
	--topology=*) topology=$(absolute "${1#*=}") ;;
	--readyz=*) urls+=("${1#*=}") ;;
	--soak=*) soak=${1#*=} ;;
	--defaults-file=* | --defaults-extra-file=*)
		[[ -r ${1#*=} ]] || die "cannot read ${1#*=}"
		client=("${1%%=*}=$(absolute "${1#*=}")")
		;;
	--passwords=*) options+=("--passwords=$(absolute "${1#*=}")") ;;
	--patience=*) patience=${1#*=} ;;
	--dry-run) dry_run=1 ;;
	-h | --help) usage_exit ;;
	*) misuse "unknown argument $1" ;;
	esac
	shift
done
[[ -n $topology ]] || misuse "--topology=FILE is missing"
[[ -r $topology ]] || die "cannot read $topology"
[[ -n $soak ]] || soak=$((${#urls[@]} > 0 ? 6 : 0))
for number in "$soak" "$patience"; do
	is_number "$number" || misuse "--soak and --patience take seconds"
done
((${#urls[@]} == 0)) || command -v curl >/dev/null || die "curl is missing: --readyz needs it"

fail() {
	say "[ERR] $*"
	exit 1
}

# migrate NAME [OPTION...]: run it; its messages go to standard output.
migrate() {
	"$ROOT/scripts/migrate" "--topology=$topology" "--only=$1" "${client[@]}" "${@:2}" 2>&1
}

# served NAME: how many slots it serves; 0 before its first version.
served() {
	local host port socket where
	IFS=$'\t' read -r _ host port socket <<<"${line_of[$1]}"
	shard_options "$host" "$port" "$socket"
	mariadb "${client[@]}" "${where[@]}" --batch --skip-column-names --connect-timeout=10 "$DATABASE" \
		-e "SELECT COUNT(*) FROM slot_fence AS f WHERE f.answer = 'ok'" 2>/dev/null || printf 0
}

content() {
	local url
	for url in "${urls[@]}"; do
		curl --silent --fail --noproxy '*' --max-time 5 --output /dev/null "$url" || return 1
	done
}

# await_content WHEN
await_content() {
	wait_until "$patience" content || fail "not every server is content $1:" \
		"$(curl --silent --noproxy '*' --max-time 5 "${urls[@]}" | grep -E '^\[-\]' | head -n 3)"
}

shards=$(topology_shards "$topology")
declare -A line_of
names=() todo=()
while IFS= read -r line; do
	names+=("${line%%$'\t'*}")
	line_of[${line%%$'\t'*}]=$line
done <<<"$shards"

for name in "${names[@]}"; do
	said=$(migrate "$name" --dry-run) || fail "$name cannot be brought to this version; nothing was changed: $said"
	if [[ $said == "$name: up to date"* ]]; then say "[OK] $said"; else
		todo+=("$name")
		say "[  ] $said"
	fi
done
if ((dry_run || ${#todo[@]} == 0)); then exit 0; fi
((${#urls[@]} == 0)) || await_content "before the first shard"

for i in "${!todo[@]}"; do
	name=${todo[i]}
	rest="the same command goes on from there; untouched: ${todo[*]:i+1}"
	before=$(served "$name")
	said=$(migrate "$name" "--patience=$patience" "${options[@]}") || fail "$name: $said; $rest"
	say "[OK] $(tail -n 1 <<<"$said")"
	said=$(migrate "$name" --dry-run) || fail "$name: $said; $rest"
	[[ $said == "$name: up to date"* ]] || fail "$name does not have the routines that were loaded: $said; $rest"
	after=$(served "$name")
	((after >= before)) || fail "$name serves $after slots, $before before; $rest"
	sleep "$soak"
	((${#urls[@]} == 0)) || await_content "$soak s after $name; $rest"
done
say "[OK] ${#todo[@]} of ${#names[@]} shards brought up to date"
