/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Tell the service manager how far the process is (the protocol of sd_notify(3)). */
#ifndef DOUSHARD_NOTIFY_H
#define DOUSHARD_NOTIFY_H

#include <stdbool.h>

/* Send STATE ("READY=1") to SOCKET, the value of NOTIFY_SOCKET: an absolute path, or '@'
 * and an abstract name. With NULL or "" as SOCKET nothing happens. False: it
 * could not be sent, errno says why. Never blocks. */
bool notify_send(const char *socket_name, const char *state);

#endif
