/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl plan: what the planner of shard/plan.h proposes for the present shards. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

#include "server/config/topology.h"

#include "scripts/shardctl_planner.h"

static const char help_text[] =
    "plan: say which slots should move where, so that every shard has its share. Moves\n"
    "nothing.\n"
    "\n"
    "  --by=WHAT             even out bytes (the default), rows, or load: the time that\n"
    "                        CALLs for a slot took recently\n"
    "  --threshold=PERCENT   how far from its share a shard may be before anything is "
    "done\n"
    "                        (10); a plan ends at half of this\n"
    "  --floor=N             leave out moves that gain fewer bytes, rows, or ms/s of "
    "load\n"
    "                        than this, since they cost more than they gain; k, M, G and "
    "T\n"
    "                        may follow (1048576 bytes; 0 for rows and load)\n"
    "  --weights=NAME=W,..   relative shares of shards (1)\n"
    "  --capacity=NAME=BYTES,..  limits, never exceeded; k, M, G and T may follow\n"
    "  --drain=NAME,..       shards that everything must leave, besides those that are\n"
    "                        being drained already (`shardctl drain`, CALL shard_drain)\n"
    "  --limit=N             list at most so many moves\n"
    "  --json                one JSON object\n"
    "\n"
    "  SHARD   SLOTS       VALUE              FILL\n"
    "  shard1  512 -> 446  1.2 GB -> 1.1 GB   |##########+++      |  1.31 -> 1.02\n"
    "      Fill is what a shard has, divided by its share. The bar goes from 0 to 2: # "
    "is\n"
    "      what stays, + what leaves, = what comes, and | in the middle is the share.\n"
    "  1  slot 17  shard1 -> shard2  2.4 MB  12007 rows  1.30\n"
    "      The moves in order. Each improves the balance, so you may stop after any; "
    "the\n"
    "      last column is the fill of the fullest shard after it.\n"
    "\n"
    "The bytes moved are shown beside the fewest that would do. A slot larger than any\n"
    "shard's share stays where it is, and others make room for it: `shardctl hot` shows\n"
    "whose it is. A shard that is paused or refused keeps what it has and gets nothing.\n"
    "Slots that are moving are left out. Rows are counted in the background "
    "(load_measure);\n"
    "slots never counted are counted now, for 20 s at most, and the rest are taken as\n"
    "average.\n"
    "\n"
    "    shardctl plan --by=load\n"
    "    shardctl plan --drain=shard3 --capacity=shard1=200G,shard2=200G\n"
    "\n"
    "Exit status: 0 nothing needs to be done; 1 there are moves, or something that no "
    "move\n"
    "can mend; 2 misuse, or a shard did not answer.\n";

#define MEASURE_MS 20000

#define BAR_CELLS 20

/* Load is in us per minute. */
#define LOAD_MS_PER_S 60000

/* ---- Options ---- */

/* Set what an option says about SHARD; VALUE is NULL where the option only names it.
 * False: the value is invalid. */
typedef bool (*set_fn)(struct plan_shard *shard, const char *value);

static bool set_weight(struct plan_shard *shard, const char *value)
{
    char *end = NULL;

    shard->weight = value == NULL ? -1 : strtod(value, &end);
    return value != NULL && end != value && *end == '\0' && isfinite(shard->weight) &&
           shard->weight >= 0;
}

/* Read "1.5G"; -1: it is not a number from 0 to 1e18. */
static double read_amount(const char *text)
{
    static const char units[] = "kMGT";
    char *end = NULL;
    double amount = text == NULL ? -1 : strtod(text, &end);

    if (text == NULL || end == text || !(amount >= 0 && amount < 1e15)) {
        return -1;
    }
    if (*end != '\0' && strchr(units, *end) != NULL) {
        amount *= pow(1000, (double)(strchr(units, *end) - units) + 1);
        end++;
    }
    return *end == '\0' && amount < 1e18 ? amount : -1;
}

static bool set_capacity(struct plan_shard *shard, const char *value)
{
    const double bytes = read_amount(value);

    shard->capacity_bytes = bytes >= 1 ? (uint64_t)bytes : 0;
    return shard->capacity_bytes > 0;
}

static bool set_draining(struct plan_shard *shard, const char *value)
{
    shard->is_draining = true;
    return value == NULL;
}

/* The shard of one ITEM, NAME or NAME=VALUE, whose name has LEN characters; NULL: there
 * is none. */
static struct plan_shard *named(const struct planner *run, const char *item, size_t len)
{
    for (size_t i = 0; i < run->input.n_shards; i++) {
        const char *name = run->shards[i].name;
        if (strlen(name) == len && memcmp(name, item, len) == 0) {
            return &run->shards[i];
        }
    }
    return NULL;
}

/* Read LIST, of option NAME. False: the reason is printed. */
static bool read_list(struct planner *run, const char *name, const char *list, set_fn set)
{
    const char *at = list;

    while (at != NULL && *at != '\0') {
        char *item = arena_strndup(&run->fleet.arena, at, strcspn(at, ","));
        if (item == NULL) {
            (void)shardctl_fail(name, "out of memory");
            return false;
        }
        const size_t len = strcspn(item, "=");
        struct plan_shard *shard = named(run, item, len);
        if (shard == NULL) {
            (void)shardctl_fail(item, "the topology names no such shard");
            return false;
        }
        if (!set(shard, item[len] == '=' ? item + len + 1 : NULL)) {
            (void)fprintf(stderr, "shardctl: --%s: \"%s\" is not understood\n", name,
                          item);
            return false;
        }
        at += strcspn(at, ",");
        at += *at == ',';
    }
    return true;
}

/* Read "10" or "10%" as a fraction; 0: it is not one. */
static double read_percent(const char *text)
{
    char *end = NULL;
    const double percent = strtod(text, &end);

    end += *end == '%';
    return end != text && *end == '\0' && percent >= 0.1 && percent <= 1000
               ? percent / 100
               : 0;
}

/* False: said. */
static bool read_floor(struct planner *run)
{
    const char *text = run->ctl->options.floor;
    struct plan_input *input = &run->input;

    input->floor = input->by == PLAN_BYTES ? PLAN_FLOOR_BYTES : 0;
    if (text != NULL) {
        input->floor = read_amount(text) * (input->by == PLAN_LOAD ? LOAD_MS_PER_S : 1);
    }
    if (input->floor < 0) {
        (void)shardctl_fail("--floor", "0 or more; k, M, G and T may follow");
    }
    return input->floor >= 0;
}

static bool read_options(struct planner *run)
{
    const struct shardctl_options *options = &run->ctl->options;
    struct plan_input *input = &run->input;

    input->by = options->by == NULL ? PLAN_BYTES : plan_by_named(options->by);
    if (input->by == PLAN_BY__COUNT) {
        (void)shardctl_fail("--by", "bytes, rows or load");
        return false;
    }
    input->threshold =
        options->threshold == NULL ? PLAN_THRESHOLD : read_percent(options->threshold);
    if (input->threshold <= 0) {
        (void)shardctl_fail("--threshold", "0.1 to 1000 percent");
        return false;
    }
    input->moves_max = (size_t)shardctl_read_number(options->limit, 1000000, SIZE_MAX);
    if (input->moves_max == 0) {
        (void)shardctl_fail("--limit", "1 to 1000000 moves");
        return false;
    }
    return read_floor(run) && read_list(run, "weights", options->weights, set_weight) &&
           read_list(run, "capacity", options->capacity, set_capacity) &&
           read_list(run, "drain", options->drain, set_draining);
}

/* ---- The input ---- */

static bool name_shards(struct planner *run)
{
    const size_t n = run->ctl->topology->n_servers;

    run->shards = arena_calloc(&run->fleet.arena, n, sizeof *run->shards);
    for (size_t i = 0; run->shards != NULL && i < n; i++) {
        run->shards[i].name = fleet_shard(&run->fleet, i);
        run->shards[i].weight = 1;
    }
    run->input.shards = run->shards;
    run->input.n_shards = n;
    return run->shards != NULL;
}

static bool is_set(const struct dbresult *result, const char *column)
{
    const struct dbvalue *value = dbresult_value(result, 0, column);

    return value != NULL && value->number != 0;
}

/* Mark shards that say they are being drained, by whomever, or that serve nothing: no
 * plan sends slots to them. False: the reason is printed. */
static bool note_marks(struct planner *run)
{
    struct fleet *fleet = &run->fleet;

    if (!fleet_call(fleet, PROC_SHARD_STATUS, NULL, SIZE_MAX) || fleet->n_silent > 0) {
        return false;
    }
    for (size_t i = 0; i < run->input.n_shards; i++) {
        const struct dbresult *status = fleet->shares[i].results;
        run->shards[i].is_draining |= is_set(status, "draining_at");
        run->shards[i].is_closed =
            is_set(status, "paused_at") || is_set(status, "refused_at");
    }
    return true;
}

/* The slots as the planner wants them; those never measured count as average. */
static bool list_slots(struct planner *run)
{
    const struct fleet *fleet = &run->fleet;
    const size_t n_measured = fleet->n_slots - fleet->n_unmeasured;
    double bytes = 0;
    double rows = 0;

    run->slots = arena_calloc(&run->fleet.arena, fleet->n_slots + 1, sizeof *run->slots);
    for (size_t i = 0; i < fleet->n_slots; i++) {
        bytes += (double)fleet->slots[i].bytes;
        rows += (double)fleet->slots[i].rows;
    }
    for (size_t i = 0; run->slots != NULL && i < fleet->n_slots; i++) {
        const struct fleet_slot *slot = &fleet->slots[i];
        const bool is_known = slot->measured_at_ms != 0 || n_measured == 0;
        run->slots[i] = (struct plan_slot){
            .number = slot->slot,
            .shard = slot->shard,
            .moving_to = PLAN_NOWHERE,
            .is_pinned = strcmp(slot->state, "owned") != 0,
            .bytes = is_known ? slot->bytes : (uint64_t)(bytes / (double)n_measured),
            .rows = is_known ? slot->rows : (uint64_t)(rows / (double)n_measured),
            .load = (double)slot->busy_us_per_min};
    }
    run->input.slots = run->slots;
    run->input.n_slots = fleet->n_slots;
    return run->slots != NULL;
}

/* A slot that is moving counts where it goes; one that can still be rolled back stays
 * where it is. */
static void note_move(struct planner *run, const struct move_row *row)
{
    size_t taker = 0;

    while (taker < run->input.n_shards &&
           strcmp(run->shards[taker].name, row->taker) != 0) {
        taker++;
    }
    for (size_t i = 0; i < run->input.n_slots; i++) {
        struct plan_slot *slot = &run->slots[i];
        if (slot->number == row->slot && row->phase < PHASE_KEEPING &&
            taker < run->input.n_shards && slot->shard == row->shard) {
            slot->moving_to = taker;
        } else if (slot->number == row->slot) {
            slot->is_pinned = true;
        }
    }
    if (row->phase != PHASE_KEEPING && taker < run->input.n_shards) {
        run->shards[row->shard].n_moving++;
        run->shards[taker].n_moving++;
    }
}

/* False: said. */
static bool note_moves(struct planner *run)
{
    struct moves moves;
    const bool is_read = moves_read(&moves, run->ctl, /* is_quiet= */ false);

    for (size_t i = 0; is_read && i < moves.n; i++) {
        if (!move_is_over(&moves.rows[i])) {
            note_move(run, &moves.rows[i]);
        }
    }
    moves_end(&moves);
    return is_read;
}

/* ---- As text ---- */

static const char *value_text(enum plan_by by, double value, char text[24])
{
    switch (by) {
    case PLAN_LOAD:
        (void)snprintf(text, 24, "%.1f ms/s", value / LOAD_MS_PER_S);
        return text;
    case PLAN_ROWS:
        (void)snprintf(text, 24, "%.0f rows", value);
        return text;
    default:
        return fleet_bytes(value, text);
    }
}

static size_t cells(double fill)
{
    return (size_t)fmin(BAR_CELLS, fill * BAR_CELLS / 2 + 0.5);
}

/* A bar from fill 0 to 2. */
static const char *bar(double before, double after, char text[BAR_CELLS + 2])
{
    const size_t kept = cells(fmin(before, after));
    const size_t most = cells(fmax(before, after));

    for (size_t i = 0; i < BAR_CELLS; i++) {
        text[i] = i < kept ? '#' : i >= most ? ' ' : after < before ? '+' : '=';
    }
    memmove(text + BAR_CELLS / 2 + 1, text + BAR_CELLS / 2, BAR_CELLS / 2);
    text[BAR_CELLS / 2] = '|';
    text[BAR_CELLS + 1] = '\0';
    return text;
}

static void print_shards(const struct planner *run)
{
    const struct plan *plan = &run->plan;

    printf("%-16s %13s  %25s  FILL\n", "SHARD", "SLOTS", "VALUE");
    for (size_t i = 0; i < run->input.n_shards; i++) {
        const struct plan_fill *before = &plan->before[i];
        const struct plan_fill *after = &plan->after[i];
        char text[2][24];
        char drawn[BAR_CELLS + 2];
        printf("%-16s %5zu -> %4zu  %11s -> %10s  |%s|  %.2f -> %.2f%s\n",
               run->shards[i].name, before->n_slots, after->n_slots,
               value_text(run->input.by, before->value, text[0]),
               value_text(run->input.by, after->value, text[1]),
               bar(before->fill, after->fill, drawn), before->fill, after->fill,
               run->shards[i].is_draining || run->shards[i].weight <= 0 ? "  drained"
                                                                        : "");
    }
}

static void print_moves(const struct planner *run)
{
    for (size_t i = 0; i < run->plan.n_moves; i++) {
        const struct plan_move *move = &run->plan.moves[i];
        const struct plan_slot *slot = &run->slots[move->slot];
        char text[2][24];
        printf("%4zu  slot %-5u %s -> %s  %s  %" PRIu64 " rows%s%s  %.2f\n", i + 1,
               slot->number, run->shards[move->giver].name, run->shards[move->taker].name,
               fleet_bytes((double)slot->bytes, text[0]), slot->rows,
               run->input.by == PLAN_LOAD ? "  " : "",
               run->input.by == PLAN_LOAD ? value_text(PLAN_LOAD, move->value, text[1])
                                          : "",
               move->imbalance);
    }
}

static size_t fullest_shard(const struct planner *run)
{
    size_t fullest = 0;

    for (size_t i = 1; i < run->input.n_shards; i++) {
        if (run->plan.after[i].fill > run->plan.after[fullest].fill) {
            fullest = i;
        }
    }
    return fullest;
}

/* The slot that has most of all on SHARD; NULL: it has none. */
static const struct plan_slot *largest_slot(const struct planner *run, size_t shard)
{
    const struct plan_slot *largest = NULL;

    for (size_t i = 0; i < run->input.n_slots; i++) {
        const struct plan_slot *slot = &run->slots[i];
        if (slot->shard == shard &&
            (largest == NULL || plan_slot_value(slot, run->input.by) >
                                    plan_slot_value(largest, run->input.by))) {
            largest = slot;
        }
    }
    return largest;
}

/* Print why no move can mend that a shard has more than its share. */
static void print_uneven(const struct planner *run)
{
    const size_t fullest = fullest_shard(run);
    const struct plan_slot *slot = largest_slot(run, fullest);
    const double all = run->plan.after[fullest].value;
    const double part =
        slot == NULL || all <= 0 ? 0 : plan_slot_value(slot, run->input.by) / all;

    printf("\nNo move makes it more even");
    if (slot != NULL && part > 0.5) {
        printf(": %.0f %% of what %s has is in slot %u, and a slot moves as a whole. "
               "`shardctl hot` shows whose it is; `shardctl promote` gives one user a "
               "slot of their own",
               part * 100, run->shards[fullest].name, slot->number);
    }
    printf(".\n");
}

/* Print why nothing needs to be done, or can be. */
static void print_even(const struct planner *run)
{
    char text[24];

    if (!run->plan.is_floored && run->input.threshold < PLANNER_ANY_SHARE &&
        run->plan.imbalance_after > 1 + run->input.threshold) {
        print_uneven(run);
        return;
    }
    printf("\nNothing needs to be done");
    if (run->plan.is_floored) {
        printf(": no move would win %s, about what it costs. --floor=0 plans them all "
               "the same",
               value_text(run->input.by, run->input.floor, text));
    } else if (run->input.threshold < PLANNER_ANY_SHARE) {
        printf(": every shard is within %.3g %% of its share",
               run->input.threshold * 100);
    }
    printf(".\n");
}

static void print_end(const struct planner *run)
{
    const struct plan *plan = &run->plan;
    char text[2][24];

    switch (plan->verdict) {
    case PLAN_EVEN:
        print_even(run);
        return;
    case PLAN_STUCK:
        printf("\nThis is as far as single moves can get%s.\n",
               plan->n_undrained > 0 ? ", and not everything can leave" : "");
        break;
    case PLAN_CUT_SHORT:
        printf("\nThere are more moves; --limit listed these.\n");
        break;
    default:
        putchar('\n');
        break;
    }
    printf("%zu moves, %s; no plan that gets there moves less than %s.\n", plan->n_moves,
           fleet_bytes(plan->bytes_moved, text[0]),
           fleet_bytes(plan->bytes_min, text[1]));
    if (plan->is_floored) {
        printf("What is left to win costs more than it gives (--floor).\n");
    }
    if (plan->n_undrained > 0) {
        printf(
            "%zu slots stay on shards that are to be drained: they are moving, can still "
            "be rolled back (shardctl finish ends that), or nobody has room.\n",
            plan->n_undrained);
    }
}

static void print_text(const struct planner *run)
{
    const struct fleet *fleet = &run->fleet;

    printf("Evening out %s; the fullest shard has %.2f of its share, then %.2f.\n",
           plan_by_name(run->input.by), run->plan.imbalance_before,
           run->plan.imbalance_after);
    if (fleet->n_unmeasured > 0) {
        printf("%zu of %zu slots are not counted yet and taken for average.\n",
               fleet->n_unmeasured, fleet->n_slots);
    }
    putchar('\n');
    print_shards(run);
    if (run->plan.n_moves > 0) {
        putchar('\n');
        print_moves(run);
    }
    print_end(run);
}

/* ---- As JSON ---- */

static const char *const verdicts[] = {[PLAN_EVEN] = "even",
                                       [PLAN_MOVES] = "moves",
                                       [PLAN_CUT_SHORT] = "cut short",
                                       [PLAN_STUCK] = "stuck"};

static json_t *json_of_fill(const struct plan_fill *fill)
{
    return json_pack("{s:I, s:f, s:I, s:f}", "slots", (json_int_t)fill->n_slots, "value",
                     fill->value, "bytes", (json_int_t)fill->bytes, "fill", fill->fill);
}

static json_t *json_of_shards(const struct planner *run)
{
    json_t *list = json_array();

    for (size_t i = 0; i < run->input.n_shards; i++) {
        (void)json_array_append_new(
            list,
            json_pack("{s:s, s:f, s:b, s:o, s:o}", "shard", run->shards[i].name, "weight",
                      run->shards[i].weight, "is_draining", run->shards[i].is_draining,
                      "before", json_of_fill(&run->plan.before[i]), "after",
                      json_of_fill(&run->plan.after[i])));
    }
    return list;
}

static json_t *json_of_moves(const struct planner *run)
{
    json_t *list = json_array();

    for (size_t i = 0; i < run->plan.n_moves; i++) {
        const struct plan_move *move = &run->plan.moves[i];
        const struct plan_slot *slot = &run->slots[move->slot];
        (void)json_array_append_new(
            list,
            json_pack("{s:I, s:s, s:s, s:I, s:I, s:f, s:f}", "slot",
                      (json_int_t)slot->number, "from", run->shards[move->giver].name,
                      "to", run->shards[move->taker].name, "bytes",
                      (json_int_t)slot->bytes, "rows", (json_int_t)slot->rows, "value",
                      move->value, "imbalance", move->imbalance));
    }
    return list;
}

static bool print_json(const struct planner *run)
{
    const struct plan *plan = &run->plan;
    json_t *object = json_pack(
        "{s:s, s:s, s:b, s:f, s:f, s:I, s:I, s:I, s:I, s:o, s:o}", "by",
        plan_by_name(run->input.by), "verdict", verdicts[plan->verdict], "is_floored",
        plan->is_floored, "imbalance_before", plan->imbalance_before, "imbalance_after",
        plan->imbalance_after, "bytes_moved", (json_int_t)plan->bytes_moved, "bytes_min",
        (json_int_t)plan->bytes_min, "undrained", (json_int_t)plan->n_undrained,
        "unmeasured", (json_int_t)run->fleet.n_unmeasured, "shards", json_of_shards(run),
        "moves", json_of_moves(run));
    bool good = object != NULL &&
                json_dumpf(object, stdout, JSON_REAL_PRECISION(6)) == 0 &&
                putchar('\n') != EOF;

    json_decref(object);
    return good;
}

/* ---- The run ---- */

bool planner_print(const struct planner *run)
{
    bool good = true;

    if (run->ctl->options.is_json) {
        good = print_json(run);
    } else {
        print_text(run);
    }
    return fflush(stdout) == 0 && ferror(stdout) == 0 && good;
}

bool planner_make(struct planner *run, const struct shardctl *ctl, const char *drained,
                  double threshold)
{
    struct fleet *fleet = &run->fleet;
    const char *command = drained == NULL ? "plan" : "drain";

    *run = (struct planner){.ctl = ctl};
    fleet_begin(fleet, ctl);
    if (!name_shards(run)) {
        (void)shardctl_fail(command, "out of memory");
        return false;
    }
    if (!read_options(run) || !read_list(run, command, drained, set_draining)) {
        return false;
    }
    run->input.threshold =
        ctl->options.threshold == NULL ? threshold : run->input.threshold;
    if (!shardctl_discover(ctl, command) || !fleet_read(fleet) || fleet->n_silent > 0 ||
        !fleet_measure(fleet, clock_mono_ms() + MEASURE_MS) || fleet->n_silent > 0) {
        return false;
    }
    const char *problem = list_slots(run) ? NULL : "out of memory";
    if (problem == NULL && (!note_moves(run) || !note_marks(run))) {
        return false;
    }
    problem = problem == NULL ? plan_make(&run->plan, &run->input) : problem;
    if (problem != NULL) {
        (void)shardctl_fail(command, problem);
    }
    return problem == NULL;
}

void planner_end(struct planner *run)
{
    plan_release(&run->plan);
    fleet_end(&run->fleet);
}

static int run_plan(const struct shardctl *ctl)
{
    struct planner run;
    int status = 2;

    if (planner_make(&run, ctl, NULL, PLAN_THRESHOLD)) {
        status = planner_print(&run)
                     ? run.plan.verdict != PLAN_EVEN
                     : shardctl_fail("standard output", shardctl_error_text());
    }
    planner_end(&run);
    return status;
}

const struct shardctl_command shardctl_plan = {
    .name = "plan",
    .operands = "",
    .options = "by threshold floor weights capacity drain limit json",
    .help = help_text,
    .user = "doushard_admin",
    .has_router = true,
    .run = run_plan,
};
