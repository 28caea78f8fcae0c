#!/usr/bin/env bash
# Empty a shard, so that its machine can be taken away: move all of its slots to the others, and
# those that are on their way to it, wait until nothing of them is left, and say what remains to do.
#
# usage: scripts/drain-shard.sh SHARD [OPTION..]
#
#   --finish                make the moves final as soon as all are made, instead of waiting until
#                           the slots can no longer be rolled back (--keep)
#   --capacity=NAME=BYTES,..   limits of the other shards
#   --parallel=N            moves at a time per shard (1)
#   --keep=TIME             how long each can be rolled back (1h)
#   --rate=ROWS/s           copy, compare and remove no faster
#   --dry-run               show the plan; change nothing
#   --yes                   do not ask
#   --topology=FILE --password-file=FILE --user=NAME --db-name=NAME --tls-ca=FILE
#                           as for shardctl; not needed beside a demo cluster
#
# It may be stopped at any time and run again: it goes on with what is left.
#
# Exit status: 0 the shard is empty (--dry-run: could be); 1 something is left on it; 2 misuse.
#
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: Doushard contributors

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/operate.sh
. "$ROOT/scripts/operate.sh"

shard='' finish=0 terms=()
for option in "$@"; do
	case $option in
	--finish) finish=1 ;;
	--capacity=* | --parallel=* | --keep=* | --rate=*) terms+=("$option") ;;
	-*) place_option "$option" || misuse "unknown option $option" ;;
	*)
		[[ -z $shard ]] || misuse "one shard at a time"
		shard=$option
		;;
	esac
done
[[ -n $shard ]] || misuse "which shard?"
shardctl_find

# left: sets slots, gives, takes (with those that wait for a mover) and keeps of the shard; false when
# shardctl cannot say.
left() {
	local line
	line=$({ shardctl status --json || true; } | awk -v RS='{' -v shard="$shard" '
		function number(key) {
			key = "\"" key "\": "
			if (!match($0, key "[0-9]+")) return "unknown"
			return substr($0, RSTART + length(key), RLENGTH - length(key))
		}
		index($0, "\"shard\": \"" shard "\",") && /"keeps": / {
			state = number("slots") " " number("gives")
			keeps = number("keeps")
		}
		index($0, "\"taker\": \"" shard "\",") && !/"phase": "(keeping|done|undone|failed)"/ { takes++ }
		END { print state, takes + 0, keeps }')
	read -r slots gives takes keeps <<<"$line" || return 1
	is_number "$slots" && is_number "$gives" && is_number "$takes" && is_number "$keeps"
}

# Slots that it gave away and that can still be rolled back, separated by commas.
kept() {
	{ shardctl status --json || true; } | awk -v RS='{' -v giver="\"giver\": \"$shard\"," '
		/"kind": "move",/ && index($0, giver) && /"phase": "keeping",/ {
			match($0, /"slot": [0-9]+/)
			list = list sep substr($0, RSTART + 8, RLENGTH - 8)
			sep = ","
		}
		END { print list }'
}

refuse_troubles
status=0
shardctl drain "$shard" "${terms[@]}" --dry-run || status=$?
((status < 2 && DRY_RUN == 0)) || exit "$status"

left || die "$shard does not say what is on it"
((slots + takes == 0)) || confirm "Move all of this away from $shard?"
# Nothing more is sent to it from here on; what is on its way must arrive before it can leave.
shardctl call 'shard_drain(1)' --shard="$shard" >/dev/null || die "$shard cannot be marked"
if ((takes > 0)); then
	say "slots on their way to $shard: $takes; waiting until they have arrived"
	while left && ((takes > 0)); do sleep 1; done
	left || die "$shard does not say what is on it"
fi
if ((slots > 0)); then
	shardctl drain "$shard" "${terms[@]}" --yes ||
		die "not everything was moved away; run this again to go on"
	left || die "$shard does not say what is left on it"
fi
if ((keeps > 0 && finish)); then
	shardctl finish "$(kept)" --yes
elif ((keeps > 0)); then
	say "$keeps slots can still be rolled back to $shard: waiting until they cannot (shardctl finish ends this)"
fi
while left && ((gives + takes + keeps > 0)); do sleep 1; done
left || die "$shard does not say what is left on it"
((slots == 0)) || die "$slots slots are on $shard (again)"

cat <<-END

	$shard is empty: it has no slot, and no move needs it. Now

	  1. take it out of topology.conf, on every machine with a server or a mover;
	  2. reload servers and movers (systemctl reload doushard doushard-mover), one
	     machine at a time;
	  3. when shardctl status shows only the others, stop its database. Keep its files
	     until a backup of the other shards is newer than this.
END
