/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Stands in front of the C library's epoll_wait(2), for libmicrohttpd.
 *
 * Its loop asks for 128 events and, if it gets so many, asks for more before it looks at
 * them, but with the first timeout, which may be for ever (MHD_epoll() in its daemon.c,
 * in 0.9.75 and 1.0). When exactly 128 connections have something to say, none of them
 * is heard until another one speaks. Asked for one event less, the kernel never fills the
 * array; what is left over comes with the next call.
 *
 * The Makefile has every program take this file, and the linker lets it stand for the
 * library's calls, too. Not in builds with the thread sanitizer, whose own wrapper of
 * epoll_wait() knows what it orders. */
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
