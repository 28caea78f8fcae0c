/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The bytes of a file as the body of an answer, without the connection's thread ever
 * waiting for a disk: what is in the page cache is read at once, the rest by another
 * thread while the connection is suspended. */
#ifndef DOUSHARD_REQUEST_REPLY_FILE_H
#define DOUSHARD_REQUEST_REPLY_FILE_H

#include <stdint.h>

#include "shard/base/check.h"

struct MHD_Connection;
struct MHD_Response;
struct workers;

/* A part of an open file. */
struct file_part {
    int fd;
    uint64_t offset;
    uint64_t length; /* > 0 */
};

/* A response for CONNECTION with PART as its body, read by threads of DISK (ref), which
 * also close the descriptor, however much they have to do; only once DISK is stopping,
 * whoever frees the response does. The descriptor is taken over. NULL: no memory, and it
 * stays the caller's. */
struct MHD_Response *reply_file_response(const struct file_part *part,
                                         struct MHD_Connection *connection,
                                         struct workers *disk) MUST_CHECK;

#endif
