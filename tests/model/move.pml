/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/*
 * The move of one slot between two shards, for the model checker spin (tests/model/move.test.js).
 *
 * Participants: writers; movers that claim the move one after the other, any of which may stop
 * at any step and go on at any later time; the shards, which roll back open transactions when they
 * crash; a router that finishes flips. spin tries all orders of all their steps.
 *
 * What must hold, in every state:
 *   AtMostOneOwner      never do two fences serve the slot.
 *   NoAckedWriteLost    every fence that serves has exactly the rows that the committed writes
 *                       left: none missing, none old, none that was deleted. This is stronger than
 *                       its name: a write counts from its commit, acknowledged or not.
 *   OwnedOrHalfFlipped  a fence serves, or the flip stopped between its two commits, and whoever
 *                       reads the moved fence can finish it.
 *   EpochsRise          a fence that changes hands does so at a higher epoch.
 *   RefusedIsOvertaken  a mover is refused only if a younger one has claimed the move, or the
 *                       move is over: no mover that should finish it gets stuck.
 * and for every run, as long as the last mover or the router stays alive (-DLIVE):
 *   EventuallyOwned     again and again, some shard serves the slot and nobody locks its fence.
 *   EventuallyDone      if it is the mover that stays alive, the move comes to an end.
 *
 * One step of the model is one CALL of the program, a transaction on one shard, so that anything may
 * happen between two CALLs, and between reading rows on one shard and writing them on the other. Only
 * the flip keeps a transaction open over several steps.
 * - A mover is one claim, with its number as token and as term. A crash is a mover that never goes
 *   on; a restart is the next mover. A zombie, or a CALL that takes effect after its caller has died,
 *   is a mover that goes on late. A mover that gets no answer must make sure that the CALL has ended,
 *   or claim again, rather than repeat the CALL: SAME_TOKEN shows what happens otherwise.
 * - A lease may end at any time: the next mover claims whenever it likes.
 * - The commit of the flip may be lost with the connection (Shards), and whoever sent it does not
 *   look at its answer but at the fence.
 * - A writer asks whichever shard serves. One that asks the other is refused, which changes nothing,
 *   so stale maps and following MOVED are covered; so is a commit without an answer.
 * - Rows: two keys, each of them a chunk. A row is the number of the write that made it; 0 is no row.
 * - A cancel, a rollback, and the end of the time for a rollback may come at any time; after a move
 *   is over the next one begins, from where the slot is then.
 *
 * Not modelled: disks that forget, restored backups, replicas, more than two shards, the epoch that
 * callers send and slot_learn (both only make a fence refuse more), verification (the move must be
 * right without it), batches, slot_seq and owner_home, which are copied like rows, own slots, and
 * time: a lock wait that times out is a lock that is not taken yet.
 *
 * Sizes, all by -D: MOVERS (2 or 3) claims, MOVES requests one after the other, WRITERS (0 to 2) of
 * one key each with WRITES each, CUTS open flips that a shard rolls back; ROLLBACK: there is a way
 * back. Mistakes, each of which spin must find, are the other names in #if: move.test.js describes
 * each of them, with the property that it breaks. To see one:
 *   spin -DNO_TERM -a move.pml && gcc -w -DSAFETY -DBFS -o pan pan.c && ./pan && spin -DNO_TERM -t -p -g move.pml
 */

#ifndef MOVERS
#define MOVERS 2
#endif
#ifndef MOVES
#define MOVES 1
#endif
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef WRITES
#define WRITES 1
#endif
#ifndef CUTS
#define CUTS 1
#endif

/* ---- what the shards store ------------------------------------------------------------ */

/* slot_fence.state */
#define NONE 0
#define OWNED 1
#define MIGRATING 2
#define MOVED 3
#define IMPORTING 4
#define READY 5

/* slot_move.phase, where the fences do not say it */
#define GO 0
#define UNDOING 1
#define BACK 2
#define PURGING 3
#define DONE 4

#define KEYS 2
#define FIRST 9 /* a row that exists at the beginning */
#define STRAY 8 /* a row left over where it should not be */

byte state[2], epoch[2], token[2]; /* slot_fence, of shard 0 and shard 1 */
bit journal[2];
byte row[2 * KEYS]; /* the owner tables */
byte dirty[2]; /* slot_log: a bit for each write that is journaled */
byte import[2], cursor[2]; /* slot_import: at which epoch, and how far it is */
byte move = 1, phase, claimed, aim; /* slot_move of the giver: number, phase, token and term, epoch */
bit giver;

/* The locks of a fence: the mover that holds it exclusively; for each writer, 1 + the shard whose
 * fence it shares. */
byte xlock[2], slock[2];
byte cuts;

byte truth[KEYS]; /* what the last write that any shard committed left */

#define ROW(s, k) row[(s) * KEYS + (k)]
#define BIT(k, n) (1 << ((k) * WRITES + (n)))
#define BITS(k) (((1 << WRITES) - 1) << ((k) * WRITES))
#define MAX(a, b) ((a) > (b) -> (a) : (b))

#define SERVES(s) (state[s] == OWNED || state[s] == MIGRATING)
#ifdef NO_LOCK
#define FREE(s) (xlock[s] == 0)
#else
#define FREE(s) (xlock[s] == 0 && slock[0] != (s) + 1 && slock[1] != (s) + 1)
#endif

/* ---- what must hold ------------------------------------------------------------------- */

bit AtMostOneOwner = 1, NoAckedWriteLost = 1, OwnedOrHalfFlipped = 1, EpochsRise = 1, RefusedIsOvertaken = 1;

#define WHOLE(s) (ROW(s, 0) == truth[0] && ROW(s, 1) == truth[1])
#define HALF(s) (state[s] == MOVED && state[1 - (s)] == READY && epoch[s] == epoch[1 - (s)] && token[s] == token[1 - (s)])

/* After every step that changes a fence or a row. */
inline check()
{
    AtMostOneOwner = !(SERVES(0) && SERVES(1));
    NoAckedWriteLost = (!SERVES(0) || WHOLE(0)) && (!SERVES(1) || WHOLE(1));
    OwnedOrHalfFlipped = SERVES(0) || SERVES(1) || HALF(0) || HALF(1);
    assert(AtMostOneOwner);
    assert(NoAckedWriteLost);
    assert(OwnedOrHalfFlipped)
}

inline rises(s, e)
{
    EpochsRise = (e > epoch[s]);
    assert(EpochsRise)
}

#ifdef LIVE
bit gone[MOVERS + 1]; /* killed for good: a mover, or, at 0, the router */
bit routed; /* the router is the one that stays */
#define UNTIL_GONE(i) provided (!gone[i])

#define SERVED ((SERVES(0) && xlock[0] == 0) || (SERVES(1) && xlock[1] == 0))
ltl EventuallyOwned { [] <> SERVED }
ltl EventuallyDone { <> (routed || phase == DONE) }

/* Kills any of them, but leaves either the last mover or the router alive. */
active proctype Reaper()
{
    byte i;

    if
    :: routed = 1
    :: gone[0] = 1
    fi;
    do
    :: i < MOVERS ->
        i++;
        if
        :: i < MOVERS || routed -> gone[i] = 1
        :: skip
        fi
    :: else -> break
    od
}
#else
#define UNTIL_GONE(i)
#endif

/* ---- writers -------------------------------------------------------------------------- */

/* A transaction: the fence is read with a shared lock; then all is written and committed at once. */
proctype Writer(byte k)
{
    byte n;
    bit s, journals;

    do
    :: n < WRITES ->
        if
        :: d_step { SERVES(0) && xlock[0] == 0 -> s = 0; slock[k] = 1; journals = (state[0] == MIGRATING || journal[0]) }
        :: d_step { SERVES(1) && xlock[1] == 0 -> s = 1; slock[k] = 2; journals = (state[1] == MIGRATING || journal[1]) }
        fi;
        if
        :: d_step { slock[k] == 0 -> s = 0; journals = 0 } /* it was rolled back */
        :: atomic {
            slock[k] != 0 ->
            if
            :: truth[k] = n + 1
            :: truth[k] = 0
            fi;
            d_step {
                ROW(s, k) = truth[k];
                if
#ifdef NO_JOURNAL
                :: journals && truth[k] != 0 -> dirty[s] = dirty[s] | BIT(k, n)
#else
                :: journals -> dirty[s] = dirty[s] | BIT(k, n)
#endif
                :: else
                fi;
                n++;
                slock[k] = 0;
                s = 0;
                journals = 0;
                check()
            }
        }
        fi
    :: n == WRITES -> break
    od
}

/* ---- shards: crashes, connections that are cut, watchdogs ----------------------------- */

#ifdef SAME_TOKEN
byte late, late_epoch, late_key, late_row; /* a CALL under way to shard 1 */
#endif

active proctype Shards()
{
end:
    do
    :: d_step { xlock[0] != 0 && cuts < CUTS -> xlock[0] = 0; cuts++ }
    :: d_step { xlock[1] != 0 && cuts < CUTS -> xlock[1] = 0; cuts++ }
#ifdef LIVE
    :: d_step { xlock[0] != 0 && gone[xlock[0]] -> xlock[0] = 0 }
    :: d_step { xlock[1] != 0 && gone[xlock[1]] -> xlock[1] = 0 }
#else
    :: d_step { slock[0] != 0 -> slock[0] = 0 }
    :: d_step { slock[1] != 0 -> slock[1] = 0 }
#endif
#ifdef SAME_TOKEN
    :: d_step {
        late != 0 ->
        if
        :: state[1] == IMPORTING && epoch[1] == late_epoch && token[1] == late -> ROW(1, late_key) = late_row
        :: else
        fi;
        late = 0;
        check()
    }
#endif
    od
}

/* ---- takeover, by movers and routers -------------------------------------------------- */

inline takeover(s, e, tok)
{
    if
#ifdef TAKEOVER_ANY
    :: state[s] == READY ->
#else
    :: state[s] == READY && epoch[s] == e && token[s] == tok ->
#endif
        state[s] = OWNED;
#ifndef JOURNAL_LATE
        journal[s] = 1;
#endif
        check()
    :: else
    fi
}

/* Reads a moved fence, and asks the other shard to take over, at any time after that. */
active proctype Router() UNTIL_GONE(0)
{
    byte e, tok;
    bit s;
end:
    do
#ifndef NO_ROUTER
    :: d_step { state[0] == MOVED && (e != epoch[0] || s != 1) -> s = 1; e = epoch[0]; tok = token[0] }
    :: d_step { state[1] == MOVED && (e != epoch[1] || s != 0) -> s = 0; e = epoch[1]; tok = token[1] }
#endif
    :: d_step { e != 0 -> takeover(s, e, tok); e = 0; tok = 0; s = 0 }
    od
}

/* ---- movers --------------------------------------------------------------------------- */

/* What each CALL of a mover compares on the shard where it works: on the giver, the move's row; there
 * or at the taker, the fence. g gives, t takes; on the way back the fences change their parts. */
#define MINE (claimed == me && move == my)
#ifdef NO_TOKEN
#define IMPORTS (state[t] == IMPORTING)
#else
#define IMPORTS (state[t] == IMPORTING && epoch[t] == e && token[t] == me)
#endif
#define GIVES (state[g] == MIGRATING && token[g] == me)
#ifdef MIGRATE_UNFENCED
#define BEGINS SERVES(g)
#else
#define BEGINS (MINE && phase == GO && SERVES(g))
#endif
#ifdef KEEP_UNFENCED
#define KEEPS (state[g] == MOVED && epoch[g] == e)
#else
#define KEEPS (MINE && phase == GO)
#endif
#define RETURNS (MINE && phase == BACK && !SERVES(g))
#define TAKEN (state[t] == OWNED && epoch[t] == e)
#define LEFTOVER ((state[t] == IMPORTING || state[t] == READY) && epoch[t] <= e)
#ifdef NO_TERM
#define IS_NEWS (e >= epoch[t])
#else
#define IS_NEWS (e > epoch[t] || (LEFTOVER && token[t] <= me))
#endif

/* Keys that are journaled, and the rows as they are now. */
inline read_dirty(s, condition)
{
    atomic {
        condition && (dirty[s] & ~ids) != 0 ->
        if
        :: (dirty[s] & ~ids & BITS(0)) -> k = 0
        :: (dirty[s] & ~ids & BITS(1)) -> k = 1
        fi;
        d_step { ids = ids | (dirty[s] & BITS(k)); buf = ROW(s, k) }
    }
}

/* Those rows, on the other shard: DELETE and REPLACE. */
inline write_row(s, condition)
{
    atomic {
        if
        :: condition -> d_step { ROW(s, k) = buf; buf = 0; k = 0; check() }
        :: else -> goto stop
        fi
    }
}

inline purge_rows(s)
{
    do
    :: atomic {
            k < KEYS ->
            if
#ifdef PURGE_UNFENCED
            :: d_step { true -> ROW(s, k) = 0; k++; check() }
#else
            :: d_step { state[s] == MOVED && epoch[s] == e -> ROW(s, k) = 0; k++; check() }
            :: else -> goto stop
#endif
            fi
        }
    :: else -> break
    od
}

proctype Mover(byte me) UNTIL_GONE(me)
{
    byte e, my; /* the epoch that this is about; the move */
    byte k, buf, ids, tok; /* what was read and is not yet written */
    bit g, t; /* the giver, the taker */

end_idle:
    /* Claim. The fence is locked, so that no flip of an older mover is open. Its token changes only
     * while it is migrating: the token of a moved fence is the key to the taker's fence. */
    atomic {
#ifdef LIVE
        phase != DONE && claimed < me && FREE(giver) ->
#else
        phase != DONE && claimed == me - 1 && FREE(giver) ->
#endif
        d_step { claimed = me; my = move; g = giver; t = 1 - g }
        if
        :: phase == UNDOING -> d_step { e = aim } goto undo
        :: phase == BACK -> goto back
        :: phase == PURGING -> d_step { e = epoch[g] } goto purge
#if defined(UNDO_MOVED)
        :: phase == GO && state[g] == MOVED -> d_step { e = aim } goto undo
#elif defined(CLAIM_MOVED)
        :: phase == GO && state[g] == MOVED -> d_step { token[g] = me; check() } goto finish
#else
        :: phase == GO && state[g] == MOVED -> goto finish
#endif
        :: phase == GO && state[g] == MIGRATING -> token[g] = me
        :: phase == GO && state[g] == OWNED
        fi
    }

record:
    /* The epoch to move to: one that nothing on either shard has used. */
    atomic { k = epoch[t] }
    atomic {
        if
        :: MINE && phase == GO && SERVES(g) ->
            d_step {
                if
                :: aim <= epoch[g] -> aim = MAX(epoch[g], k) + 1
                :: else
                fi;
                e = aim;
                k = 0
            }
        :: else -> goto stop
        fi
    }

    /* The taker imports. At this epoch it goes on where it was, since the giver has journaled since,
     * but never for an older claim: tokens are equal or not, only the term says which is newer. */
    atomic {
        if
        :: !SERVES(t) && IS_NEWS ->
            d_step {
                state[t] = IMPORTING;
                epoch[t] = e;
                token[t] = me;
                if
                :: import[t] != e -> import[t] = e; cursor[t] = 0
                :: else
                fi;
                k = cursor[t];
                check()
            }
        :: else -> goto stop
        fi
    }

    /* The giver journals: writers that have read the fence before have ended. */
    atomic {
        FREE(g) ->
        if
        :: BEGINS -> d_step { state[g] = MIGRATING; token[g] = me }
        :: else -> goto stop
        fi
    }

    /* Copy: leftover rows are removed, then the existing rows are written, chunk by chunk. */
    do
    :: atomic {
            k < KEYS ->
            if
            :: IMPORTS -> d_step { ROW(t, k) = 0; k++; cursor[t] = k; check() }
            :: else -> goto stop
            fi
        }
    :: d_step { k >= KEYS && k < 2 * KEYS -> buf = ROW(g, k - KEYS) }
        atomic {
            if
            :: IMPORTS ->
                d_step {
                    if
                    :: buf != 0 -> ROW(t, k - KEYS) = buf
                    :: else
                    fi;
                    buf = 0; k++; cursor[t] = k; check()
                }
            :: else -> goto stop
            fi
        }
    :: atomic { k == 2 * KEYS -> k = 0; break }
    :: goto cancel
    od;

drain:
    do
    :: read_dirty(g, true);
#ifdef SAME_TOKEN
        if
        :: atomic { late == 0 && t == 1 -> d_step { late = me; late_epoch = e; late_key = k; late_row = buf; buf = 0; k = 0; ids = 0 } goto drain }
        :: skip
        fi;
#endif
        write_row(t, IMPORTS);
        atomic {
            if
            :: GIVES -> d_step { dirty[g] = dirty[g] & ~ids; ids = 0 }
            :: else -> goto stop
            fi
        }
    :: break
    :: goto cancel
    od;

    /* Flip: the giver's fence is locked by a transaction that stays open, for the last drain .. */
    atomic {
        FREE(g) ->
        if
        :: GIVES -> xlock[g] = me
        :: else -> goto stop
        fi
    }
    do
    :: read_dirty(g, xlock[g] == me);
        write_row(t, IMPORTS)
    :: xlock[g] == me && (dirty[g] & ~ids) == 0 -> break
    :: xlock[g] != me -> goto outcome
    od;
    /* .. the taker is ready .. */
    atomic {
        if
        :: IMPORTS -> d_step { state[t] = READY; check() }
        :: else -> goto stop
        fi
    }
#ifdef FLIP_SWAPPED
    d_step { takeover(t, e, me) }
#endif
    /* .. and the commit is the point of no return. */
    d_step {
        if
        :: xlock[g] == me ->
            rises(g, e);
            state[g] = MOVED; epoch[g] = e; token[g] = me; dirty[g] = 0; xlock[g] = 0; check()
        :: else
        fi
    }
outcome:
    /* Whatever the answer was, if any: the connection is gone, and the fence tells what happened. */
    atomic {
        xlock[g] != me ->
        d_step { buf = 0; ids = 0; k = 0; e = 0 }
        if
        :: state[g] == MOVED && my == move && phase == GO -> goto finish
        :: GIVES -> goto record
        :: else -> goto stop
        fi
    }

finish:
    atomic { e = epoch[g]; tok = token[g] }
    d_step { takeover(t, e, tok); tok = 0 }
#ifdef JOURNAL_LATE
    d_step {
        if
        :: TAKEN -> journal[t] = 1
        :: else
        fi
    }
#endif
#ifdef ADOPT
    atomic {
        if
        :: TAKEN && (token[t] == token[g] || token[t] == me) -> token[t] = me
        :: else -> goto stop
        fi
    }
    token[g] = me;
#endif

    /* Keep: what is written at the taker is copied back, for as long as there is a way back. */
    do
    :: read_dirty(t, TAKEN);
        write_row(g, KEEPS);
        d_step {
            if
            :: TAKEN -> dirty[t] = dirty[t] & ~ids
            :: else
            fi;
            ids = 0
        }
    :: atomic { MINE && phase == GO -> phase = PURGING; goto purge }
#ifdef ROLLBACK
    :: atomic { MINE && phase == GO -> phase = BACK; goto back }
#endif
    :: !(MINE && phase == GO) -> goto stop
    od;

purge:
    atomic {
        true ->
        d_step {
            if
            :: TAKEN -> journal[t] = 0; dirty[t] = 0
            :: else
            fi
        }
    }
    purge_rows(g);
    goto done;

cancel:
    /* One epoch more, so that no ready fence of anybody matches any more. */
    atomic {
        FREE(g) ->
        if
        :: MINE && phase == GO && SERVES(g) ->
            d_step {
                aim++;
                rises(g, aim);
                e = aim;
                state[g] = OWNED; epoch[g] = e; token[g] = 0; dirty[g] = 0; phase = UNDOING; check()
            }
        :: else -> goto stop
        fi
    }
undo:
    atomic { k = 0; ids = 0; buf = 0 }
    do
    /* Not what the giver's fence says now: that may belong to the next move, and so may the rows here. */
    :: d_step { LEFTOVER && k < KEYS -> ROW(t, k) = 0; k++; check() }
    :: atomic { LEFTOVER && k == KEYS -> d_step { state[t] = MOVED; epoch[t] = e; token[t] = 0; check() } break }
    :: !LEFTOVER -> break
    od;
    goto done;

back:
#ifdef ROLLBACK
#ifdef BACK_UNLOCKED
    atomic {
        if
        :: RETURNS && state[t] == OWNED && state[g] == READY -> d_step { state[g] = MOVED; epoch[g] = aim; check() }
        :: else
        fi
    }
#endif
    /* The same flip, the other way, with nothing to copy. First of all the lock on the shard that
     * gives now: without it, an older flip back may still commit. */
    atomic {
        FREE(t) ->
        if
        :: state[t] == OWNED && journal[t] -> d_step { xlock[t] = me; e = epoch[t] }
        :: state[t] == MOVED && my == move -> goto back_finish
        :: else -> goto stop
        fi
    }
    do
    :: read_dirty(t, xlock[t] == me);
        write_row(g, RETURNS)
    :: xlock[t] == me && (dirty[t] & ~ids) == 0 -> break
    :: xlock[t] != me -> goto back_outcome
    od;
    atomic {
        if
        :: RETURNS ->
            d_step {
                aim = MAX(MAX(epoch[g], aim), e) + 1; e = aim;
                state[g] = READY; epoch[g] = e; token[g] = me; check()
            }
        :: else -> goto stop
        fi
    }
    d_step {
        if
        :: xlock[t] == me ->
            rises(t, e);
            state[t] = MOVED; epoch[t] = e; token[t] = me; journal[t] = 0; dirty[t] = 0; xlock[t] = 0; check()
        :: else
        fi
    }
back_outcome:
    atomic {
        xlock[t] != me ->
        d_step { buf = 0; ids = 0; k = 0; e = 0 }
        if
        :: state[t] == MOVED && my == move -> goto back_finish
        :: state[t] == OWNED -> goto back
        :: else -> goto stop
        fi
    }
back_finish:
    atomic { e = epoch[t]; tok = token[t] }
    d_step { takeover(g, e, tok); tok = 0 }
    d_step {
        if
        :: state[g] == OWNED && epoch[g] == e -> journal[g] = 0; dirty[g] = 0
        :: else
        fi
    }
    purge_rows(t);
#endif

done:
    atomic {
        true ->
        d_step {
            if
            :: MINE && move < MOVES -> move++; phase = GO; giver = SERVES(1)
            :: MINE && move == MOVES -> phase = DONE
            :: else
            fi
        }
    }
stop:
    /* Whoever stops closes its connections. */
    atomic {
        true ->
        d_step {
            RefusedIsOvertaken = (!MINE || phase == DONE);
            assert(RefusedIsOvertaken);
            if
            :: xlock[0] == me -> xlock[0] = 0
            :: xlock[1] == me -> xlock[1] = 0
            :: else
            fi;
            e = 0; my = 0; k = 0; buf = 0; ids = 0; tok = 0; g = 0; t = 0
        }
    }
}

init
{
    atomic {
        d_step {
            state[0] = OWNED;
            epoch[0] = 1;
            ROW(0, 0) = FIRST;
            ROW(0, 1) = FIRST;
            truth[0] = FIRST;
            truth[1] = FIRST;
            ROW(1, 0) = STRAY;
            ROW(1, 1) = STRAY
        }
#if WRITERS > 0
        run Writer(0);
#endif
#if WRITERS > 1
        run Writer(1);
#endif
        run Mover(1);
#if MOVERS > 2
        run Mover(3);
#endif
        run Mover(2)
    }
}
