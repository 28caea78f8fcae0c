# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: Doushard contributors
# What the scripts for whole tasks share: how shardctl reaches the shards, and asking for
# confirmation. Sourced after lib.sh, never run.

# Options for shardctl that say where the shards are, and which account to use.
PLACE=()
DRY_RUN=0
YES=0

# place_option OPTION: true when it is one of those.
place_option() {
	case $1 in
	--topology=* | --password-file=* | --user=* | --db-name=* | --tls-ca=*) PLACE+=("$1") ;;
	--dry-run)
		# shellcheck disable=SC2034 # for the scripts that source this
		DRY_RUN=1
		;;
	--yes) YES=1 ;;
	-h | --help) usage_exit ;;
	*) return 1 ;;
	esac
}

# One account for all commands: the password file is for one account.
shardctl() {
	local user=()
	[[ " ${PLACE[*]} " == *" --user="* || " ${PLACE[*]} " != *" --password-file="* ]] ||
		user=(--user=doushard_admin)
	"$SHARDCTL" "$@" "${user[@]}" "${PLACE[@]}"
}

# confirm QUESTION: ends the script unless the answer is yes.
confirm() {
	local answer=''
	((YES == 0)) || return 0
	[[ -t 0 ]] || die "nothing was done: without a terminal to ask at, add --yes"
	read -r -p "$1 [y/N] " answer || true
	[[ $answer == y || $answer == yes ]] || die "nothing was done"
}

# Begin nothing while something is wrong.
refuse_troubles() {
	local status=0
	shardctl status || status=$?
	((status == 0)) || die "nothing was done: first fix what [ERR] names above"
	echo
}
