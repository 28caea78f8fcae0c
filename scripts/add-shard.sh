#!/usr/bin/env bash
# Make a new database server a shard: check it, name it, put it into the topology file. It gets
# slots later, by moves; this changes nothing on other shards.
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
#   --app-password=FILE         db_password_file of the servers: check that it opens this shard
#   --password-file=FILE        of doushard_admin on all shards; not needed beside a demo cluster
#   --write                     put the shard into FILE; without this its line is printed
#   --dry-run                   check only; change nothing
#   --help
#
# Before: a server with config/mariadb/shard.cnf, and scripts/migrate with a topology file that
# names only it. After: SIGHUP to every server and mover (systemctl reload doushard doushard-mover),
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
# shellcheck source=scripts/operate.sh
. "$ROOT/scripts/operate.sh"

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
	--password-file=*) PLACE+=("$1") ;;
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
shardctl_find

failed=0
good() { printf '[OK]  %s\n' "$*"; }
bad() {
	printf '[ERR] %s\n' "$*"
	failed=1
}
shard_options "$host" "$port" "$socket"
client() { # OPTION...
	mariadb "$@" "${where[@]}" --connect-timeout=5 --batch --skip-column-names \
		--default-character-set=utf8mb4
}
# Tables and routines are those of this checkout, and complete.
check_version() {
	local there
	printf 'servers = (\n%s\n);\n' "$(shard_line)" >"$scratch/topology.conf"
	if there=$("$ROOT/scripts/migrate" "--topology=$scratch/topology.conf" "${defaults[@]}" --dry-run 2>&1) &&
		[[ $there == *": up to date, "* ]]; then
		good "its tables and routines are those of this version: ${there##*: up to date, }"
	else
		bad "its tables and routines are not those of this version, run scripts/migrate; it would say: $there"
	fi
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

# The file with the shard added after the last one; comments stay as they are, whatever they
# contain.
with_shard() {
	SHARD_LINE=$(shard_line) awk '
		# The line without strings and comments, every other character in its place.
		function code(rest,   out, text) {
			while (match(rest, /"([^"\\]|\\.)*"|#|\/\//)) {
				if (RLENGTH < 3 && substr(rest, RSTART, 1) != "\"") return out substr(rest, 1, RSTART - 1)
				text = substr(rest, RSTART, RLENGTH)
				gsub(/./, " ", text)
				out = out substr(rest, 1, RSTART - 1) text
				rest = substr(rest, RSTART + RLENGTH)
			}
			return out rest
		}
		{ line[NR] = $0; plain[NR] = code($0); if (index(plain[NR], "}")) last = NR }
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
	if [[ $(topology_shards "$new" 2>/dev/null) != "$shards"$'\n'"$shard"$'\t'"$host"$'\t'"$port"$'\t'"$socket" ]]; then
		rm -f -- "$new"
		die "$topology has a form that this script cannot edit: add the line yourself"
	fi
	mv -f -- "$new" "$topology"
}

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
# shardctl checks the server itself and the other shards, and names it.
is_listed=0
shards=$(topology_shards "$topology")
if cut -f 1 <<<"$shards" | grep -qxF -e "$shard"; then is_listed=1; fi
add=(add "$shard" "--topology=$topology")
if [[ $socket == - ]]; then add+=("--host=$host" "--port=$port"); else add+=("--socket=$socket"); fi
status=0
shardctl "${add[@]}" --dry-run >"$scratch/looked" || status=$?
grep '^\[' "$scratch/looked" || true
((status == 0)) || exit "$status"
check_version
check_app
((failed == 0)) || exit 1

if ((dry_run)); then
	say "it would be named $shard, with this line in $topology:"
	shard_line
	say
	exit 0
fi
shardctl "${add[@]}" --yes >"$scratch/looked" || { cat -- "$scratch/looked" && exit 1; }
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
say "next: SIGHUP to every server and mover (systemctl reload doushard doushard-mover),"
say "then shardctl plan, shardctl balance"
