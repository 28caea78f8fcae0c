#!/usr/bin/env bash
# Restore a backup of a shard into an empty server, say what is lost, and reconcile it with the
# other shards. It stays refused until `shardctl verify` has compared it with them and admits it.
#
# usage: scripts/restore-shard.sh --topology=FILE --shard=NAME --from=BACKUP [OPTION...]
#        scripts/restore-shard.sh --topology=FILE --shard=NAME --in-place [OPTION...]
#
#   --topology=FILE             the shards, as the server reads them (topology_file)
#   --shard=NAME                the shard
#   --from=BACKUP               directory written by scripts/backup-shard.sh
#   --in-place                  the data is there already: a data directory that was put back, a
#                               replica that was promoted
#   --datadir=DIR               for a physical backup: the empty data directory of the stopped
#                               server. The files are only copied there: start the server, then run
#                               this with --in-place
#   --defaults-file=FILE        option file of the client with user and password of an
#   --defaults-extra-file=FILE  account that may create databases, users and routines, on all shards
#   --passwords=DIR             passwords for the accounts, as in scripts/migrate
#   --shardctl=PROGRAM          (that of the checkout or the installation)
#   --without=NAME              go on although this other shard does not answer, without what only
#                               it knows; may be repeated
#   --dry-run                   say what is lost, change nothing
#   --yes                       do not ask
#   --help
#
# It checks every file of the backup against its checksum; loads the backup before the servers'
# accounts exist there, so that no server uses it half loaded; refuses the shard (CALL
# shard_refuse); loads routines, accounts and grants (scripts/migrate); asks the other shards for
# the epochs that they have heard of, and raises those of all slots above them, so that no version
# and no id is issued twice (CALL shard_restored); ends moves that other shards keep for a rollback
# to it (CALL slot_settle there); compares with the others and counts what they know of the lost
# writes. Run again, it goes on where it was interrupted.
#
# Slots that left this shard after the backup stay where they are. Slots that arrived after it have
# no rows here, or only some: they stay refused, and the script names them and says what to do. So
# it does for slots that are here, and of which another shard has newer rows, because a move to this
# one can still be rolled back.
# Exit status: 0 done; 1 failed, with the reason; 2 misuse.
#
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: Doushard contributors

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

DATABASE=doushard
ENTRIES_MAX=2000

topology='' shard='' from='' in_place=0 datadir='' passwords='' dry_run=0 yes=0
defaults=() without=' '

while (($# > 0)); do
	case $1 in
	--topology=*) topology=$(absolute "${1#*=}") ;;
	--shard=*) shard=${1#*=} ;;
	--from=*) from=$(absolute "${1#*=}") ;;
	--in-place) in_place=1 ;;
	--datadir=*) datadir=$(absolute "${1#*=}") ;;
	--defaults-file=* | --defaults-extra-file=*)
		[[ -r ${1#*=} ]] || die "cannot read ${1#*=}"
		defaults=("${1%%=*}=$(absolute "${1#*=}")")
		;;
	--passwords=*) passwords=$(absolute "${1#*=}") ;;
	--shardctl=*)
		SHARDCTL=$(type -P -- "${1#*=}") || die "${1#*=} is not a program"
		export SHARDCTL # for scripts/migrate
		;;
	--without=*) without+="${1#*=} " ;;
	--dry-run) dry_run=1 ;;
	--yes) yes=1 ;;
	-h | --help) usage_exit ;;
	*) misuse "unknown argument $1" ;;
	esac
	shift
done
[[ -n $topology && -n $shard ]] || misuse "--topology and --shard are needed"
[[ -n $from || $in_place == 1 ]] || misuse "--from=BACKUP or --in-place is needed"
[[ -z $from || $in_place == 0 ]] || misuse "--from and --in-place exclude each other"
[[ -r $topology ]] || die "cannot read $topology"
command -v mariadb >/dev/null || die "the client mariadb is missing (package mariadb-client-core)"
shardctl_find

ok() { say "[OK] $*"; }
note() { say "[!] $*"; }
fail() {
	say "[ERR] $*"
	exit 1
}

# ---- the shards -----------------------------------------------------------------------

shards=$(topology_shards "$topology")
mapfile -t lines <<<"$shards"
declare -A at_host at_port at_socket
others=()
for line in "${lines[@]}"; do
	IFS=$'\t' read -r name host port socket <<<"$line"
	at_host[$name]=$host at_port[$name]=$port at_socket[$name]=$socket
	[[ $name == "$shard" || $without == *" $name "* ]] || others+=("$name")
done
[[ -n ${at_host[$shard]:-} ]] || die "$topology names no shard $shard"

# on NAME [OPTION...]: statements from standard input.
on() {
	local where
	shard_options "${at_host[$1]}" "${at_port[$1]}" "${at_socket[$1]}"
	mariadb "${defaults[@]}" "${where[@]}" --batch --skip-column-names --comments --connect-timeout=10 \
		--default-character-set=utf8mb4 "${@:2}"
}

# one NAME STATEMENT: what it answers.
one() { on "$1" "$DATABASE" <<<"$2;"; }

moment() { date -u -d "@$(($1 / 1000))" '+%Y-%m-%d %H:%M:%S UTC'; }

# ---- the backup -----------------------------------------------------------------------

# Sets kind, at, schema.
backup_check() {
	local key value said_shard='' sums='' mark
	[[ -r $from/manifest && -r $from/manifest.sum && $from != *.part.* ]] ||
		fail "$from is not a complete backup: it has no manifest"
	[[ $(sha256sum <"$from/manifest" | cut -c1-64) == $(<"$from/manifest.sum") ]] ||
		fail "the manifest of $from was changed"
	IFS= read -r mark <"$from/manifest"
	[[ $mark == 'doushard-backup 1' ]] || fail "$from is of another version: $mark"
	while IFS='=' read -r key value; do
		case $key in
		kind) kind=$value ;;
		shard) said_shard=$value ;;
		at) at=$value ;;
		schema) schema=$value ;;
		sums) sums=$value ;;
		esac
	done <"$from/manifest"
	[[ $said_shard == "$shard" ]] || fail "$from is a backup of $said_shard"
	[[ $(sha256sum <"$from/sums" | cut -c1-64) == "$sums" ]] || fail "$from/sums was changed"
	(cd -- "$from" && sha256sum --check --strict --quiet sums >/dev/null 2>&1) ||
		fail "files of $from are missing or damaged"
	ok "backup of $shard of $(moment "$at"), schema version $schema, whole"
}

physical_put() {
	[[ -n $datadir ]] || misuse "a physical backup needs --datadir=DIR, with the server stopped"
	[[ -d $datadir && -z $(ls -A -- "$datadir") ]] || fail "$datadir is not an empty directory"
	if ((dry_run)); then
		say "would copy $from/data to $datadir"
		return
	fi
	local owner
	owner=$(stat -c %U:%G -- "$datadir")
	cp -R --reflink=auto -- "$from/data/." "$datadir"
	((EUID != 0)) || chown -R "$owner" "$datadir"
	ok "files put into $datadir: start the server, then run this with --in-place"
}

# ---- what the others say --------------------------------------------------------------

# Adds to $work/given, per slot that NAME gave to the shard, a line "name slot epoch until"; until:
# ms since the Unix epoch, as long as a move keeps its rows there; 0: none does; -1: one that was
# going back there, until it is ended. At epoch 1 it only heard of an assignment (slot_assign).
given_ask() {
	one "$1" "SELECT '$1', f.slot, f.epoch - (f.state <> 'moved'),
			CASE WHEN m.phase = 'reverting' THEN -1 ELSE COALESCE(m.flipped_at + m.keep_ms, 0) END
		FROM slot_fence AS f
		LEFT JOIN slot_move AS m ON m.active = f.slot AND m.taker = '$shard'
			AND (m.phase IN ('flipping', 'keeping') AND m.epoch = f.epoch OR m.phase = 'reverting' AND m.epoch >= f.epoch)
		WHERE f.state = 'moved' AND f.server = '$shard' AND f.epoch > 1
			OR f.state IN ('importing', 'ready') AND m.phase = 'reverting'" >>"$work/given" || fail "$1 does not answer"
}

# Sets heard (the last counter of the shard that they remember), clock, and writes lines
# "shard slot next epoch server state homes" to $work/epochs.
others_ask() {
	local name line
	heard=0 clock=0
	: >"$work/epochs"
	: >"$work/given"
	for name in "${others[@]}"; do
		line=$(one "$name" "SELECT COALESCE((SELECT MAX(k.beat) FROM shard_known AS k WHERE k.name = '$shard'), 0),
			_now_ms()") || fail "$name does not answer; --without=$name goes on without what it knows"
		((${line%%$'\t'*} <= heard)) || heard=${line%%$'\t'*}
		((${line##*$'\t'} <= clock)) || clock=${line##*$'\t'}
		one "$name" "CALL slot_epochs()" | awk -v name="$name" '{ print name "\t" $0 }' >>"$work/epochs"
		given_ask "$name"
	done
	ok "${#others[@]} other shards answer"
}

loss_say() {
	local from_ms=$1
	if ((from_ms == 0)); then
		note "this data does not say how old it is: later writes to $shard are lost, except what other shards" \
			"know of it"
	elif ((heard > from_ms)); then
		note "others heard from $shard until $(moment "$heard"): writes to it in the $(((heard - from_ms) / 1000)) s" \
			"after $(moment "$from_ms") are lost, except what other shards know of them"
	else
		note "writes to $shard after $(moment "$from_ms") are lost, except what other shards know of them"
	fi
	note "erasures, bans, deletions, passwords and sessions of that time are gone, too; repeat those that must hold"
}

confirm() {
	local line=''
	((yes == 0)) || return 0
	printf '%s [y/N] ' "$1"
	IFS= read -r line || true
	[[ $line == [yY]* ]] || fail "not confirmed; nothing was changed"
}

# ---- loading --------------------------------------------------------------------------

# Sets state: empty, loading (by an interrupted run), there.
target_state() {
	local tables
	tables=$(on "$shard" <<<"SELECT t.TABLE_NAME FROM information_schema.TABLES AS t
		WHERE t.TABLE_SCHEMA = '$DATABASE' AND t.TABLE_NAME IN ('restore_mark', 'shard_self');
		SELECT s.SCHEMA_NAME FROM information_schema.SCHEMATA AS s WHERE s.SCHEMA_NAME = '$DATABASE';") ||
		fail "$shard does not answer"
	case $tables in
	'') state=empty ;;
	*restore_mark*) state=loading ;;
	*shard_self*)
		# Installed but not yet named counts as empty.
		state=there
		[[ $(one "$shard" "SELECT COUNT(*) FROM shard_self") != 0 ]] || state=empty
		;;
	*) state=there ;;
	esac
}

# The mark is removed in the last transaction, which also refuses the shard: before that the shard
# has no server accounts and no routines.
dump_load() {
	{
		cat <<-END
			DROP DATABASE IF EXISTS $DATABASE;
			CREATE DATABASE $DATABASE DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
			USE $DATABASE;
			CREATE TABLE restore_mark (one INT PRIMARY KEY) COMMENT 'a backup is being loaded';
		END
		gzip -dc "$from/tables.sql.gz"
		cat <<-END
			;
			UPDATE shard_self SET refused_at = $at, refused_why = 'restored from a backup', settled_at = NULL,
			       paused_at = COALESCE(paused_at, $at),
			       paused_why = IF(paused_why = '', 'refused: restored from a backup', paused_why);
			UPDATE slot_fence SET paused = 1;
			COMMIT;
			DROP TABLE restore_mark;
		END
	} | on "$shard" || fail "the backup could not be loaded; run this again"
	ok "loaded, and refused"
}

migrate() {
	local options=("--topology=$topology" "--only=$shard" "${defaults[@]}")
	((in_place)) || options+=(--offline)
	[[ -z $passwords ]] || options+=("--passwords=$passwords")
	"$ROOT/scripts/migrate" "${options[@]}" >"$work/migrate" 2>&1 ||
		fail "scripts/migrate failed: $(tail -n 3 -- "$work/migrate")"
	ok "$(tail -n 1 -- "$work/migrate" | cut -c1-100)"
}

# ---- settling -------------------------------------------------------------------------

# The highest epoch of all lines: an object per slot, in order. Where there are own slots, every
# slot is raised above them, and they above all others, because nobody may know which users have
# moved between them since. By 900 at most, because shards disbelieve jumps of more than 1000. How
# many forwarding entries lead to an own slot is known once all shards have answered.
entries() {
	awk -F '\t' -v name="$shard" -v is_all="$((${#others[@]} + 1 == ${#at_host[@]}))" '
		$3 > next_of[$2] + 0 { next_of[$2] = $3 }
		$3 > top { top = $3 }
		$2 >= 1024 { has_own = 1 }
		$4 > epoch[$2] + 0 { epoch[$2] = $4; server[$2] = $5 }
		$1 != name { homes[$2] += $7 }
		$7 == "" { is_all = 0 }
		END {
			for (slot in next_of) {
				if (has_own && next_of[slot] < top)
					next_of[slot] = top < next_of[slot] + 900 ? top : next_of[slot] + 900
				printf "{\"slot\":%d,\"next\":%d,\"epoch\":%d,\"server\":\"%s\"%s}\n", slot, next_of[slot],
					epoch[slot], server[slot], is_all ? sprintf(",\"homes\":%d", homes[slot]) : ""
			}
		}' "$work/epochs" | sort -t : -k 2n
}

# Who gave SLOT to this shard last, and until when its rows are kept there: "name until".
giver_of() {
	awk -F '\t' -v slot="$1" '
		$2 == slot && ($3 > epoch + 0 || $3 == epoch && $4 > until) { name = $1; epoch = $3; until = $4 }
		END { if (name != "") print name, until }' "$work/given"
}

# claim_tell NAME SLOT EPOCH: has shard NAME know at which epoch this one has the slot, so that
# slot_adopt there goes above it.
claim_tell() {
	one "$1" "CALL slot_learn('[{\"slot\":$2,\"epoch\":$3,\"server\":\"$shard\"}]')" >/dev/null || fail "$1 does not answer"
}

# What can become of SLOT, which came here at EPOCH, and whose rows are not here.
lost_say() {
	local slot=$1 epoch=$2 giver='' until=0
	read -r giver until < <(giver_of "$slot") || true
	[[ -z $giver ]] || claim_tell "$giver" "$slot" "$epoch"
	if ((until > 0)); then
		note "  $giver keeps its rows at least until $(moment "$until"): CALL slot_adopt($slot, '$giver') there"
	elif ((until < 0)); then
		note "  $giver keeps its rows until the move there is cancelled: CALL slot_adopt($slot, '$giver') there"
	elif [[ -n $giver ]]; then
		note "  if $giver still has its rows (CALL slot_stats() there), CALL slot_adopt($slot, '$giver') there"
	fi
	note "  to go on with what is on $shard (nothing, a part, or what you load): CALL slot_adopt($slot, '$shard')"
}

settle() {
	local list=() i last line slot what epoch server kept gone lost past now all_gone=0 all_lost=0 all_kept=0 all_past=0
	one "$shard" "CALL shard_refuse('$1')" >/dev/null || fail "$shard could not be refused"
	now=$(one "$shard" "SELECT _now_ms()")
	((now + 2000 >= clock)) || fail "the clock of $shard is $(((clock - now) / 1000)) s behind the others': set it first," \
		"because ids are made from it"
	((now <= clock)) || clock=$now
	((heard == 0)) ||
		one "$shard" "CALL shard_learn('[{\"name\":\"$shard\",\"beat\":$heard}]')" >/dev/null
	one "$shard" "CALL slot_epochs()" | awk -v name="$shard" '{ print name "\t" $0 }' >>"$work/epochs"
	mapfile -t list < <(entries)
	((${#list[@]} > 0)) || fail "nobody knows of any slot"
	for ((i = 0; i < ${#list[@]}; i += ENTRIES_MAX)); do
		last=$((i + ENTRIES_MAX >= ${#list[@]}))
		printf "CALL shard_restored('[%s]', %d, %d);\n" \
			"$(printf '%s\n' "${list[@]:i:ENTRIES_MAX}" | paste -sd,)" "$last" "$clock" |
			on "$shard" "$DATABASE" >"$work/settled" || fail "the epochs could not be raised; run this again"
		{
			read -r kept gone lost past
			all_kept=$((all_kept + kept)) all_gone=$((all_gone + gone)) all_lost=$((all_lost + lost))
			all_past=$((all_past + past))
			while IFS=$'\t' read -r slot what epoch server; do
				if [[ $what == gone ]]; then
					note "slot $slot has since moved to $server (epoch $epoch) and stays there"
					continue
				fi
				note "slot $slot came to $shard after this data: rows of it are missing, and it stays refused"
				lost_say "$slot" "$epoch"
			done
		} <"$work/settled"
	done
	ok "slots: $all_kept kept at new epochs, $all_gone gone to others, $all_lost without rows"
	((all_past == 0)) || ok "own slots: $all_past have ended, their users are in the slots of their ids"
}

# Slots that this shard has, and that another one still keeps for a rollback, or was getting back by
# one: until the shard was lost, what was written here went back there.
newer_say() {
	local name slot epoch until here
	while IFS=$'\t' read -r -u 3 name slot epoch until; do
		((until != 0)) || continue
		here=$(one "$shard" "SELECT f.epoch FROM slot_fence AS f
			WHERE f.slot = $slot AND f.state = 'owned' AND f.epoch > $epoch") || fail "$shard does not answer"
		[[ -n $here ]] || continue
		claim_tell "$name" "$slot" "$here"
		if ((until > 0)); then
			note "slot $slot: $name has newer rows until $(moment "$until") (longer: CALL move_wish($slot, 'pause') there)"
		else
			note "slot $slot: $name has newer rows until the move there is cancelled (CALL move_wish($slot, 'cancel') there)"
		fi
		note "  to go on with them: CALL slot_adopt($slot, '$name') there, then run this again with --in-place"
	done 3<"$work/given"
}

# Slots that left the shard by moves that its data does not know, or knows as over, and that could
# still be rolled back: the shard that has them goes on journaling for the rollback, and can neither
# give nor promote them. They stay there.
moves_end() {
	local name line slot epoch n
	for name in "${others[@]}"; do
		one "$name" "SELECT f.slot, f.epoch FROM slot_fence AS f JOIN slot_import AS i ON i.slot = f.slot AND i.epoch = f.epoch
			WHERE i.giver = '$shard' AND (f.state = 'migrating' OR f.state = 'owned' AND f.journal = 1) AND f.heard_epoch <= f.epoch
			AND NOT EXISTS (SELECT 1 FROM slot_move AS m WHERE m.active = f.slot)" >"$work/kept" || fail "$name does not answer"
		while IFS=$'\t' read -r -u 3 slot epoch; do
			line=$(one "$shard" "SELECT COUNT(*) FROM slot_fence AS f
				WHERE f.slot = $slot AND (f.state IN ('owned', 'migrating') OR f.epoch > $epoch)") || fail "$shard does not answer"
			[[ $line == 0 ]] || continue
			one "$name" "CALL slot_settle($slot, '$name')" >/dev/null || fail "slot $slot could not be settled on $name; run this again"
			n=20000
			while ((n == 20000)); do
				n=$(one "$name" "CALL move_sweep($slot, 20000)") || fail "$name does not answer"
			done
			note "slot $slot can no longer be rolled back from $name to $shard"
		done 3<"$work/kept"
	done
}

# What other shards know of the lost writes.
compare() {
	local status=0
	local options=(verify "--topology=$topology" "--shard=$shard" --dry-run)
	if [[ -z $passwords || ! -r $passwords/admin_password ]]; then
		note "to compare with the other shards and admit it: shardctl verify --shard=$shard"
		return
	fi
	"$SHARDCTL" "${options[@]}" "--password-file=$passwords/admin_password" 2>"$work/verify" || status=$?
	((status < 2)) || fail "shardctl verify: $(tail -n 3 -- "$work/verify")"
	note "$shard is refused until it is admitted: shardctl verify --shard=$shard"
}

# ---- the whole run ------------------------------------------------------------------------

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

kind=dump at=0 schema=0
[[ -z $from ]] || backup_check
if [[ $kind == physical ]]; then
	physical_put
	exit 0
fi
others_ask
target_state
if ((in_place)); then
	[[ $state == there ]] || fail "$shard has no data"
	name=$(one "$shard" "SELECT ss.name FROM shard_self AS ss")
	[[ $name == "$shard" ]] || fail "what answers there calls itself $name"
	at=$(one "$shard" "SELECT COALESCE((SELECT MAX(sb.beat) FROM shard_beat AS sb), 0)")
else
	[[ $state != there ]] || fail "$shard is not empty: stop it, move its data directory away, and" \
		"initialise a new one (mariadb-install-db); or is --in-place meant?"
fi
loss_say "$at"
if ((dry_run)); then
	say "would $( ((in_place)) || echo 'load it, ')settle the slots of $shard with ${#others[@]} other shards, and refuse it until" \
		"shardctl verify admits it"
	exit 0
fi
confirm "restore $shard?"
if ((in_place)); then
	one "$shard" "CALL shard_refuse('its data was put back')" >/dev/null 2>&1 || true
else
	dump_load
fi
migrate
settle "$( ((in_place)) && echo 'its data was put back' || echo 'restored from a backup')"
newer_say
moves_end
compare
