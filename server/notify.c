/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Tell the service manager how far the process is, without libsystemd. */
#include "server/notify.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool notify_send(const char *socket_name, const char *state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = socket_name == NULL ? 0 : strlen(socket_name);
    socklen_t address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    ssize_t sent;
    int fd;

    if (len == 0) {
        return true;
    }
    if ((socket_name[0] != '/' && socket_name[0] != '@') ||
        len >= sizeof address.sun_path) {
        errno = EINVAL;
        return false;
    }
    memcpy(address.sun_path, socket_name, len);
    if (socket_name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL,
                  (const struct sockaddr *)(const void *)&address, address_len);
    int saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return sent >= 0;
}
