/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Replaces the C library's epoll_wait(2) for libmicrohttpd.
 *
 * Its loop asks for 128 events and, if it gets as many, asks for more before it handles
 * them, with the same timeout, which may be infinite (MHD_epoll() in its daemon.c, in
 * 0.9.75 and 1.0). When exactly 128 connections have events, none is served until another
 * one has. With one event less asked for, the kernel never fills the array; the rest
 * comes with the next call.
 *
 * The Makefile links this file into every program, where it also replaces the library's
 * calls. Not in builds with the thread sanitizer, which needs its own wrapper of
 * epoll_wait() to see the order of events. */
#include <stddef.h>
#include <sys/epoll.h>

#ifndef __SANITIZE_THREAD__

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): theirs: __epfd ..
int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)
{
    return epoll_pwait(epfd, events, maxevents > 1 ? maxevents - 1 : maxevents, timeout,
                       NULL);
}

#endif
