# shellcheck shell=bash
# A shard that has everything but a name, passwords and slots: every shard of a demonstration begins
# as a copy of it. Sourced by cluster.sh.
#
# Loading tables and routines costs half a second of CPU, a copy 50 ms. Templates are kept in the
# user's cache, one per version of MariaDB and of the sources loaded, only the latest few.
#
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: Doushard contributors

TEMPLATES_MAX=4

# The directory of the template for this checkout, whether it exists or not.
template_directory() {
	local version sum
	version=$(mariadbd --no-defaults --version | sed 's/.*Ver \([^ ]*\).*/\1/; s/[^A-Za-z0-9.+-]/_/g')
	sum=$(cd -- "$ROOT" && find procedures config/mariadb scripts/migrate scripts/template.sh -type f -print0 |
		sort -z | xargs -0 cat | sha256sum)
	printf '%s/shard-%s-%s' "$(cache_directory)" "$version" "${sum:0:16}"
}

# Sets TEMPLATE, the directory to copy, which is made when a shard first needs it.
template_find() {
	[[ -z ${TEMPLATE:-} ]] || return 0
	TEMPLATE=$(template_directory)
	if [[ -d $TEMPLATE/mysql ]]; then
		touch -- "$TEMPLATE" # in use: the oldest are removed first
	else
		step "making a shard to copy: tables, procedures, accounts"
		template_create "$TEMPLATE"
	fi
}

# template_copy DIRECTORY: most of a template is holes of zeros, which need not be read. The copy
# has no holes, because mariadbd aborts when the disk is full and its log needs a block.
template_copy() {
	local file
	cp -R --reflink=auto -- "$TEMPLATE" "$1"
	for file in "$1/ib_logfile0" "$1/ibdata1"; do
		fallocate --posix --length "$(stat -c %s -- "$file")" -- "$file"
	done
}

# template_create DIRECTORY: made in $VAR, where the account may write, and renamed when it is
# complete.
template_create() {
	local template=$1 dir=$VAR/template new
	rm -rf -- "$dir"
	mkdir -m 700 -- "$dir" "$dir/data" "$dir/tmp"
	template_install "$dir"
	template_load "$dir"
	new=$(mktemp -d -- "$template.XXXXXX")
	cp -R --sparse=never -- "$dir/data/." "$new"
	fallocate --dig-holes -- "$new/ib_logfile0"
	fallocate --dig-holes -- "$new/ibdata1"
	# Another demo may have been faster; then its copy is as good.
	mv -T -- "$new" "$template" 2>/dev/null || rm -rf -- "$new"
	rm -rf -- "$dir"
	templates_forget "$template"
}

# The tables of MariaDB itself.
template_install() {
	local dir=$1 log
	log=$(log_file mariadb-install-db)
	# Every server removes all temporary tables in its tmpdir, also those of others.
	local options=("--tmpdir=$dir/tmp")
	((EUID != 0)) || options+=(--user=root) # in a directory that only root can enter
	if ! mariadb-install-db --no-defaults --auth-root-authentication-method=normal \
		--skip-test-db --skip-name-resolve --innodb-log-file-size=32M \
		"--datadir=$dir/data" "${options[@]}" >"$log" 2>&1; then
		warn "mariadb-install-db failed:"
		tail -n 20 -- "$log" >&2
		exit 1
	fi
	((EUID != 0)) || chown -R "$ACCOUNT:$ACCOUNT" "$dir"
}

# Our tables, routines and accounts; root has no password yet, and can connect only by this socket.
template_load() {
	local dir=$1 socket=$SOCKETS/template log server
	log=$(log_file template)
	{
		cat -- "$ROOT/config/mariadb/shard.cnf"
		cat <<-END
			skip_networking
			datadir     = "$dir/data"
			tmpdir      = "$dir/tmp"
			pid_file    = "$dir/mariadbd.pid"
			socket      = "$socket"
			innodb_log_file_size       = 32M
			innodb_buffer_pool_size    = 64M
			innodb_autoextend_increment = 8
		END
	} | write_file 600 "$dir/my.cnf"
	printf 'servers = ( { name = "template"; socket = %s; } );\n' "$(quote_json "$socket")" >"$dir/topology.conf"
	printf '[client]\nuser = root\n' >"$dir/root.cnf"
	give "$dir/my.cnf"
	# It ends when we end, in whatever way.
	"${RUN_AS[@]}" setpriv --pdeathsig KILL mariadbd "--defaults-file=$dir/my.cnf" \
		>>"$log" 2>&1 {LOCK_FD}>&- </dev/null &
	server=$!
	wait_until 60 template_answers "$dir" "$socket" || blame template "does not answer"
	# A hundred files of views on performance_schema, which is off.
	template_sql "$dir" "$socket" -e 'DROP DATABASE IF EXISTS sys' >>"$log" 2>&1 || blame template "keeps sys"
	"$ROOT/scripts/migrate" "--topology=$dir/topology.conf" "--defaults-file=$dir/root.cnf" --offline \
		>>"$log" 2>&1 {LOCK_FD}>&- || blame template "could not be loaded"
	kill -s TERM "$server"
	wait "$server" || blame template "did not shut down properly"
}

# template_sql DIRECTORY SOCKET [OPTION...]
template_sql() { mariadb "--defaults-file=$1/root.cnf" "--socket=$2" "${@:3}"; }
template_answers() { template_sql "$1" "$2" -e 'SELECT 1' >/dev/null 2>&1; }

# templates_forget TEMPLATE: remove all of its kind but the latest few.
templates_forget() {
	local sort=${1##*/} list
	mapfile -t list < <(find "${1%/*}" -maxdepth 1 -name "${sort%-*}-*" -printf '%T@ %p\n' |
		sort -rn | cut -d' ' -f2-)
	((${#list[@]} <= TEMPLATES_MAX)) || rm -rf -- "${list[@]:TEMPLATES_MAX}"
}
