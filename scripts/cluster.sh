# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: Doushard contributors
# The processes of a demonstration cluster: their files and ports, and how each is prepared,
# started, checked and stopped. Sourced by scripts/demo after lib.sh.
#
# Files below $VAR, all of them ours:
#   ports               base of the port block, number of shards, of shards that had slots at first,
#                       and of Redis nodes
#   pids/NAME.pid       pid, start time and boot of each process
#   log/NAME.log        what it wrote
#   run/                sockets (elsewhere when the path would be too long)
#   secrets/            passwords and keys, readable by their user alone
#   shardN/ redisN/     data directories with the configuration they were started with
#   media/ upload/      files of the server; serverN.conf topology.conf endpoints.json
#   (a mover has no files but its pid and its log)
#
# shellcheck disable=SC2154 # process_start and others come from lib.sh

# shellcheck source=scripts/template.sh
. "$ROOT/scripts/template.sh"

DB_NAME=doushard
# redis1.. share the slots of Redis; with replicas, each has one: that of redis1 is redis4.
REDIS_MASTERS=3
REDIS_MAX=$((2 * REDIS_MASTERS))
REDIS_NODES=$REDIS_MASTERS
SHARDS_MAX=32
# Shards that had slots at first; the numbers of those added later follow.
ASSIGNED=0
SERVERS_MAX=5
MOVERS_MAX=3
# From the base of a block: servers at +0 (public, admin, public, admin ..), shards at +11..,
# Redis at +81..; the bus of a Redis node is 10000 above it. Below 32768, because the kernel
# gives ports from there on to outgoing connections.
BLOCK_SIZE=100
BLOCK_FIRST=8080
BLOCK_LAST=22580

# ---- whose processes, which directory --------------------------------------------------

# Neither MariaDB nor anything that parses uploads should run as root. An account of its own
# and not `nobody`: whatever else runs as nobody could read the shards' files and stop them.
ACCOUNT=doushard-demo
RUN_AS=()

account_prepare() {
	((EUID == 0)) || return 0
	if ! getent passwd "$ACCOUNT" >/dev/null; then
		useradd --system --user-group --no-create-home --home-dir /nonexistent \
			--shell /usr/sbin/nologin "$ACCOUNT" || getent passwd "$ACCOUNT" >/dev/null ||
			die "cannot create the account $ACCOUNT that the databases run as"
		step "created the system account $ACCOUNT: databases and server run as it, since you are root"
	fi
	RUN_AS=(setpriv "--reuid=$ACCOUNT" "--regid=$ACCOUNT" --clear-groups --)
}

# give PATH...: change the owner to the account that the processes run as.
give() {
	((EUID == 0)) || return 0
	chown -h -- "$ACCOUNT:$ACCOUNT" "$@"
}

# as_account COMMAND...
as_account() { "${RUN_AS[@]}" "$@"; }

# Sets VAR. As root, a directory that the account cannot reach (a checkout in /root) moves
# below /var/tmp; what the user sees is then a link to it.
var_locate() {
	VAR=$(absolute "${DOUSHARD_VAR:-$ROOT/var}")
	VAR_SHOWN=$VAR
	if [[ -L $VAR ]]; then
		VAR=$(readlink -f -- "$VAR") || die "$VAR_SHOWN is a link to nowhere; remove it"
	fi
}

var_create() {
	local parent
	parent=$(dirname -- "$VAR")
	mkdir -p -- "$parent"
	if ((EUID == 0)) && ! as_account test -x "$parent"; then
		local far
		far=/var/tmp/doushard-$EUID-$(path_number "$VAR")
		[[ ! -e $VAR ]] || rmdir -- "$VAR" 2>/dev/null ||
			die "$ACCOUNT cannot reach $VAR; move the checkout, or set DOUSHARD_VAR"
		mkdir -m 755 -- "$far" 2>/dev/null || [[ -O $far && -d $far && ! -L $far ]] ||
			die "$far belongs to somebody else; set DOUSHARD_VAR to another directory"
		ln -s -- "$far" "$VAR"
		VAR=$far
	fi
	# It has our mark from the first moment: a directory without it is not ours.
	if [[ ! -e $VAR ]]; then
		local new
		new=$(mktemp -d -- "$VAR.XXXXXX")
		var_mark "$new"
		mv -T -- "$new" "$VAR" 2>/dev/null || rm -rf -- "$new"
	fi
	[[ -O $VAR ]] || die "$VAR belongs to somebody else; set DOUSHARD_VAR to another directory"
	if [[ ! -e $VAR/.doushard ]]; then
		[[ -z $(ls -A -- "$VAR") ]] ||
			die "$VAR is not empty and not ours; set DOUSHARD_VAR to another directory"
		var_mark "$VAR"
	fi
}

var_mark() { say "Files of scripts/demo; removed by scripts/demo reset." >"$1/.doushard"; }

# Fill it; under the lock.
var_fill() {
	mkdir -p -- "$VAR/pids" "$VAR/log" "$VAR/media" "$VAR/upload" "$VAR/run" "$VAR/secrets"
	chmod 711 "$VAR/secrets"
	chmod 755 "$VAR" "$VAR/pids" "$VAR/log"
	give "$VAR/media" "$VAR/upload" "$VAR/run"
}

var_exists() { [[ -e $VAR/.doushard ]]; }

# Only one verb at a time changes a cluster. False: the cluster was removed while we waited, and we
# hold the lock of a deleted file.
var_try_lock() {
	if ! { exec {LOCK_FD}>>"$VAR/lock"; } 2>/dev/null; then
		[[ ! -e $VAR/.doushard ]] || die "cannot write $VAR/lock"
		return 1
	fi
	flock -w 120 "$LOCK_FD" || die "another scripts/demo has been busy with $VAR for 2 minutes"
	if [[ ! $VAR/lock -ef /proc/self/fd/$LOCK_FD ]]; then
		exec {LOCK_FD}>&-
		return 1
	fi
}

var_lock() { var_try_lock || die "$VAR_SHOWN was removed by another scripts/demo"; }

# Rename it first, in one step, so that nobody starts anew in a directory that is half removed.
var_remove() {
	local gone=$VAR.removed.$$
	mv -T -- "$VAR" "$gone" 2>/dev/null || gone=$VAR
	rm -rf -- "$gone"
}

# The path of a Unix socket has at most 107 bytes.
socket_directory() {
	local dir=$VAR/run
	if ((${#dir} + 12 > 107)); then
		dir=/tmp/doushard-$EUID-$(path_number "$VAR")
		mkdir -m 711 -- "$dir" 2>/dev/null || is_ours "$dir" ||
			die "$dir, where the sockets would be, belongs to somebody else; remove it, or set" \
				"DOUSHARD_VAR to a shorter path"
		give "$dir"
	fi
	printf '%s' "$dir"
}

# A directory of this user, or of the account that the processes run as.
is_ours() {
	[[ -d $1 && ! -L $1 ]] || return 1
	[[ -O $1 ]] || { ((EUID == 0)) && [[ $(stat -c %U -- "$1") == "$ACCOUNT" ]]; }
}

# Shared by all clusters of one user; for a user without a home, in the cluster's own directory.
cache_directory() {
	local cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/doushard
	if [[ $cache == /.cache/* ]] || ! mkdir -p -- "$cache" 2>/dev/null || [[ ! -w $cache ]]; then
		cache=$VAR/cache
		mkdir -p -- "$cache"
	fi
	printf '%s' "$cache"
}

# ---- ports ----------------------------------------------------------------------------

server_port() { printf '%s' $((PORT_BASE + 2 * ($1 - 1))); }
admin_port() { printf '%s' $((PORT_BASE + 2 * ($1 - 1) + 1)); }
shard_port() { printf '%s' $((PORT_BASE + 10 + $1)); }
redis_port() { printf '%s' $((PORT_BASE + 80 + $1)); }

block_ports() {
	local i
	for ((i = 1; i <= SERVERS_MAX; i++)); do server_port "$i"; echo; admin_port "$i"; echo; done
	for ((i = 1; i <= SHARDS; i++)); do shard_port "$i"; echo; done
	# Including those of replicas that a later up may add.
	for ((i = 1; i <= REDIS_MAX; i++)); do
		redis_port "$i"; echo
		echo $((PORT_BASE + 80 + i + 10000))
	done
}

# Ports that somebody listens on, IPv4 and IPv6, as %04X. Closed connections (TIME_WAIT) do not
# count: a server may listen on their ports at once.
ports_used() {
	awk '$4 == "0A" { n = split($2, a, ":"); print a[n] }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

ports_free() { # PORT...
	local used port
	used=" $(ports_used | tr '\n' ' ') "
	for port; do
		printf -v port '%04X' "$port"
		[[ $used != *" $port "* ]] || return 1
	done
}

block_free() {
	local list
	mapfile -t list < <(block_ports)
	ports_free "${list[@]}"
}

# Sets PORT_BASE, SHARDS, ASSIGNED and REDIS_NODES from what is there.
ports_load() {
	[[ -r $VAR/ports ]] || return 1
	local key value
	while IFS='=' read -r key value; do
		case $key in
		base) PORT_BASE=$value ;;
		shards) SHARDS=$value ;;
		assigned) ASSIGNED=$value ;;
		redis) REDIS_NODES=$value ;;
		esac
	done <"$VAR/ports"
	((ASSIGNED > 0)) || ASSIGNED=$SHARDS
}

ports_save() {
	printf 'base=%s\nshards=%s\nassigned=%s\nredis=%s\n' "$PORT_BASE" "$SHARDS" "$ASSIGNED" "$REDIS_NODES" |
		write_file 644 "$VAR/ports"
}

shards_wanted() {
	local n=${DOUSHARD_SHARDS:-4}
	if ! is_number "$n" || ((n < 1 || n > SHARDS_MAX)); then
		misuse "DOUSHARD_SHARDS is a number from 1 to $SHARDS_MAX"
	fi
	printf '%s' "$n"
}

# Sets the same, from the file or by choosing a free block. Blocks chosen in the last minute by
# another cluster that has not opened them yet count as taken.
ports_choose() {
	local first=$BLOCK_FIRST had='' blocks=$(((BLOCK_LAST - BLOCK_FIRST) / BLOCK_SIZE + 1)) i
	if ports_load; then
		[[ -z ${DOUSHARD_SHARDS:-} || $DOUSHARD_SHARDS == "$ASSIGNED" || $DOUSHARD_SHARDS == "$SHARDS" ]] ||
			die "this cluster has $SHARDS shards; reset it first, or set DOUSHARD_VAR to another directory"
		had=$PORT_BASE first=$PORT_BASE
		if any_alive; then return 0; fi
	else
		SHARDS=$(shards_wanted)
		ASSIGNED=$SHARDS
		# Clusters of tests begin elsewhere, so that 8080 stays free for the checkout's own.
		[[ -z ${DOUSHARD_VAR:-} ]] ||
			first=$((BLOCK_FIRST + BLOCK_SIZE * (1 + $(path_number "$VAR") % (blocks - 1))))
		first=${DOUSHARD_PORT_BASE:-$first}
		if ! is_number "$first" || ((first < 1024 || first > BLOCK_LAST)); then
			misuse "DOUSHARD_PORT_BASE is a number from 1024 to $BLOCK_LAST"
		fi
	fi
	# In a directory of the caller's own: a name that others can guess below /tmp could be theirs.
	local book recent fd now
	book=$(cache_directory)/ports
	exec {fd}>>"$book"
	flock "$fd"
	now=$(date +%s)
	# Lines "base time directory" of the last minute; older ones are forgotten.
	local lines
	lines=$(awk -v now="$now" '$2 > now - 60' "$book")
	printf '%s\n' "$lines" >"$book"
	recent=" $(awk -v me="$VAR" '$3 != me { print $1 }' <<<"$lines" | tr '\n' ' ') "
	PORT_BASE=$first
	for ((i = 0; i < blocks; i++)); do
		if [[ $recent != *" $PORT_BASE "* ]] && block_free; then
			printf '%s %s %s\n' "$PORT_BASE" "$now" "$VAR" >>"$book"
			break
		fi
		PORT_BASE=$((PORT_BASE + BLOCK_SIZE))
		((PORT_BASE <= BLOCK_LAST)) || PORT_BASE=$BLOCK_FIRST
	done
	exec {fd}>&-
	((i < blocks)) || die "no free block of ports between $BLOCK_FIRST and $BLOCK_LAST"
	if [[ $PORT_BASE != "$first" ]]; then step "ports from $first on are taken, using $PORT_BASE"; fi
	# The nodes of a Redis Cluster remember each other's ports; nothing else there is worth keeping.
	if [[ -n $had && $had != "$PORT_BASE" ]]; then rm -rf -- "$VAR"/redis[0-9]*; fi
	ports_save
}

# ---- processes ------------------------------------------------------------------------

pid_file() { printf '%s' "$VAR/pids/$1.pid"; }
log_file() { printf '%s' "$VAR/log/$1.log"; }
alive() { process_of "$VAR/pids/$1.pid" >/dev/null; }

# Names of the cluster's members now.
members() {
	local i
	for ((i = 1; i <= SERVERS_MAX; i++)); do
		if [[ -e $VAR/server$i.conf ]]; then printf 'server%d\n' "$i"; fi
	done
	for ((i = 1; i <= MOVERS_MAX; i++)); do
		if mover_belongs "$i"; then printf 'mover%d\n' "$i"; fi
	done
	for ((i = 1; i <= SHARDS; i++)); do printf 'shard%d\n' "$i"; done
	for ((i = 1; i <= REDIS_NODES; i++)); do
		if [[ -e $VAR/redis$i ]]; then printf 'redis%d\n' "$i"; fi
	done
}

# stray NAME: print the process that runs in the directory of a shard or Redis node without being in
# its pid file: a second one there would take over its socket.
stray() {
	local name=$1 dir=$VAR/$1 known='' process comm
	[[ $name != shard* ]] || dir=$dir/data
	[[ -d $dir ]] || return 1
	known=$(process_of "$(pid_file "$name")") || true
	for process in /proc/[0-9]*; do
		[[ $process/cwd -ef $dir && ${process#/proc/} != "$known" ]] || continue
		{ read -r comm <"$process/comm"; } 2>/dev/null || continue
		[[ $comm == mariadbd || $comm == redis-server ]] || continue
		printf '%s' "${process#/proc/}"
		return 0
	done
	return 1
}

# refuse_stray NAME...: exit when one of them runs without being in its pid file.
refuse_stray() {
	local name pid
	for name in "$@"; do
		if pid=$(stray "$name"); then
			die "$name runs as process $pid, but $VAR_SHOWN/pids/$name.pid does not say so: end that" \
				"process (kill $pid), wait until it is gone, and run this again"
		fi
	done
}

# refuse_strays: for all members, before their directories are treated as unused.
refuse_strays() {
	local n
	for ((n = 1; n <= SHARDS; n++)); do refuse_stray "shard$n"; done
	for ((n = 1; n <= REDIS_NODES; n++)); do refuse_stray "redis$n"; done
}

any_alive() {
	local file
	for file in "$VAR"/pids/*.pid; do
		if process_of "$file" >/dev/null; then return 0; fi
	done
	return 1
}

# Raise the limit of descriptors as far as allowed, within reason: a server holds one per client.
descriptors_raise() {
	local hard
	hard=$(ulimit -Hn)
	if [[ $hard == unlimited ]] || ((hard > 65536)); then hard=65536; fi
	ulimit -Sn "$hard" 2>/dev/null || true
}

# launch NAME COMMAND...: in a session of its own, so that Ctrl-C in this terminal does not
# reach it, with no descriptor of ours.
launch() {
	local name=$1 log
	shift
	log=$(log_file "$name")
	(
		umask 077
		cd "$VAR" || exit
		exec {LOCK_FD}>&-
		descriptors_raise
		exec setsid "${RUN_AS[@]}" "$@"
	) </dev/null >>"$log" 2>&1 &
	process_record $! "$(pid_file "$name")" || true
}

# blame NAME WHAT: print why NAME is not up, as far as its log tells, and what to do.
blame() {
	warn "$1 $2. The end of $VAR_SHOWN/log/$1.log:"
	# Leave out our own requests for /readyz.
	grep -v 'route=/readyz' -- "$(log_file "$1")" 2>/dev/null | tail -n 20 | sed 's/^/    /' >&2
	if [[ $1 == server* ]]; then
		warn "and its /readyz says:"
		curl -sS --noproxy '*' --max-time 2 "$(admin_url "${1#server}")/readyz" 2>&1 | sed 's/^/    /' >&2
	fi
	cat >&2 <<-END

		What to do: look at the lines above, then run \`scripts/demo up\` again; it goes on
		where it stopped. \`scripts/demo status\` shows the rest, \`scripts/demo down\` ends it,
		\`scripts/demo reset\` begins anew and loses the demo's data.
	END
	exit 1
}

# await NAME SECONDS CHECK...: wait until CHECK succeeds or NAME's process ends.
await() {
	local name=$1 limit=$2
	shift 2
	# shellcheck disable=SC2317 # called by wait_until
	ready_or_dead() { "$@" || ! alive "$name"; }
	wait_until "$limit" ready_or_dead "$@" || blame "$name" "is not ready after $limit s"
	alive "$name" || blame "$name" "has ended"
}

# ---- secrets --------------------------------------------------------------------------

# secret NAME: print the first line of its file.
secret() {
	local text=''
	IFS= read -r text <"$VAR/secrets/$1" || [[ -n $text ]] || return 1
	printf '%s' "$text"
}

secrets_create() {
	local name text dir=$VAR/secrets
	for name in root_password admin_password monitor_password mover_password app_password redis_password; do
		[[ -e $dir/$name ]] || random_hex 20 | write_file 600 "$dir/$name"
	done
	[[ -e $dir/token_keys ]] || printf 'demo1 %s\n' "$(random_hex 32)" | write_file 600 "$dir/token_keys"
	# Files are written whole, so somebody has emptied it; a new secret would not match what runs.
	for name in root_password admin_password monitor_password mover_password app_password redis_password token_keys; do
		text=''
		IFS= read -r text <"$dir/$name" || true
		[[ $text == [![:space:]]* ]] ||
			die "$dir/$name has no secret on its first line: restore it, or start over with" \
				"scripts/demo reset"
	done
	printf '[client]\nuser=root\npassword=%s\n' "$(secret root_password)" | write_file 600 "$dir/root.cnf"
	printf '[client]\nuser=doushard_admin\npassword=%s\n' "$(secret admin_password)" |
		write_file 600 "$dir/admin.cnf"
}

# ---- shards ---------------------------------------------------------------------------

shard_socket() { printf '%s/shard%s.sock' "$SOCKETS" "$1"; }

# shard_sql N [OPTION...]: the client as root, statements from standard input.
shard_sql() {
	local n=$1
	shift
	mariadb "--defaults-file=$VAR/secrets/root.cnf" "--socket=$(shard_socket "$n")" \
		--connect-timeout=2 --comments --batch --skip-column-names "$@"
}

shard_create() {
	local n=$1 dir=$VAR/shard$1
	if [[ ! -d $dir/data/mysql ]]; then
		template_find
		rm -rf -- "$dir"
		mkdir -m 700 -- "$dir" "$dir/files"
		template_copy "$dir/new"
		((EUID != 0)) || chown -R "$ACCOUNT:$ACCOUNT" "$dir"
		mv -T -- "$dir/new" "$dir/data"
	fi
	# The latter is for clusters with a binary log (log_bin = ../binlog/log).
	local sub
	for sub in tmp binlog; do [[ -d $dir/$sub ]] || mkdir -m 700 -- "$dir/$sub"; done
	# Runs before the first connection is accepted, so root is never without a password. The
	# installation also made accounts for root from other hosts, such as this machine's name. init_file
	# takes one statement per line.
	write_file 600 "$dir/init.sql" <<-END
		DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost';
		DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost';
		FLUSH PRIVILEGES;
		ALTER USER 'root'@'localhost' IDENTIFIED BY '$(secret root_password)';
	END
	{
		cat -- "$ROOT/config/mariadb/shard.cnf"
		cat <<-END

			# ---- this shard of the demonstration ----
			datadir          = "$dir/data"
			socket           = "$(shard_socket "$n")"
			port             = $(shard_port "$n")
			bind_address     = 127.0.0.1
			pid_file         = "$dir/mariadbd.pid"
			init_file        = "$dir/init.sql"
			secure_file_priv = "$dir/files"
			tmpdir           = "$dir/tmp"
			innodb_buffer_pool_size = 64M
			innodb_log_file_size    = 32M
			key_buffer_size         = 1M
			aria_pagecache_buffer_size = 8M
			table_open_cache        = 400
		END
		printf '%s\n' "${DOUSHARD_SHARD_OPTIONS:-}"
	} | write_file 600 "$dir/my.cnf"
	give "$dir/init.sql" "$dir/my.cnf" "$dir/tmp" "$dir/binlog"
}

# faketime_options N: an environment that shifts the clock of shard N. The offset is in a
# file that may be rewritten while the shard runs.
faketime_options() {
	local variable=DOUSHARD_SHARD$1_FAKETIME
	local offset=${!variable:-${DOUSHARD_SHARD_FAKETIME:-}} file=$VAR/shard$1/clock library
	rm -f -- "$file"
	[[ -n $offset ]] || return 0
	library=$(find /usr/lib/*/faketime -name 'libfaketimeMT.so.1' 2>/dev/null | head -n 1)
	[[ -n $library ]] || die "$variable needs the package faketime"
	printf '%s\n' "$offset" | write_file 644 "$file"
	printf '%s\n' env "LD_PRELOAD=$library" "FAKETIME_TIMESTAMP_FILE=$file" FAKETIME_NO_CACHE=1 \
		FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1
}

shard_launch() {
	local n=$1 options clock=()
	options=$(faketime_options "$n")
	[[ -z $options ]] || mapfile -t clock <<<"$options"
	launch "shard$n" "${clock[@]}" mariadbd "--defaults-file=$VAR/shard$n/my.cnf"
}

shard_ready() {
	[[ -S $(shard_socket "$1") ]] && shard_sql "$1" -e 'SELECT 1' >/dev/null 2>&1
}

# ---- Redis ----------------------------------------------------------------------------

redis_has_replicas() { ((REDIS_NODES > REDIS_MASTERS)); }

# Call it before anything is started; it then holds for this cluster for good.
redis_replicas_want() {
	REDIS_NODES=$REDIS_MAX
	ports_save
}

redis_call() {
	local port
	port=$(redis_port "$1")
	shift
	REDISCLI_AUTH=$(secret redis_password) timeout 3 redis-cli -h 127.0.0.1 -p "$port" "$@" 2>/dev/null
}

# Debian keeps the server's program under the name of one of its modes in redis-tools, and
# only a link with the right name in redis-server, the package with the system service.
redis_program() {
	if command -v redis-server; then return 0; fi
	mkdir -p -- "$VAR/bin"
	ln -sf -- "$(command -v redis-check-rdb)" "$VAR/bin/redis-server"
	printf '%s' "$VAR/bin/redis-server"
}

redis_create() {
	local dir=$VAR/redis$1
	[[ -d $dir ]] || mkdir -m 700 -- "$dir"
	{
		cat -- "$ROOT/config/redis/redis.conf"
		cat <<-END

			# ---- this node of the demonstration ----
			port $(redis_port "$1")
			dir $(quote_json "$dir")
			requirepass $(secret redis_password)
			masterauth $(secret redis_password)
			daemonize no
			# A replica need not wait for others that might want the same copy.
			repl-diskless-sync-delay 0
		END
	} | write_file 600 "$dir/redis.conf"
	give "$dir" "$dir/redis.conf"
}

redis_launch() { launch "redis$1" "$(redis_program)" "$VAR/redis$1/redis.conf"; }
redis_answers() { [[ $(redis_call "$1" PING) == PONG ]]; }

# The cluster is complete, and the node has slots or is a replica in sync.
redis_healthy() {
	redis_call "$1" CLUSTER INFO | grep -q '^cluster_state:ok' || return 1
	redis_call "$1" INFO replication | grep -q '^master_link_status:up' || redis_has_slots "$1"
}

# redis_self N: what the node says of itself: its id, flags, its master's id (of a master "-") and
# the first slots that it has.
redis_self() {
	redis_call "$1" CLUSTER NODES | awk '$3 ~ /myself/ { print $1, $3, $4, $9 }'
}

redis_has_slots() { [[ $(redis_self "$1") == *" - "?* ]]; }

redis_meet() { redis_call "$1" CLUSTER MEET 127.0.0.1 "$(redis_port "$2")" >/dev/null; }

# Give every master its share of the 16384 hash slots and make all nodes meet. Repeating it changes
# nothing.
redis_join() {
	local i owned first
	owned=$(redis_call 1 CLUSTER INFO | sed -n 's/^cluster_slots_assigned:\([0-9]*\).*/\1/p')
	for ((i = 1; i <= REDIS_MASTERS && owned != 16384; i++)); do
		first=$((16384 * (i - 1) / REDIS_MASTERS))
		redis_call "$i" CLUSTER SET-CONFIG-EPOCH "$i" >/dev/null || true
		redis_call "$i" CLUSTER ADDSLOTSRANGE "$first" $((16384 * i / REDIS_MASTERS - 1)) >/dev/null || true
		((i == 1)) || redis_meet 1 "$i"
	done
	for ((i = REDIS_MASTERS + 1; i <= REDIS_NODES; i++)); do
		redis_healthy "$i" || redis_meet $((i - REDIS_MASTERS)) "$i"
	done
}

# Is node N, which should be a replica, in its place? It may also be a master with slots, when it
# has taken over from its own. Otherwise make it the replica of its master, once it knows that one,
# or of the node that has that one's slots by now.
redis_attached() {
	local id flags master
	if redis_healthy "$1"; then return 0; fi
	[[ $(redis_self "$1") == *myself,master* ]] || return 1
	read -r id flags master _ <<<"$(redis_self $(($1 - REDIS_MASTERS)))" || return 1
	[[ $flags != *slave* ]] || id=$master
	redis_call "$1" CLUSTER REPLICATE "$id" >/dev/null || true
	return 1
}

# Do the servers of this cluster use it? Not after `up --no-redis`.
REDIS_USED=1
redis_is_used() { ((REDIS_USED)) && [[ -e $VAR/redis1 ]]; }

# The options by which a server finds it.
redis_options() {
	local i nodes=''
	redis_is_used || return 0
	for ((i = 1; i <= REDIS_NODES; i++)); do nodes+="${nodes:+, }127.0.0.1:$(redis_port "$i")"; done
	printf 'redis_nodes = "%s";\nredis_password_file = %s;\n' "$nodes" \
		"$(quote_json "$VAR/secrets/redis_password")"
}

# ---- the server -----------------------------------------------------------------------

build_directory() { absolute "${DOUSHARD_BUILD_DIR:-$ROOT/build}"; }

server_url() { printf 'http://127.0.0.1:%s' "$(server_port "$1")"; }
admin_url() { printf 'http://127.0.0.1:%s' "$(admin_port "$1")"; }

# our_program NAME: print the path of a program of the build: that of the checkout, or a copy where
# the account that it runs as cannot reach the checkout.
our_program() {
	local program
	program=$(build_directory)/$1
	[[ -x $program ]] || die "$program is missing; run make, or leave out --no-build"
	if ! as_account test -r "$program"; then
		mkdir -p -- "$VAR/bin"
		install -m 755 -- "$program" "$VAR/bin/$1.new"
		mv -f -- "$VAR/bin/$1.new" "$VAR/bin/$1"
		program=$VAR/bin/$1
	fi
	printf '%s' "$program"
}

topology_create() {
	local n
	{
		say "# The shards of this demonstration; written by scripts/demo."
		say "servers = ("
		for ((n = 1; n <= SHARDS; n++)); do
			printf '    { name = "shard%d"; host = "127.0.0.1"; port = %d; socket = %s; }%s\n' "$n" \
				"$(shard_port "$n")" "$(quote_json "$(shard_socket "$n")")" \
				"$( ((n == SHARDS)) || printf ,)"
		done
		say ");"
	} | write_file 644 "$VAR/topology.conf"
}

# Options of the demonstration; lines of DOUSHARD_SERVER_OPTIONS (name = value;) win.
server_create() {
	local n=$1 dir=$VAR/upload/server$1
	mkdir -p -- "$dir"
	give "$dir"
	{
		cat <<-END
			listen_host = "127.0.0.1";
			listen_port = $(server_port "$n");
			admin_host = "127.0.0.1";
			admin_port = $(admin_port "$n");
			base_url = "$(server_url "$n")";
			media_dir = $(quote_json "$VAR/media");
			upload_dir = $(quote_json "$dir");
			topology_file = $(quote_json "$VAR/topology.conf");
			token_keys_file = $(quote_json "$VAR/secrets/token_keys");
			db_name = "$DB_NAME";
			db_user = "doushard_app";
			db_password_file = $(quote_json "$VAR/secrets/app_password");
			scrypt_ln = 12;
			scrypt_p = 1;
			media_min_free = "128M";
			db_min_free = "128M";
			rate_favorite_per_min = 0;
			rate_relation_per_min = 0;
			rate_comment_per_min = 0;
			rate_message_per_min = 0;
			rate_publish_per_hour = 0;
			rate_profile_per_hour = 0;
			rate_register_per_hour = 0;
			rate_login_per_min = 0;
		END
		redis_options
		printf '%s\n' "${DOUSHARD_SERVER_OPTIONS:-}"
	} | awk -F= '
		/^[ \t]*(#.*)?$/ { next }
		{ key = $1; gsub(/[ \t]/, "", key) }
		!(key in line) { order[++n] = key }
		{ line[key] = $0 }
		END {
			print "# Written by scripts/demo up; scrypt is weaker than in production, for speed, the disk may be fuller, and no rates are limited."
			for (i = 1; i <= n; i++) print line[order[i]]
		}' | write_file 644 "$VAR/server$n.conf"
}

server_launch() {
	local program
	program=$(our_program doushard)
	server_create "$1"
	# The server only believes secrets that belong to itself or to root.
	give "$VAR/secrets/app_password" "$VAR/secrets/redis_password" "$VAR/secrets/token_keys"
	# Every DOUSHARD_* variable is an option to the server; ours are not.
	local clean=() name
	for name in $(compgen -e DOUSHARD_ || true); do
		case $name in
		DOUSHARD_VAR | DOUSHARD_SHARD* | DOUSHARD_BUILD_DIR | DOUSHARD_PORT_BASE | DOUSHARD_SERVER_OPTIONS)
			clean+=(-u "$name")
			;;
		esac
	done
	launch "server$1" env "${clean[@]}" "$program" "--config=$VAR/server$1.conf"
}

server_ask() { curl -fsS --noproxy '*' --max-time 2 -o "${3:-/dev/null}" "$(admin_url "$1")/$2" 2>/dev/null; }
server_ready() { server_ask "$1" readyz; }
server_alive() { server_ask "$1" livez; }
# server_knows N SHARD: server N uses the shard.
server_knows() { server_ask "$1" metrics - | grep -q "^doushard_shard_up{shard=\"$2\"} 1\$"; }
# server_forgot N SHARD: server N no longer has this shard.
server_forgot() {
	local metrics
	metrics=$(server_ask "$1" metrics -) && ! grep -q "^doushard_shard_up{shard=\"$2\"}" <<<"$metrics"
}

# ---- movers ---------------------------------------------------------------------------
# They make the moves of slots that somebody asks for. The first one belongs to every cluster with a
# server, a further one from its start to its stop.

mover_belongs() { [[ -e $VAR/pids/mover$1.pid ]] || { (($1 == 1)) && [[ -e $VAR/server1.conf ]]; }; }

mover_launch() {
	local program
	program=$(our_program shardctl)
	give "$VAR/secrets/mover_password"
	launch "mover$1" "$program" mover "--topology=$VAR/topology.conf" \
		"--password-file=$VAR/secrets/mover_password" "--db-name=$DB_NAME"
}

mover_healthy() {
	local pid
	pid=$(process_of "$(pid_file "mover$1")") && process_stat "$pid" && [[ $process_state != T ]]
}

# ---- any member -----------------------------------------------------------------------

# split NAME: sets kind and number; refuses anything but a member's name.
split() {
	local limit
	[[ $1 =~ ^(server|mover|shard|redis)([1-9][0-9]?)$ ]] ||
		misuse "a name is server1, mover1, shard1..shard$SHARDS or redis1..redis$REDIS_NODES, not \"$1\""
	kind=${BASH_REMATCH[1]} number=${BASH_REMATCH[2]}
	case $kind in
	server) limit=$SERVERS_MAX ;;
	mover) limit=$MOVERS_MAX ;;
	shard) limit=$SHARDS ;;
	redis) limit=$REDIS_NODES ;;
	esac
	((number <= limit)) || misuse "there is no $1: ${kind}s go from 1 to $limit"
}

shards_alive() {
	local n
	for ((n = 1; n <= SHARDS; n++)); do alive "shard$n" || return 1; done
}

member_launch() {
	split "$1"
	"${kind}_launch" "$number"
}

member_await() {
	split "$1"
	case $kind in
	server)
		await "$1" 30 server_alive "$number"
		# Without one of its shards it serves the rest but never becomes ready.
		if shards_alive; then await "$1" 30 server_ready "$number"; fi
		;;
	mover) await "$1" 10 mover_healthy "$number" ;;
	shard) await "$1" 60 shard_ready "$number" ;;
	redis) await "$1" 20 redis_answers "$number" ;;
	esac
}

member_healthy() {
	split "$1"
	case $kind in
	server) server_ready "$number" ;;
	mover) mover_healthy "$number" ;;
	shard) timeout 3 mariadb "--defaults-file=$VAR/secrets/root.cnf" --connect-timeout=2 \
		"--socket=$(shard_socket "$number")" -e 'SELECT 1' >/dev/null 2>&1 ;;
	redis) redis_healthy "$number" ;;
	esac
}

# Time to finish: a server drains, a shard writes its pages.
member_stop() {
	split "$1"
	case $kind in
	server) process_stop 20 "$(pid_file "$1")" ;;
	mover) process_stop 10 "$(pid_file "$1")" ;;
	shard) process_stop 60 "$(pid_file "$1")" ;;
	redis) process_stop 10 "$(pid_file "$1")" ;;
	esac
}

# Remove the process and data of a shard that is no longer a member.
member_remove() {
	process_stop 60 "$(pid_file "$1")" || die "$1 cannot be stopped"
	rm -rf -- "${VAR:?}/${1:?}"
}

# stop_all NAME...: stop them at the same time; false when one is still there.
stop_all() {
	local name failed=0 pids=() pid
	for name in "$@"; do
		member_stop "$name" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
	return "$failed"
}

# ---- the file for other programs -----------------------------------------------------------------

# Every path begins with the same directory, which is quoted once; the rest needs no quoting.
endpoints_create() {
	local name pid object var sockets paths=''
	local -A list=([server]='' [mover]='' [shard]='' [redis]='')
	var=$(quote_json "$VAR") sockets=$(quote_json "$SOCKETS")
	var=${var%\"} sockets=${sockets%\"}
	for name in $(members); do
		split "$name"
		pid=$(process_of "$VAR/pids/$name.pid") || pid=null
		object="{\"name\":\"$name\","
		[[ $kind == mover ]] || object+="\"host\":\"127.0.0.1\",\"port\":$("${kind}_port" "$number"),"
		case $kind in
		server) object+="\"admin_port\":$(admin_port "$number")," ;;
		shard) object+="\"socket\":$sockets/$name.sock\"," ;;
		esac
		list[$kind]+="${list[$kind]:+,}$object\"log\":$var/log/$name.log\",\"pid\":$pid}"
	done
	for name in admin_cnf=secrets/admin.cnf root_cnf=secrets/root.cnf \
		app_password=secrets/app_password redis_password=secrets/redis_password \
		config=server1.conf topology=topology.conf token_keys=secrets/token_keys; do
		paths+="${paths:+,}\"${name%%=*}\":$var/${name#*=}\""
	done
	write_file 644 "$VAR/endpoints.json" <<-END
		{"base_url":"$(server_url 1)",
		"admin_url":"$(admin_url 1)",
		"servers":[${list[server]}],
		"movers":[${list[mover]}],
		"shards":[${list[shard]}],
		"redis":[${list[redis]}],
		"files":{$paths}}
	END
}
