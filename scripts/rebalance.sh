#!/usr/bin/env bash
# Even out the shards: check them, make and show a plan, ask, make the moves, and check again.
#
# usage: scripts/rebalance.sh [OPTION..]
#
#   --by=bytes|rows|load    what is evened out (bytes)
#   --threshold=PERCENT     how far from its share a shard may be (10)
#   --floor=N               leave out moves that gain less than this (1048576 bytes)
#   --weights=NAME=W,..     relative shares of shards (1)
#   --capacity=NAME=BYTES,..   limits, never exceeded
#   --limit=N               at most so many moves
#   --parallel=N            moves at a time per shard (1)
#   --keep=TIME             how long each can be rolled back (1h)
#   --rate=ROWS/s           copy, compare and remove no faster
#   --dry-run               show the plan; change nothing
#   --yes                   do not ask
#   --topology=FILE --password-file=FILE --user=NAME --db-name=NAME --tls-ca=FILE
#                           as for shardctl; not needed beside a demo cluster
#
# Every single move improves the balance: this may be stopped at any time (Ctrl-C) and run again.
# Users only notice a pause of some milliseconds, up to a tenth of a second on a busy machine, in writes
# to the slot that moves.
#
# Exit status: 0 even, or evened out (--dry-run: the plan was shown); 1 not all could be done; 2 misuse.
#
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: Doushard contributors

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/operate.sh
. "$ROOT/scripts/operate.sh"

plan=() terms=()
for option in "$@"; do
	case $option in
	--by=* | --threshold=* | --floor=* | --weights=* | --capacity=* | --limit=*) plan+=("$option") ;;
	--parallel=* | --keep=* | --rate=*) terms+=("$option") ;;
	*) place_option "$option" || misuse "unknown option $option" ;;
	esac
done
shardctl_find

refuse_troubles
status=0
shardctl plan "${plan[@]}" || status=$?
((status < 2)) || exit "$status"
((status == 1 && DRY_RUN == 0)) || exit 0

confirm "Make these moves?"
status=0
shardctl balance "${plan[@]}" "${terms[@]}" --yes || status=$?
echo
shardctl status || true
exit "$status"
