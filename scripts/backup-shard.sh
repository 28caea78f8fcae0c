#!/usr/bin/env bash
# Back up one shard while it serves: a consistent snapshot.
#
# usage: scripts/backup-shard.sh --topology=FILE --shard=NAME --to=DIR [OPTION...]
#
#   --topology=FILE             the shards, as the server reads them (topology_file)
#   --shard=NAME                the shard
#   --to=DIR                    where backups are kept; this one becomes DIR/NAME-TIME
#   --defaults-file=FILE        option file of the client with user and password of an
#   --defaults-extra-file=FILE  account that may read everything (root)
#   --physical                  by mariadb-backup, on the shard's own machine: faster to restore, as
#                               large as the data directory. Otherwise by mariadb-dump: small, and
#                               good for any version of the server
#   --dry-run                   say what would be done
#   --help
#
# The backup is a directory with a manifest, written last, of checksums, the time, the versions and
# the shard's counter. It has another name until it is complete: an unfinished one is never used,
# and the next run removes it. Passwords are only in the option file. Migrations wait for the
# backup; writes go on.
#
# It contains the tables; accounts and routines come from scripts/migrate (--physical: it contains
# everything). scripts/restore-shard.sh restores it.
#
# Exit status: 0 there is a backup, whose name is printed; 1 there is none; 2 misuse.
#
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: Doushard contributors

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

DATABASE=doushard

topology='' shard='' to='' dry_run=0 kind=dump defaults=()

while (($# > 0)); do
	case $1 in
	--topology=*) topology=${1#*=} ;;
	--shard=*) shard=${1#*=} ;;
	--to=*) to=$(absolute "${1#*=}") ;;
	--defaults-file=* | --defaults-extra-file=*)
		[[ -r ${1#*=} ]] || die "cannot read ${1#*=}"
		defaults=("${1%%=*}=$(absolute "${1#*=}")")
		;;
	--physical) kind=physical ;;
	--dry-run) dry_run=1 ;;
	-h | --help) usage_exit ;;
	*) misuse "unknown argument $1" ;;
	esac
	shift
done
[[ -n $topology && -n $shard && -n $to ]] || misuse "--topology, --shard and --to are needed"
[[ -r $topology ]] || die "cannot read $topology"
for program in mariadb mariadb-dump gzip sha256sum; do
	command -v "$program" >/dev/null || die "$program is missing (packages mariadb-client, gzip, coreutils)"
done
[[ $kind == dump ]] || command -v mariadb-backup >/dev/null ||
	die "mariadb-backup is missing (package mariadb-backup); without --physical it is not needed"

found=$(topology_shards "$topology" | awk -F '\t' -v name="$shard" '$1 == name')
[[ -n $found ]] || die "$topology names no shard $shard"
IFS=$'\t' read -r _ host port socket <<<"$found"
shard_options "$host" "$port" "$socket"

# The session holds the lock of scripts/migrate until this shell ends, and answers questions.
coproc HOLDER {
	exec mariadb "${defaults[@]}" "${where[@]}" --batch --unbuffered --skip-column-names \
		--connect-timeout=10 "$DATABASE"
}
exec {question_fd}>&"${HOLDER[1]}" {answer_fd}<&"${HOLDER[0]}"
ask() {
	printf '%s;\n' "$1" >&"$question_fd"
	IFS= read -r answer <&"$answer_fd" || die "$shard does not answer"
}

ask "SELECT GET_LOCK('doushard:migrate', 60)"
[[ $answer == 1 ]] || die "$shard: a migration is under way"
# Before the snapshot: everything that was committed by then is in it.
ask "SELECT CONCAT_WS(' ', ss.name, _now_ms(), COALESCE((SELECT MAX(sb.beat) FROM shard_beat AS sb), 0),
	(SELECT MAX(sv.version) FROM schema_version AS sv), ss.refused_at IS NULL, VERSION()) FROM shard_self AS ss"
read -r name at beat schema serves version <<<"$answer"
[[ $name == "$shard" ]] || die "what answers there calls itself $name"
((serves == 1)) || die "$shard is refused because its data is old: a backup would present it as current"

stamp=$(date -u -d "@$((at / 1000))" +%Y%m%dT%H%M%SZ)
final=$to/$shard-$stamp
if ((dry_run)); then
	say "would write $final ($kind, schema version $schema)"
	exit 0
fi
mkdir -p -- "$to"
[[ ! -e $final ]] || die "$final is there already"

# Unfinished backups whose process is gone.
for old in "$to/$shard"-*.part.*; do
	if [[ -d $old ]] && ! kill -0 "${old##*.}" 2>/dev/null; then rm -rf -- "$old"; fi
done
part=$final.part.$$
trap 'rm -rf -- "$part" "$part.sums"' EXIT
trap 'exit 1' INT TERM HUP
(umask 077 && mkdir -- "$part")

if [[ $kind == dump ]]; then
	mariadb-dump "${defaults[@]}" "${where[@]}" --single-transaction --quick --hex-blob --no-autocommit \
		--skip-lock-tables --skip-triggers --skip-dump-date --default-character-set=utf8mb4 \
		"$DATABASE" | gzip -1 >"$part/tables.sql.gz" || die "mariadb-dump failed"
	[[ $(gzip -dc "$part/tables.sql.gz" | tail -n 1) == '-- Dump completed'* ]] ||
		die "the dump is not whole"
else
	# It asks the server for its directories, and connects by the socket with the account of the option
	# file.
	mariadb-backup "${defaults[@]}" "${where[@]}" --backup "--target-dir=$part/data" 2>"$part/log" ||
		die "mariadb-backup failed: $(tail -n 1 -- "$part/log")"
	mariadb-backup --prepare "--target-dir=$part/data" 2>>"$part/log" ||
		die "mariadb-backup cannot prepare what it has written: $(tail -n 1 -- "$part/log")"
fi

(cd -- "$part" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$part.sums"
mv -- "$part.sums" "$part/sums"
{
	say "doushard-backup 1"
	say "kind=$kind"
	say "shard=$shard"
	say "at=$at"
	say "beat=$beat"
	say "schema=$schema"
	say "server=$version"
	say "sums=$(sha256sum <"$part/sums" | cut -c1-64)"
} | write_file 600 "$part/manifest"
sha256sum <"$part/manifest" | cut -c1-64 | write_file 600 "$part/manifest.sum"
# On disk before it has its name.
find "$part" -type f -exec sync {} +
mv -T -- "$part" "$final"
sync -- "$to"
say "$final"
