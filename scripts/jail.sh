# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: Doushard contributors
# Can the server examine uploads here? It runs ffmpeg in a jail of bubblewrap, which needs
# namespaces from the kernel; some containers and all chroots have none. Sourced by scripts/demo
# after cluster.sh.
#
# shellcheck disable=SC2154 # as_account and others come from cluster.sh and lib.sh

# jail_works: try the jail as the server makes it (server/media/jail.c). False: jail_error is
# bubblewrap's message.
jail_works() {
	jail_error=$(as_account bwrap --unshare-user --unshare-all --disable-userns --cap-drop ALL --die-with-parent \
		--new-session --ro-bind / / --dev-bind /dev/null /dev/null --proc /proc --remount-ro / -- true 2>&1) &&
		return 0
	jail_error=${jail_error:-bwrap: ended without a word}
	return 1
}

# kernel_says NAME VALUE: the kernel has this setting, with this value.
kernel_says() {
	local value=''
	{ read -r value <"/proc/sys/$1"; } 2>/dev/null && [[ $value == "$2" ]]
}

is_chroot() {
	if [[ -e /proc/1/root/. ]]; then [[ ! / -ef /proc/1/root ]]; else
		! awk '$5 == "/" { found = 1 } END { exit !found }' /proc/self/mountinfo 2>/dev/null
	fi
}

is_container() {
	[[ -e /.dockerenv || -e /run/.containerenv || -e /run/systemd/container || -e /run/host/container-manager ]]
}

# What to do about it, as far as can be told from here.
jail_advice() {
	if is_chroot; then
		say "The kernel gives no user namespaces inside a chroot: run this outside of it."
	elif kernel_says kernel/unprivileged_userns_clone 0; then
		say "Allow user namespaces, as root: sysctl kernel.unprivileged_userns_clone=1"
	elif kernel_says user/max_user_namespaces 0; then
		say "Allow user namespaces, as root: sysctl user.max_user_namespaces=10000"
	elif is_container; then
		say "Start the container so that it may create user namespaces and mount /proc in them, as with"
		say "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined \\"
		say "           --security-opt systempaths=unconfined"
	elif kernel_says kernel/apparmor_restrict_unprivileged_userns 1; then
		say "Allow user namespaces, as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0"
	else
		say "Run this where an ordinary user may create user namespaces: unshare --user true"
	fi
}

# jail_blame: error and advice on standard error.
jail_blame() {
	warn "uploads cannot be examined here, so the server refuses them all. bubblewrap, the jail for" \
		"ffmpeg, says:"
	{
		say "    ${jail_error//$'\n'/$'\n'    }"
		jail_advice
	} >&2
}
