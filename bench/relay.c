/* The limit that a relay in C sets: one process per hop, no framing, no hash, no failure survived.
 *
 *   relay recv PORT NEXT:PORT|- SINK splice|copy   takes one connection, hands it on, writes it to SINK
 *   relay send FILE HOST:PORT splice|copy          sends a file
 *   relay run OUT PROGRAM ARGUMENT...              runs a program; OUT gets "user system peak": CPU seconds of it and
 *                                                  of its children that ended, and the largest VmHWM of them in KiB;
 *                                                  OUT.pid gets its process id
 *   relay await FILE BYTES PID                     waits until a file is that long, or the process is gone
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 256 * 1024, PIPE = 1024 * 1024, RETRY_MICROSECONDS = 20000, RETRIES = 1500, LOOK_MICROSECONDS = 2000 };

static void die(const char *what)
{
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in address_of(char *text)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    char *colon = strrchr(text, ':');
    if (!colon)
        errno = EINVAL, die(text);
    *colon = 0;
    if (inet_pton(AF_INET, text, &at.sin_addr) != 1)
        errno = EINVAL, die(text);
    at.sin_port = htons(atoi(colon + 1));
    return at;
}

static int dial(char *text)
{
    struct sockaddr_in at = address_of(text);
    for (int i = 0; i < RETRIES; i++) {
        int line = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
        if (line < 0)
            die("socket");
        setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        if (connect(line, (struct sockaddr *)&at, sizeof at) == 0)
            return line;
        close(line);
        usleep(RETRY_MICROSECONDS);
    }
    die("connect");
    return -1;
}

static int take(int port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
    int door = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(door, (struct sockaddr *)&at, sizeof at) || listen(door, 1))
        die("listen");
    int line = accept(door, 0, 0);
    if (line < 0)
        die("accept");
    return line;
}

static void put(int to, const char *bytes, ssize_t count)
{
    for (ssize_t done = 0; done < count;) {
        ssize_t n = write(to, bytes + done, count - done);
        if (n <= 0)
            die("write");
        done += n;
    }
}

static void move(int from, int to, ssize_t count)
{
    while (count > 0) {
        ssize_t n = splice(from, 0, to, 0, count, SPLICE_F_MOVE);
        if (n <= 0)
            die("splice");
        count -= n;
    }
}

static void relay_copy(int from, int next, int sink)
{
    static char block[BLOCK];
    ssize_t n;
    while ((n = read(from, block, sizeof block)) > 0) {
        if (next >= 0)
            put(next, block, n);
        put(sink, block, n);
    }
    if (n < 0)
        die("read");
}

static void relay_splice(int from, int next, int sink)
{
    int in[2], twin[2];
    if (pipe(in) || pipe(twin) || fcntl(in[1], F_SETPIPE_SZ, PIPE) < 0 || fcntl(twin[1], F_SETPIPE_SZ, PIPE) < 0)
        die("pipe");
    ssize_t n;
    while ((n = splice(from, 0, in[1], 0, BLOCK, SPLICE_F_MOVE)) > 0) {
        while (next >= 0 && n > 0) {
            ssize_t both = tee(in[0], twin[1], n, 0);
            if (both <= 0)
                die("tee");
            move(twin[0], next, both);
            move(in[0], sink, both);
            n -= both;
        }
        if (next < 0)
            move(in[0], sink, n);
    }
    if (n < 0)
        die("splice");
}

static int receive(int port, char *next, const char *path, int spliced)
{
    int sink = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (sink < 0)
        die(path);
    int onward = strcmp(next, "-") ? dial(next) : -1;
    int from = take(port);
    (spliced ? relay_splice : relay_copy)(from, onward, sink);
    return 0;
}

static int give(const char *path, char *to, int spliced)
{
    static char block[BLOCK];
    int file = open(path, O_RDONLY), line = dial(to);
    if (file < 0)
        die(path);
    ssize_t n;
    while ((n = spliced ? sendfile(line, file, 0, BLOCK) : read(file, block, sizeof block)) > 0)
        if (!spliced)
            put(line, block, n);
    if (n < 0)
        die("send");
    return 0;
}

static int run(const char *out, char **program)
{
    pid_t child = fork();
    if (child == 0) {
        execvp(program[0], program);
        die(program[0]);
    }
    char name[4096];
    snprintf(name, sizeof name, "%s.pid", out);
    FILE *pid = fopen(name, "w");
    if (!pid || fprintf(pid, "%d\n", (int)child) < 0 || fclose(pid))
        die(name);
    int status;
    struct rusage used;
    signal(SIGTERM, SIG_IGN);
    if (child < 0 || wait4(child, &status, 0, &used) < 0)
        die("run");
    FILE *file = fopen(out, "w");
    if (!file)
        die(out);
    fprintf(file, "%ld.%06ld %ld.%06ld %ld\n", (long)used.ru_utime.tv_sec, (long)used.ru_utime.tv_usec,
            (long)used.ru_stime.tv_sec, (long)used.ru_stime.tv_usec, used.ru_maxrss);
    fclose(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int await(const char *path, long long bytes, pid_t process)
{
    struct stat seen;
    while ((stat(path, &seen) || seen.st_size < bytes) && kill(process, 0) == 0)
        usleep(LOOK_MICROSECONDS);
    return 0;
}

int main(int count, char **words)
{
    if (count == 6 && !strcmp(words[1], "recv"))
        return receive(atoi(words[2]), words[3], words[4], !strcmp(words[5], "splice"));
    if (count == 5 && !strcmp(words[1], "send"))
        return give(words[2], words[3], !strcmp(words[4], "splice"));
    if (count >= 4 && !strcmp(words[1], "run"))
        return run(words[2], words + 3);
    if (count == 5 && !strcmp(words[1], "await"))
        return await(words[2], atoll(words[3]), atoi(words[4]));
    fprintf(stderr, "relay: recv PORT NEXT:PORT|- SINK splice|copy; send FILE HOST:PORT splice|copy; run OUT PROGRAM ARGUMENT...; await FILE BYTES PID\n");
    return 2;
}
