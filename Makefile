# SPDX-License-Identifier: GPL-2.0-only
# heaptrace. `make help` lists the targets; CC, CFLAGS, LDFLAGS, CLANG, BUILD, PREFIX and DESTDIR are the user's.

VERSION := 0.1.0
BUILD   ?= build
PREFIX  ?= /usr/local
CFLAGS  ?= -O2 -g
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
CLANG   ?= clang
STRIP   ?= llvm-strip

all: heaptrace target ## build build/heaptrace and build/target (default)

# The BPF object and generated sources are the same for every flavour of build, so they have one place.
COMMON  := build
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
ARCH    := $(firstword $(subst -, ,$(MACHINE)))

WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
INCLUDE  := -iquote observer -iquote . -iquote $(COMMON)/gen
LANGUAGE := -std=gnu11 -D_GNU_SOURCE -DHEAPTRACE_VERSION='"$(VERSION)"'
LINK     := -pie -Wl,-z,relro,-z,now -Wl,--as-needed
ifdef SANITIZE
# For the observer and unit tests; never for the target, whose memory is what is measured.
SANITIZERS := $(if $(filter thread,$(SANITIZE)),-fsanitize=thread,-fsanitize=address -fsanitize=undefined)
HARDEN := $(SANITIZERS) -fno-sanitize-recover=all -fno-omit-frame-pointer -fPIE -Werror
LINK   := -pie $(SANITIZERS)
endif
COMPILE = $(CC) $(LANGUAGE) $(WARN) $(HARDEN) $(INCLUDE) -MMD -MP $(CFLAGS) $(CPPFLAGS)

# V=1 shows the commands.
Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$@')

LIBS := $(shell pkg-config --libs libbpf libcap libdw libelf liblzma 2>/dev/null || echo -lbpf -lcap -ldw -lelf -llzma) \
	-liberty -ldl

OBSERVER_C := $(wildcard observer/*.c observer/*/*.c)
OBSERVER_O := $(OBSERVER_C:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/observer/source/bpf_object.o
# Everything but main.c, for the tests to link with.
OBSERVER_A := $(BUILD)/obj/observer.a
TARGET_C   := $(filter-out target/preload%.c,$(wildcard target/*.c))
TARGET_O   := $(TARGET_C:%.c=$(BUILD)/obj/%.o)
TARGET_A   := $(BUILD)/obj/target.a
PRELOAD_C  := $(wildcard target/preload*.c)
UNIT_C     := $(wildcard tests/unit/test_*.c)
UNITS      := $(UNIT_C:%.c=$(BUILD)/%)
PROG_C     := $(wildcard tests/e2e/prog/*.c)
PROGS      := $(PROG_C:tests/e2e/prog/%.c=$(BUILD)/tests/prog/%)
BPF_O      := $(COMMON)/heaptrace.bpf.o

.PHONY: all heaptrace target units progs
heaptrace: $(BUILD)/heaptrace
target: $(BUILD)/target
units: $(UNITS)
progs: $(PROGS)

$(BUILD)/heaptrace: $(OBSERVER_O)
	$(call say,LINK)
	$(Q)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ $(LIBS) -pthread

$(BUILD)/target: $(TARGET_O)
	$(call say,LINK)
	$(Q)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ -pthread

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(COMPILE) -pthread -c -o $@ $<

$(BUILD)/obj/observer/source/bpf_object.o: observer/source/bpf_object.S $(BPF_O)
	@mkdir -p $(@D)
	$(call say,AS)
	$(Q)$(CC) -c -DBPF_OBJECT='"$(BPF_O)"' -o $@ $<

$(OBSERVER_O): | $(COMMON)/gen/syscall_names.inc

$(COMMON)/gen/syscall_names.inc: observer/event/syscall_names.sh Makefile
	@mkdir -p $(@D)
	$(call say,GEN)
	$(Q)CC='$(CC)' sh $< >$@.part && mv $@.part $@

# The kernel side is one translation unit. DWARF goes, BTF stays: only that is loaded.
BPF_DEFINE_x86_64  := -D__TARGET_ARCH_x86
BPF_DEFINE_aarch64 := -D__TARGET_ARCH_arm64
HEADERS := $(shell $(CC) -print-sysroot 2>/dev/null)/usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)
$(BPF_O): bpf/heaptrace.bpf.c Makefile
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror $(BPF_DEFINE_$(ARCH)) -iquote . \
		-idirafter $(HEADERS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c -o $@.part $<
	$(Q)$(STRIP) -g $@.part && mv $@.part $@

$(OBSERVER_A): $(filter-out $(BUILD)/obj/observer/main.o,$(OBSERVER_O))
$(TARGET_A): $(filter-out $(BUILD)/obj/target/main.o,$(TARGET_O))
$(OBSERVER_A) $(TARGET_A):
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/tests/unit/test_target_%: tests/unit/test_target_%.c $(TARGET_A) Makefile
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(COMPILE) -pthread $(LINK) -o $@ $< $(TARGET_A) -lcmocka

$(BUILD)/tests/unit/test_%: tests/unit/test_%.c $(OBSERVER_A) Makefile
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(COMPILE) -pthread $(LINK) -o $@ $< $(OBSERVER_A) -lcmocka $(LIBS)

$(BUILD)/tests/bench/%: tests/bench/%.c $(OBSERVER_A) Makefile
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(COMPILE) -pthread $(LINK) -o $@ $< $(OBSERVER_A) $(LIBS)

# The programs observed by the end-to-end tests are built as anybody's programs are: nothing of the above.
$(BUILD)/tests/prog/%: tests/e2e/prog/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O1 -g $(WARN) -MMD -MP -pthread -o $@ $<

ifneq ($(PRELOAD_C),)
all: $(BUILD)/libheaptrace-alloc.so
PRELOAD_SRC := $(PRELOAD_C) $(filter-out target/main.c,$(wildcard target/slab*.c target/operator*.c target/ptrmap*.c))
$(BUILD)/libheaptrace-alloc.so: $(PRELOAD_SRC:%.c=$(BUILD)/pic/%.o)
	$(call say,LINK)
	$(Q)$(CC) -shared -Wl,-z,relro,-z,now -Wl,-soname,libheaptrace-alloc.so $(LDFLAGS) -o $@ $^ -pthread

$(BUILD)/pic/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(LANGUAGE) $(WARN) -fPIC -ftls-model=initial-exec -fno-builtin -fvisibility=hidden -fexceptions $(INCLUDE) -MMD -MP $(CFLAGS) $(CPPFLAGS) -pthread -c -o $@ $<
endif

# The same target on another C library's malloc, where there is one: for the experiments.
$(BUILD)/lab/target-musl: $(TARGET_C) Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)musl-gcc -std=gnu11 -D_GNU_SOURCE -iquote . -O2 -static -MMD -MP -o $@ $(TARGET_C) -pthread

.PHONY: lab
lab: all progs $(if $(shell command -v musl-gcc),$(BUILD)/lab/target-musl)

.PHONY: setup demo check check-kernels ci experiments lint bench bench-stacks bench-names soak fuzz install uninstall clean distclean help

setup: ## install what building and testing need and this system lacks
	@sh .ci/setup build check

# As root, or by sudo where there is one, the observer is the kernel's eBPF; otherwise heaptrace falls back by itself.
# The parts of a target that names its own steps are built with all CPUs, unless -j says otherwise.
ALL_CPUS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

demo: ## install what is missing, build, and run the main job
	@sh .ci/setup build
	@$(MAKE) --no-print-directory $(ALL_CPUS) all
	cd $(BUILD) && $$([ "$$(id -u)" -eq 0 ] || command -v sudo || true) ./heaptrace -- ./target

LINTS      := tests/lint/lint.sh tests/lint/selftest.sh
REPLAYS    := $(wildcard tests/replay/test_*.sh)
ENDS       := $(sort $(wildcard tests/e2e/test_*.py tests/e2e/*_*.sh))
UNIT_NAMES := $(UNIT_C:tests/unit/%.c=%)
# Those whose threads share an allocator: under ThreadSanitizer too.
RACES      := $(addprefix $(BUILD)/tsan/tests/unit/test_target_,operator ptrmap slab_threads)
# Those that go through most of the observer, for its sanitised build.
ENDS_AGAIN := $(wildcard $(addprefix tests/e2e/test_,bad_input.py family.py mappings.py names.py options.py))

check: ## set up like setup, then run every test
	@sh .ci/setup build check
	@$(MAKE) --no-print-directory $(ALL_CPUS) all units progs lab
	@$(MAKE) --no-print-directory $(ALL_CPUS) BUILD=$(BUILD)/asan SANITIZE=1 heaptrace units
	@$(MAKE) --no-print-directory $(ALL_CPUS) BUILD=$(BUILD)/tsan SANITIZE=thread $(RACES)
	@tests/run $(LINTS) $(ENDS) tests/experiments/run $(REPLAYS) $(UNITS) $(UNIT_NAMES:%=$(BUILD)/asan/tests/unit/%) $(RACES) \
		HEAPTRACE=$(BUILD)/asan/heaptrace $(ENDS_AGAIN) $(ENDS_ELSEWHERE)

# The form of the name of a kernel is that of tests/kernels/check.
KERNELS      ?= 6.1 6.12 6.12:lockdown
KERNEL_TESTS  = HEAPTRACE=$(BUILD)/heaptrace $(foreach kernel,$(KERNELS),KERNEL=$(kernel) tests/kernels/check)
check-kernels: all progs ## boot Debian's kernels in qemu and test there (KERNELS="6.1 6.12 arm64-6.1", FULL=1 for every test)
	@sh .ci/setup build kernels $(if $(findstring arm64,$(KERNELS)),arm64)
	@TEST_SECONDS=$(if $(FULL),43200,$${TEST_SECONDS:-1900}) tests/run $(KERNEL_TESTS)

ci: ## check, and with it check-kernels
	@$(MAKE) --no-print-directory check ENDS_ELSEWHERE='$(KERNEL_TESTS)'

lint: ## the checks of the sources only
	@sh .ci/setup build check
	@$(MAKE) --no-print-directory $(COMMON)/gen/syscall_names.inc
	@tests/run $(LINTS)

experiments: ## run every experiment under observation and write docs/experiments (SEED=1 begins the shuffles)
	@sh .ci/setup build check
	@$(MAKE) --no-print-directory lab
	tests/experiments/run --write docs/experiments --seed $(or $(SEED),1)

bench: all ## what observing costs, beside other tools (BENCH=--help for its options)
	tests/bench/run $(BENCH)

bench-stacks: all $(BUILD)/tests/bench/tables ## what call stacks cost, and how long the tables take that they are walked by
	$(BUILD)/tests/bench/tables $$(tests/bench/run --objects)
	tests/bench/run --stacks --clock cpu $(BENCH)

bench-names: $(BUILD)/tests/bench/names ## how long the naming of call chains takes
	$<

soak: all progs ## the whole mix for MINUTES minutes, the books checked all the time
	tests/bench/soak $(MINUTES)

# libFuzzer over everything that reads what the target or a file gave.
FUZZ_SECONDS ?= 60
FUZZ_FLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_C     := $(wildcard tests/fuzz/fuzz_*.c)
FUZZERS    := $(FUZZ_C:%.c=$(BUILD)/%)
FUZZ_O     := $(patsubst %.c,$(BUILD)/fuzz/%.o,$(filter-out observer/main.c,$(OBSERVER_C)))
fuzz: ## run each fuzzer for FUZZ_SECONDS
	@sh .ci/setup build fuzz
	@$(MAKE) --no-print-directory fuzzers
	@for f in $(FUZZERS); do \
		mkdir -p $$f.corpus && echo "$$f" && tests/fuzz/seeds $$(basename $$f) $$f.seeds && \
		(cd $(BUILD) && $(CURDIR)/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
			$(CURDIR)/$$f.corpus $(CURDIR)/$$f.seeds) || exit 1; \
	done

.PHONY: fuzzers
fuzzers: $(FUZZERS)

$(BUILD)/fuzz/%.o: %.c Makefile | $(COMMON)/gen/syscall_names.inc
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CLANG) $(LANGUAGE) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link $(INCLUDE) -MMD -MP -pthread -c -o $@ $<

$(BUILD)/fuzz/observer.a: $(FUZZ_O) $(BUILD)/obj/observer/source/bpf_object.o
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(BUILD)/fuzz/observer.a Makefile
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CLANG) $(LANGUAGE) $(FUZZ_FLAGS) -fsanitize=fuzzer $(INCLUDE) -MMD -MP -pthread -o $@ $< $(BUILD)/fuzz/observer.a $(LIBS)

INSTALL := install
BINDIR  := $(DESTDIR)$(PREFIX)/bin
LIBDIR  := $(DESTDIR)$(PREFIX)/lib
MANDIR  := $(DESTDIR)$(PREFIX)/share/man/man1
COMPDIR := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
# With the capabilities heaptrace sees kernel memory, and what set-uid programs that it runs do: so that is a group's right.
SETCAP_GROUP ?= adm
install: all ## install below PREFIX (/usr/local); SETCAP=1 lets the group SETCAP_GROUP (adm) observe without root
	$(INSTALL) -d $(BINDIR) $(MANDIR) $(COMPDIR)
	$(INSTALL) -m 755 $(BUILD)/heaptrace $(BINDIR)/heaptrace
	$(INSTALL) -m 644 docs/heaptrace.1 $(MANDIR)/heaptrace.1
	$(INSTALL) -m 644 docs/heaptrace.bash $(COMPDIR)/heaptrace
	$(if $(PRELOAD_C),$(INSTALL) -d $(LIBDIR))
	$(if $(PRELOAD_C),$(INSTALL) -m 755 $(BUILD)/libheaptrace-alloc.so $(LIBDIR)/libheaptrace-alloc.so)
	$(if $(filter 1,$(SETCAP)),chgrp $(SETCAP_GROUP) $(BINDIR)/heaptrace && chmod 750 $(BINDIR)/heaptrace)
	$(if $(filter 1,$(SETCAP)),setcap cap_bpf$(comma)cap_perfmon=ep $(BINDIR)/heaptrace)
comma := ,

uninstall: ## remove what install has installed
	rm -f $(BINDIR)/heaptrace $(LIBDIR)/libheaptrace-alloc.so $(MANDIR)/heaptrace.1 $(COMPDIR)/heaptrace

clean: ## remove what was built
	rm -rf $(BUILD)

distclean: clean ## remove all that git does not know below build/
	rm -rf $(COMMON)

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

-include $(shell find $(BUILD) $(COMMON)/heaptrace.bpf.d -type d -name kernels -prune -o -type f -name '*.d' -print 2>/dev/null)
