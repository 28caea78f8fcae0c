#!/usr/bin/env bash
# Make a new database server a shard: look whether it is fit, name it, put it into the topology
# file. It gets slots afterwards, by moves; nothing here touches those of others.
#
# usage: scripts/add-shard.sh --topology=FILE --name=NAME (--host=ADDRESS --port=PORT | --socket=PATH)
#                             [OPTION...]
#
#   --topology=FILE             the shards, as the server reads them (topology_file)
#   --name=NAME                 of the new shard: 1 to 31 of a-z 0-9 -, not used before
#   --host=ADDRESS --port=PORT  where it is, a numeric address; or
#   --socket=PATH               an absolute path
#   --defaults-file=FILE        option file of the client with user and password of an
#   --defaults-extra-file=FILE  account that scripts/migrate may use (root)
#   --app-password=FILE         db_password_file of the servers: see whether it opens this shard
#   --write                     put the shard into FILE; else its line is printed
#   --dry-run                   look, and change nothing
#   --help
#
# Before: a server with config/mariadb/shard.cnf, and scripts/migrate with a topology file that
# names it alone. After: SIGHUP to every server and mover (systemctl reload doushard doushard-mover),
# then `shardctl plan` and `shardctl balance`. All of it can be repeated.
#
# Exit status: 0 it is a shard, or would be; 1 something is wrong with it, and nothing was
# written; 2 misuse.
#
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: Doushard contributors

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

DATABASE=doushard

topology='' shard='' host=- port=- socket=- app_password='' do_write=0 dry_run=0 defaults=()

while (($# > 0)); do
	case $1 in
	--topology=*) topology=${1#*=} ;;
	--name=*) shard=${1#*=} ;;
	--host=*) host=${1#*=} ;;
	--port=*) port=${1#*=} ;;
	--socket=*) socket=${1#*=} ;;
	--defaults-file=* | --defaults-extra-file=*)
		[[ -r ${1#*=} ]] || die "cannot read ${1#*=}"
		defaults=("${1%%=*}=$(absolute "${1#*=}")")
		;;
	--app-password=*) app_password=${1#*=} ;;
	--write) do_write=1 ;;
	--dry-run) dry_run=1 ;;
	-h | --help) usage_exit ;;
	*) misuse "unknown argument $1" ;;
	esac
	shift
done
[[ -n $topology && -n $shard ]] || misuse "--topology and --name are needed"
[[ $shard =~ ^[a-z0-9-]{1,31}$ && $shard != -* ]] || misuse "a name is 1 to 31 of a-z 0-9 -, not \"$shard\""
if [[ $socket == - ]]; then
	[[ $host =~ ^[0-9a-fA-F.:]+$ ]] || misuse "--host takes a numeric address, or give a --socket"
	if ! is_number "$port" || ((port < 1 || port > 65535)); then
		misuse "--port takes a number from 1 to 65535"
	fi
else
	[[ $socket == /* && $socket != *[\"\\]* ]] || misuse "--socket takes an absolute path"
	[[ $host == - && $port == - ]] || misuse "either --socket, or --host and --port"
fi
[[ -r $topology ]] || die "cannot read $topology"
[[ -z $app_password || -r $app_password ]] || die "cannot read $app_password"
command -v mariadb >/dev/null || die "the client mariadb is missing (package mariadb-client-core)"

failed=0
good() { printf '[OK]  %s\n' "$*"; }
bad() {
	printf '[ERR] %s\n' "$*"
	failed=1
}
# The rest would only say the same again.
stop() {
	bad "$@"
	exit 1
}

shard_options "$host" "$port" "$socket"
client() { # OPTION...
	mariadb "$@" "${where[@]}" --connect-timeout=5 --batch --skip-column-names \
		--default-character-set=utf8mb4
}
# shellcheck disable=SC2120 # a here-document, or arguments
sql() { client "${defaults[@]}" "$@" 2>&1; }

# The topology has neither this name nor this place.
check_topology() {
	local name at_host at_port at_socket
	while IFS=$'\t' read -r name at_host at_port at_socket; do
		if [[ $name == "$shard" ]]; then
			is_listed=1
			[[ "$at_host $at_port $at_socket" == "$host $port $socket" ]] ||
				stop "$topology has $shard somewhere else: $at_host $at_port $at_socket"
		elif [[ $socket != - && $at_socket == "$socket" ]] ||
			[[ $socket == - && $at_socket == - && "$at_host $at_port" == "$host $port" ]]; then
			stop "$topology has another name for this address: $name"
		fi
	done < <(topology_shards "$topology")
	if ((is_listed)); then good "$topology names it already"; else good "$topology has neither its name nor its address"; fi
}

# It answers, as whom we are, and says of itself what conn_open() says to servers.
check_server() {
	local said
	said=$(sql -e 'SELECT VERSION()') || stop "it does not answer: $said"
	good "it answers: $said"
	said=$(sql -e "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '$DATABASE'") ||
		stop "$said"
	((said == 1)) || stop "it has no database $DATABASE: run scripts/migrate first"
}

# As the servers judge it: shard/dbconn.c.
check_durable() {
	local flush sync_binlog log_bin doublewrite said
	said=$(sql -e "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.sync_binlog, @@GLOBAL.log_bin,
		CAST(@@GLOBAL.innodb_doublewrite AS CHAR)") || stop "$said"
	read -r flush sync_binlog log_bin doublewrite <<<"$said"
	if [[ $flush == 1 && $doublewrite =~ ^(1|ON|DETECT_AND_RECOVER)$ ]] && [[ $log_bin == 0 || $sync_binlog == 1 ]]; then
		good "what it acknowledges survives a power cut"
	else
		bad "it may lose acknowledged writes: needs innodb_flush_log_at_trx_commit=1 ($flush)," \
			"innodb_doublewrite=ON ($doublewrite), sync_binlog=1 ($sync_binlog) with log_bin ($log_bin)"
	fi
}

# Tables and routines are those of this checkout, and whole.
check_version() {
	local there
	shard_line >"$scratch/topology.conf"
	if there=$("$ROOT/scripts/migrate" "--topology=$scratch/topology.conf" "${defaults[@]}" --dry-run 2>&1) &&
		[[ $there == *": up to date, "* ]]; then
		good "its tables and routines are those of this version: ${there##*: up to date, }"
	else
		bad "its tables and routines are not those of this version, run scripts/migrate; it would say: $there"
	fi
}

# A name is given once. A server that has slots is somebody's.
check_name() {
	local name slots said
	said=$(sql "$DATABASE" -e "SELECT COALESCE((SELECT name FROM shard_self), '-'),
		(SELECT COUNT(*) FROM slot_fence WHERE state IN ('owned', 'migrating'))") || stop "$said"
	read -r name slots <<<"$said"
	[[ $name == - || $name == "$shard" ]] || stop "it is named $name, for ever: it belongs to another list, or is a copy"
	((slots == 0 || is_listed)) || stop "it has $slots slots already, and $topology does not name it"
	if [[ $name == "$shard" ]]; then good "it is named $shard"; else good "it has no name yet"; fi
}

# The account of the servers opens it.
check_app() {
	local password='' said
	[[ -n $app_password ]] || return 0
	IFS= read -r password <"$app_password" || true
	# Not an argument, which others could read.
	password=${password//\\/\\\\}
	write_file 600 "$scratch/app.cnf" <<<$'[client]\nuser=doushard_app\npassword="'"${password//\"/\\\"}"'"'
	if said=$(client "--defaults-file=$scratch/app.cnf" -e 'SELECT 1' 2>&1); then
		good "doushard_app may come in with the password in $app_password"
	else
		bad "doushard_app may not come in with the password in $app_password: $said"
	fi
}

shard_line() {
	printf '    { name = "%s"; ' "$shard"
	if [[ $socket == - ]]; then
		printf 'host = "%s"; port = %s; }' "$host" "$port"
	else
		printf 'socket = "%s"; }' "$socket"
	fi
}

# The file with the shard behind the last one; comments, and what they contain, stay as they are.
with_shard() {
	SHARD_LINE=$(shard_line) awk '
		{ line[NR] = $0; bare = $0; sub(/(#|\/\/).*/, "", bare); if (index(bare, "}")) last = NR; plain[NR] = bare }
		END {
			for (n = 1; n <= NR; n++) {
				if (n != last) { print line[n]; continue }
				at = 0
				for (i = 1; i <= length(plain[n]); i++) if (substr(plain[n], i, 1) == "}") at = i
				rest = substr(line[n], at + 1)
				sub(/^[ \t]*,/, "", rest)
				print substr(line[n], 1, at) ","
				print ENVIRON["SHARD_LINE"] rest
			}
		}' "$topology"
}

write_topology() {
	local new=$topology.new.$$
	cp -p -- "$topology" "$new"
	with_shard >"$new"
	if [[ $(topology_shards "$new" | head -n -1) != "$(topology_shards "$topology")" ]] ||
		[[ $(topology_shards "$new" | tail -n 1) != "$shard"$'\t'"$host"$'\t'"$port"$'\t'"$socket" ]]; then
		rm -f -- "$new"
		die "$topology is of a form that this script does not know: add the line yourself"
	fi
	mv -f -- "$new" "$topology"
}

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
is_listed=0
check_topology
check_server
check_durable
check_version
((failed)) || check_name
check_app
((failed == 0)) || exit 1

if ((dry_run)); then
	say "it would be named $shard, and stand in $topology as:"
	shard_line
	say
	exit 0
fi
said=$(sql "$DATABASE" -e "CALL shard_init('$shard')") || stop "$said"
good "it is $shard"
if ((is_listed)); then
	:
elif ((do_write)); then
	write_topology
	good "$topology names it"
else
	say "for $topology, behind the last server and a comma:"
	shard_line
	say
fi
say "next: SIGHUP to every server (systemctl reload doushard), then shardctl plan, shardctl balance"
