# Doushard: a short-video service over sharded MariaDB.
#
#   make                    build/doushard and the libraries it is made of
#   make check              tests that need no cluster; the last line is "N passed, N failed"
#   make check-chaos        long ledger tests: faults under load, all seeded mutants
#   make check-torture      every allocation and every call of the system fails once, in a register, an
#                           upload, a like, a feed page and a reload, with SANITIZE=address,undefined;
#                           but none of libconfig's and of those that libmariadb does not check
#   make check-web          the pages in Chromium: the client as on a desktop and as on a phone, the API
#   make screenshots        every view of the page, in both languages and layouts, into
#                           var/screenshots; README=1: those that README shows, too
#   make bench              every figure beside its yardstick, on a cluster of its own, into
#                           var/bench/; prints, and fails only on wrong answers. One row:
#                           make bench ONLY=hot-like; QUICK=1: small and short
#   make bench-compare A=.. B=..   differences between two results beyond the noise; by default the
#                                  last two
#   make bench-scaling      the same on 1 to 8 shards, with more data, with more connections
#   make bench-words        how fast the word filter is; needs no cluster
#   make bench-plan         how evenly the planner fills a simulated fleet of 100 shards
#   make fuzz               feed parsers of untrusted input with inputs of clang's libFuzzer, for
#                           FUZZ_SECONDS each; FUZZ_ONLY="jwt words": only those
#   make coverage           lines and branches of each folder that the unit tests run, in a build of its
#                           own; SUITES="http/40-feed web/story": also these suites. Needs Node
#   make lint               clang-format, clang-tidy, shellcheck, ESLint, Prettier
#   make format             rewrite C with clang-format, JavaScript with Prettier
#   make web                rebuild the client page, server/web/dist; needs Node
#   make install            programs, manual page, units of systemd, samples, procedures, licence, and
#                           the directories for videos; honours DESTDIR
#   make uninstall          remove what install put there (not the configuration, not the videos)
#   make dist               doushard-VERSION.tar.gz of the last commit, in the directory distdir (.)
#   make clean              remove the objects of this configuration
#   make distclean          remove everything that make ever made
#   make compile_commands.json   for clang-tidy and editors
#   make help               this text
#
# Variables, on the command line or in config.mak:
#
#   SANITIZE=address,undefined   or thread: objects go to build-address-undefined/
#   WERROR=1                     warnings are errors
#   V=1                          show the commands
#   CC CFLAGS CPPFLAGS LDFLAGS LDLIBS   as usual; ours are added, never replaced
#   prefix bindir sysconfdir datadir mandir unitdir statedir DESTDIR
#   CHECK_ARGS="config metrics"  run only these unit tests
#   TIDY_NODES=225000            make lint searches deeper, three times as long
#   CHAOS_SECONDS=600            how long the load of check-chaos is
#   FUZZ_SECONDS=10              how long make fuzz runs each target
#   SEEDS=4                      how often check-chaos kills in all steps of moves and promotions
#   ONLY='hot-like ping'         rows of make bench; a * stands for anything
#
# The tests with a cluster of their own are run by scripts/check.

VERSION = 0.1.0

-include config.mak

CFLAGS     ?= -O2 -g
prefix     ?= /usr/local
bindir     ?= $(prefix)/bin
datadir    ?= $(prefix)/share
sysconfdir ?= /etc
mandir     ?= $(datadir)/man
unitdir    ?= $(prefix)/lib/systemd/system
# Below it media and upload, as the options media_dir and upload_dir have them.
statedir   ?= /var/lib/doushard

INSTALL      ?= install
CLANG_FORMAT ?= clang-format
CLANG_TIDY   ?= clang-tidy
# How far its analyzer follows the paths of one function. Most of clang-tidy's time goes into a few
# functions with very many paths; this limit takes a third of the time of 225000, clang's default.
TIDY_NODES   ?= 50000
SHELLCHECK   ?= shellcheck
NODE         ?= node
ESLINT       ?= tests/node_modules/.bin/eslint
PRETTIER     ?= tests/node_modules/.bin/prettier
PKG_CONFIG   ?= pkg-config

.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

# ---- where and how -------------------------------------------------------------------

comma      := ,
sanitizers := $(subst $(comma), ,$(SANITIZE))
BUILD      ?= build$(addprefix -,$(subst $(comma),-,$(SANITIZE)))

ifeq ($(V),1)
Q   :=
say  = @:
else
Q   := @
say  = @printf '  %-7s %s\n'
endif

packages := libmariadb hiredis libmicrohttpd jansson libcrypto libssl libconfig libseccomp

warnings := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wwrite-strings -Wcast-qual -Wvla -Wundef -Wformat=2 \
            -Wimplicit-fallthrough -Wconversion
ifeq ($(WERROR),1)
warnings += -Werror
endif

# Flags that not every compiler or machine knows.
cc-option = $(shell $(CC) $(1) -E -x c /dev/null >/dev/null 2>&1 && echo $(1))

# No shadow stacks, because fibers switch stacks by themselves.
hardening := -fPIE -fstack-protector-strong $(call cc-option,-fcf-protection=branch) \
             $(call cc-option,-fstack-clash-protection)
ifeq ($(sanitizers),)
ifneq ($(filter -O1 -O2 -O3 -Os -Og,$(CFLAGS)),)
hardening += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
else
sanitize  := $(addprefix -fsanitize=,$(sanitizers)) -fno-omit-frame-pointer \
             $(if $(filter undefined,$(sanitizers)),-fno-sanitize-recover=undefined)
endif

our_cppflags := -I. -D_GNU_SOURCE
our_cflags    = -std=gnu11 -pthread $(warnings) $(hardening) $(sanitize) $(package_cflags)
our_ldflags   = -pthread -pie -Wl,-z,relro,-z,now $(sanitize) -Wl,-u,epoll_wait # server/http/epoll.c

# Evaluated once, and only when something is compiled.
package_cflags = $(eval package_cflags := $(shell $(PKG_CONFIG) --cflags $(packages)))$(package_cflags)
package_libs   = $(eval package_libs := $(shell $(PKG_CONFIG) --libs $(packages)))$(package_libs)

compile = $(CC) $(our_cppflags) $(extra_cppflags) $(CPPFLAGS) $(our_cflags) $(CFLAGS)
link    = $(CC) $(our_ldflags) $(CFLAGS) $(LDFLAGS)

# ---- what ----------------------------------------------------------------------------

shard_sources  := $(sort $(wildcard shard/*.c shard/base/*.c))
server_sources := $(sort $(filter-out server/main.c,$(wildcard server/*.c server/*/*.c)))
unit_sources   := $(sort $(wildcard tests/unit/test_*.c))
live_sources   := $(sort $(wildcard tests/integration/test_*.c) tests/integration/hangfs.c)
bench_mains    := $(addprefix tests/bench/,benchload.c benchprobe.c barehttp.c bench_words.c bench_plan.c)
bench_sources  := $(sort $(filter-out $(bench_mains),$(wildcard tests/bench/*.c)))
fuzz_sources   := $(sort $(wildcard tests/fuzz/fuzz_*.c))
shardctl_sources := $(sort $(wildcard scripts/*.c))
ledger_sources := $(sort $(filter-out tests/ledger/ledger.c,$(wildcard tests/ledger/*.c)))
c_sources      := $(shard_sources) $(server_sources) server/main.c $(shardctl_sources) tests/torture/fail.c \
                  $(unit_sources) $(live_sources) $(fuzz_sources) $(bench_sources) $(bench_mains) $(ledger_sources) \
                  tests/ledger/ledger.c
c_headers      := $(sort $(wildcard shard/*.h shard/base/*.h server/*.h server/*/*.h scripts/*.h tests/*/*.h))

objects         = $(patsubst %.c,$(BUILD)/%.o,$(1))
libshard       := $(BUILD)/libshard.a
libserver      := $(BUILD)/libdoushard_server.a
program        := $(BUILD)/doushard
shardctl       := $(BUILD)/shardctl
libledger      := $(BUILD)/libledger.a
ledger         := $(BUILD)/ledger
unit_programs  := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(unit_sources))
torture        := $(if $(filter thread,$(sanitizers)),,$(BUILD)/tests/doushard_torture)
live_programs  := $(patsubst tests/integration/%.c,$(BUILD)/tests/%,$(live_sources))
libbench       := $(BUILD)/libbench.a
bench_programs := $(patsubst tests/bench/%.c,$(BUILD)/tests/%,$(bench_mains))
libraries      := $(libserver) $(libshard)

# Files built into the program: those of the second directory are made by `make web`, and kept in
# the repository, so that nothing here needs Node.
site_roots     := server/api/site server/web/dist
site_files     := $(sort $(shell find $(site_roots) -type f))
site           := $(BUILD)/server/api/site

.PHONY: all programs web check check-chaos check-torture check-web fuzz fuzz-programs coverage screenshots bench bench-scaling bench-compare bench-words bench-plan lint format install uninstall dist clean distclean help FORCE

all: $(program) $(shardctl) $(ledger)

$(program): $(call objects,server/main.c) $(libraries)
	$(say) LINK $@
	$(Q)$(link) -o $@ $^ $(package_libs) $(LDLIBS)

# The operators' tool, and the program of the ledger tests.
$(shardctl): $(call objects,$(shardctl_sources)) $(libraries)
$(ledger): $(call objects,tests/ledger/ledger.c) $(libledger) $(libbench) $(libraries)
$(shardctl) $(ledger):
	$(say) LINK $@
	$(Q)$(link) -o $@ $^ $(package_libs) -lm $(LDLIBS)

$(libshard): $(call objects,$(shard_sources))
$(libserver): $(call objects,$(server_sources)) $(site)/files.o
$(libledger): $(call objects,$(ledger_sources))
$(libbench): $(call objects,$(bench_sources))
$(libshard) $(libserver) $(libledger) $(libbench):
	$(say) AR $@
	$(Q)rm -f $@.new && $(AR) rcs $@.new $(filter %.o,$^) && mv $@.new $@

# Takes half of the compiler's time, and speed does not matter here.
$(call objects,$(unit_sources)): private override CFLAGS += $(if $(sanitizers),-O0)

$(BUILD)/%.o: %.c $(BUILD)/flags
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(compile) -MMD -MP -c -o $@ $<

$(site)/files.c: scripts/embed $(site)/list $(site_files)
	$(say) EMBED $@
	$(Q)scripts/embed $(@D) $(site_roots)

$(site)/files.o: $(site)/files.c $(BUILD)/flags server/api/site.h
	$(say) CC $<
	$(Q)$(compile) -c -o $@ $<

web:
	cd server/web && npm ci --engine-strict --no-audit --no-fund --ignore-scripts && npm run build

# Only this object knows the version, the commit and the directory.
$(BUILD)/server/base/version.o: extra_cppflags = $(version_flags)
$(BUILD)/server/base/version.o: $(BUILD)/version

# Each a program of its own; those of tests/integration/ need shards.
$(unit_programs): $(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(libraries)
$(live_programs): $(BUILD)/tests/%: $(BUILD)/tests/integration/%.o $(libraries)
$(unit_programs) $(live_programs):
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(link) $(wrap) -o $@ $< $(extra) $(libraries) $(package_libs) -lcmocka -lm $(LDLIBS)

# These two test parts of the tests: the ledger's checker, and what the load generator measures by.
$(BUILD)/tests/test_ledger_check: $(libledger)
$(BUILD)/tests/test_ledger_check: private extra := $(libledger)
$(BUILD)/tests/test_bench: $(libbench)
$(BUILD)/tests/test_bench: private extra := $(libbench)

# A server some of whose calls fail: fail.o defines these functions before the sanitizer does. The thread
# sanitizer does not work so; the address sanitizer allocates memory before it is initialised, so that
# fail.o is compiled without it.
$(call objects,tests/torture/fail.c): private sanitize :=
$(torture): $(call objects,server/main.c tests/torture/fail.c) $(libraries)
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(link) -rdynamic -o $@ $^ $(package_libs) $(LDLIBS)

# Where the tests replace a function: allocations by our objects,
$(BUILD)/tests/test_oom: private wrap := $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc strdup)

# how full the disk is,
$(BUILD)/tests/test_upload: private wrap := $(addprefix -Wl$(comma)--wrap=,fstatvfs fstatvfs64)

# what time it is, and whether there is memory for stacks,
$(BUILD)/tests/test_fiber: private wrap := $(addprefix -Wl$(comma)--wrap=,clock_mono_ms mmap mmap64)

# and when the kernel is asked about connections, and they are read.
$(BUILD)/tests/test_reaper: private wrap := $(addprefix -Wl$(comma)--wrap=,recv getsockopt)

$(bench_programs): $(BUILD)/tests/%: $(BUILD)/tests/bench/%.o $(libbench) $(libraries)
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(link) -o $@ $< $(libbench) $(libraries) $(package_libs) -lm $(LDLIBS)

.SECONDARY: $(call objects,$(unit_sources) $(live_sources) $(bench_mains))

-include $(patsubst %.c,$(BUILD)/%.d,$(c_sources))

# Files that change only when their contents do: everything is compiled again when the
# flags are others, version.c when the commit is another, what is embedded when a file has come
# or gone. A tarball carries .version.
version_words := $(shell cat .version 2>/dev/null || \
                   echo "$(VERSION) $$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)")
version_flags  = -DDOUSHARD_VERSION='"$(firstword $(version_words))"' \
                 -DDOUSHARD_COMMIT='"$(lastword $(version_words))"' \
                 -DDOUSHARD_SYSCONFDIR='"$(sysconfdir)/doushard"'

update = mkdir -p $(@D) && printf '%s\n' '$(subst ','\'',$(1))' >$@.new && \
         if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(BUILD)/flags: FORCE
	@$(call update,$(compile) $(link))
$(BUILD)/version: FORCE
	@$(call update,$(version_flags))
$(site)/list: FORCE
	@$(call update,$(site_files))

# ---- tests ---------------------------------------------------------------------------

# What scripts/check runs on shards.
programs: $(live_programs) $(bench_programs) $(torture)

# The manual page is compared with the help of the program when all tests run.
check: $(program) $(unit_programs) $(live_programs) $(if $(CHECK_ARGS),,$(shardctl))
	$(Q)NODE='$(NODE)' tests/unit/run $(BUILD) $(CHECK_ARGS)

CHAOS_SECONDS ?= 600
SEEDS         ?= 4

# The clusters are the tests' own; see tests/README.md.
check-chaos: all $(BUILD)/tests/test_kills
	$(Q)DOUSHARD_BUILD_DIR='$(abspath $(BUILD))' LEDGER_SECONDS='$(CHAOS_SECONDS)' \
	    MOVE_SEEDS='$(SEEDS)' LEDGER_MUTANTS=all TEST_KILLS=10000 FRESHNESS_READS=1000000 \
	    $(NODE) --test --test-concurrency=1 tests/integration/kills.test.js tests/integration/own.test.js \
	    tests/http/95-tour.test.js tests/ledger/*.test.js

# TORTURE_ONLY="like memory": one of them. Only a sanitizer sees what leaks.
ifeq ($(sanitizers),)
check-torture:
	$(Q)$(MAKE) SANITIZE=address,undefined check-torture
else
check-torture: all $(torture)
	$(Q)DOUSHARD_BUILD_DIR='$(abspath $(BUILD))' TORTURE=all TORTURE_ONLY='$(TORTURE_ONLY)' $(NODE) --test \
	    tests/http/87-torture.test.js
endif

# scripts/check runs what people do with the page on a desktop.
check-web: all
	$(Q)WEB_ALL=1 DOUSHARD_BUILD_DIR='$(abspath $(BUILD))' $(NODE) --test --test-concurrency=1 tests/web/*.test.js

screenshots: all
	$(Q)DOUSHARD_BUILD_DIR='$(abspath $(BUILD))' SCREENSHOTS_README='$(README)' $(NODE) tests/web/screenshots.js

# tests/bench/README.md says what it measures and how.
bench: all $(bench_programs)
	$(Q)DOUSHARD_BUILD_DIR='$(abspath $(BUILD))' BENCH_ONLY='$(ONLY)' BENCH_QUICK='$(QUICK)' \
	    $(NODE) tests/bench/bench.js

bench-scaling: all $(bench_programs)
	$(Q)DOUSHARD_BUILD_DIR='$(abspath $(BUILD))' BENCH_ONLY='$(ONLY)' BENCH_QUICK='$(QUICK)' \
	    $(NODE) tests/bench/scaling.js

A ?= var/bench/previous.json
B ?= var/bench/result.json
bench-compare:
	$(Q)$(NODE) tests/bench/compare.js '$(A)' '$(B)'

bench-words: $(BUILD)/tests/bench_words
	$(Q)$<

bench-plan: $(BUILD)/tests/bench_plan
	$(Q)$<

# ---- fuzzing -------------------------------------------------------------------------

# Only what the targets need, by clang, which has libFuzzer, in a directory of its own: this Makefile
# calls itself for that. The names of the targets are those of tests/fuzz/.
FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 10
fuzz_build   := build-fuzz
fuzz_units   := $(addprefix shard/,dbresult.c id.c outcome.c) \
                $(addprefix shard/base/,address.c arena.c buf.c check.c clock.c crc32.c errmsg.c file.c hex.c line.c \
                log.c log_ring.c utf8.c) \
                $(addprefix server/,api/words.c auth/base64.c auth/jwt.c base/client.c base/json_in.c \
                base/origin.c base/version.c http/framing.c http/multipart.c request/params.c) \
                $(addprefix server/config/,config.c config_check.c config_file.c config_help.c config_number.c \
                config_option.c redis.c secret.c topology.c)
libfuzz       := $(BUILD)/libfuzz.a
fuzz_programs := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/%,$(fuzz_sources))

# FUZZ_QUICK=1 is for scripts/check: 5 seconds each, and nothing is kept.
fuzz:
	$(Q)$(MAKE) -s BUILD=$(fuzz_build) SANITIZE=fuzzer-no-link,address,undefined CC='$(FUZZ_CC)' \
	    CFLAGS='-O1 -g1' fuzz-programs
	$(Q)FUZZ_SECONDS='$(FUZZ_SECONDS)' FUZZ_QUICK='$(FUZZ_QUICK)' tests/fuzz/run $(fuzz_build) $(FUZZ_ONLY)

fuzz-programs: $(fuzz_programs)

$(libfuzz): $(call objects,$(fuzz_units))
	$(say) AR $@
	$(Q)rm -f $@.new && $(AR) rcs $@.new $(filter %.o,$^) && mv $@.new $@

$(fuzz_programs): $(BUILD)/tests/%: $(BUILD)/tests/fuzz/%.o $(libfuzz)
	$(say) LINK $@
	@mkdir -p $(@D)
	$(Q)$(link) -fsanitize=fuzzer -o $@ $^ $(package_libs) $(LDLIBS)

# ---- coverage ------------------------------------------------------------------------

# Counts stay exact where threads share them. What ran before is forgotten; what failed is said
# above the table, which is printed all the same.
coverage_build := build-coverage
coverage:
	$(Q)find $(coverage_build) -name '*.gcda' -delete 2>/dev/null || :
	$(Q)$(MAKE) -s BUILD=$(coverage_build) SANITIZE= LDFLAGS=--coverage \
	    CFLAGS='-O0 -g1 --coverage -fprofile-update=prefer-atomic' check all || :
	$(Q)$(if $(SUITES),DOUSHARD_BUILD_DIR='$(abspath $(coverage_build))' $(NODE) --test --test-concurrency=1 \
	    $(SUITES:%=tests/%.test.js) || :)
	$(Q)$(NODE) tests/coverage.js $(coverage_build)

# ---- style ---------------------------------------------------------------------------

# The files of the project: what git knows, or, in a tarball, what is there and was not made since.
tree := $(if $(wildcard .version),find * .ci -type f,git ls-files) | \
        grep -Ev '(^|/)(node_modules|build|build-[^/]*|var|var\.[^/]*)/|^server/web/dist/'
# Evaluated once, and only when needed.
shell_scripts = $(eval shell_scripts := $(shell grep -lE '^\#(!.*\b(ba)?sh| shellcheck shell=bash)$$' \
                  $$($(tree) | grep -E '^(scripts|\.ci|tests|procedures)/') /dev/null))$(shell_scripts)
js_files      = $(eval js_files := $(shell $(tree) | grep -E '\.[cm]?js$$'))$(js_files)

# looks_at NAME,FILES: prints how many files are checked; none is a failure.
define looks_at
$(say) $(1) '$(words $(2)) files'
$(if $(strip $(2)),,@echo '$@ has looked at nothing: there are no such files here' >&2; exit 1)
endef

# of_turn FILES: all, or with LINT_TURN=0, 1 or 2 a third of them and what the last ten commits
# changed: what takes long.
LINT_TURN ?= all
recent     = $(if $(filter-out all,$(LINT_TURN)),$(shell git diff --name-only HEAD~10 2>/dev/null))
of_turn    = $(sort $(filter $(recent),$(1)) $(shell printf '%s\n' $(1) | awk \
             '"$(LINT_TURN)" == "all" || NR % 3 == "$(LINT_TURN)"'))

.PHONY: lint-format lint-tidy lint-shell lint-js
lint: lint-format lint-tidy lint-shell lint-js

lint-format:
	$(call looks_at,FORMAT,$(c_sources) $(c_headers))
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(c_sources) $(c_headers)

# The path analysis leaves out tests, which all run under the sanitizers. Warnings are left to the
# compiler: clang has others.
tidy = printf '%s\n' $(1) | xargs -r -P 2 -n 1 $(CLANG_TIDY) --quiet -p . --extra-arg=-Wno-error \
       $(addprefix --extra-arg=,-Xclang -analyzer-config -Xclang max-nodes=$(TIDY_NODES))
lint-tidy: tidied = $(call of_turn,$(c_sources))
lint-tidy: compile_commands.json
	$(call looks_at,TIDY,$(tidied))
	$(Q)$(call tidy,$(filter-out tests/%,$(tidied)))
	$(Q)$(call tidy,$(filter tests/%,$(tidied))) --checks='-clang-analyzer-*'

lint-shell:
	$(call looks_at,SHELL,$(shell_scripts))
	$(Q)$(SHELLCHECK) -x -S style $(shell_scripts)

prettier_options := --no-config --print-width=120 --log-level=warn
lint-js:
	$(call looks_at,ESLINT,$(js_files))
	@command -v $(ESLINT) >/dev/null || { echo '$@: no $(ESLINT): npm ci --prefix tests' >&2; exit 1; }
	$(Q)$(ESLINT) -c tests/lint/eslint.config.js $(js_files)
	$(Q)$(PRETTIER) $(prettier_options) --check $(call of_turn,$(js_files))

format:
	$(Q)$(CLANG_FORMAT) -i $(c_sources) $(c_headers)
	$(Q)$(PRETTIER) $(prettier_options) --write $(js_files)

# One entry per C file with the command above, even if it is built already.
compile_commands.json: $(BUILD)/flags $(c_sources)
	$(say) MAKE $@
	@printf '[' >$@
	@sep=; for f in $(c_sources); do \
	    printf '%s\n{"directory":"%s","file":"%s","command":"%s -c %s"}' "$$sep" \
	        '$(CURDIR)' "$$f" '$(subst ",\",$(compile))' "$$f" >>$@; sep=,; \
	done
	@printf '\n]\n' >>$@

# ---- installation --------------------------------------------------------------------

data_files    = $(sort $(shell find procedures config -type f ! -name '*.service' ! -name '*.1' 2>/dev/null)) \
                $(wildcard server/api/openapi.yaml LICENSE)
tool_files    = $(wildcard scripts/migrate scripts/add-shard.sh scripts/backup-shard.sh \
                scripts/restore-shard.sh scripts/deploy-procedures.sh scripts/rebalance.sh \
                scripts/drain-shard.sh scripts/operate.sh scripts/lib.sh)
unit_files    = $(wildcard config/*.service)
man_pages     = $(wildcard config/*.1)
sample_files  = $(wildcard config/doushard.conf config/topology.conf config/mover.conf)

# install_shared MODE,FILES: each below the shared directory as it is here, a directory at a time.
install_shared = @set -e; $(foreach d,$(sort $(dir $(2))), \
    t='$(DESTDIR)$(datadir)/doushard/$(patsubst server/api/%,%,$(d))'; $(INSTALL) -d "$$t"; \
    $(INSTALL) -m $(1) $(foreach f,$(2),$(if $(filter $(d),$(dir $(f))),$(f))) "$$t";)

# An existing configuration is never overwritten; the samples beside it are.
install: $(program) $(shardctl)
	$(INSTALL) -d '$(DESTDIR)$(bindir)' '$(DESTDIR)$(datadir)/doushard' \
	    '$(DESTDIR)$(sysconfdir)/doushard'
	$(INSTALL) -m 755 $(program) $(shardctl) '$(DESTDIR)$(bindir)/'
	$(call install_shared,644,$(data_files))
	$(call install_shared,755,$(tool_files))
	$(INSTALL) -d '$(DESTDIR)$(mandir)/man1' '$(DESTDIR)$(unitdir)'
	$(INSTALL) -m 644 $(man_pages) '$(DESTDIR)$(mandir)/man1/'
	@for f in $(unit_files); do \
	    t='$(DESTDIR)$(unitdir)/'"$${f##*/}" && \
	    sed 's|/usr/local/bin|$(bindir)|; s|/etc/doushard|$(sysconfdir)/doushard|g' "$$f" >"$$t" && \
	    chmod 644 "$$t" || exit; \
	done
	@for f in $(sample_files); do \
	    t='$(DESTDIR)$(sysconfdir)/doushard/'$${f##*/}; \
	    [ -e "$$t" ] || $(INSTALL) -m 644 "$$f" "$$t" || exit; \
	done
	@for d in '$(DESTDIR)$(statedir)' '$(DESTDIR)$(statedir)/media' '$(DESTDIR)$(statedir)/upload'; do \
	    [ -d "$$d" ] || $(INSTALL) -d -m 750 "$$d" || exit; \
	done

uninstall:
	rm -f '$(DESTDIR)$(bindir)/doushard' '$(DESTDIR)$(bindir)/shardctl'
	rm -f $(patsubst config/%,'$(DESTDIR)$(mandir)/man1/%',$(man_pages)) \
	    $(patsubst config/%,'$(DESTDIR)$(unitdir)/%',$(unit_files))
	rm -rf '$(DESTDIR)$(datadir)/doushard'
	@echo 'kept: $(DESTDIR)$(sysconfdir)/doushard $(DESTDIR)$(statedir)'

# ---- the rest ------------------------------------------------------------------------

tarball := doushard-$(VERSION)
distdir ?= .

dist:
	git archive --format=tar --prefix=$(tarball)/ --output='$(distdir)/$(tarball).tar' \
	    --add-virtual-file='$(tarball)/.version:$(version_words)' HEAD
	gzip -9nf '$(distdir)/$(tarball).tar'

clean:
	rm -rf $(BUILD)

distclean:
	rm -rf build build-* compile_commands.json doushard-*.tar.gz

help:
	@sed -n '/^[^#]*$$/q;s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))
