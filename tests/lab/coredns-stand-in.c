/* Stands in for CoreDNS, which Debian does not have: says "OK" to whatever is asked on the two ports that the
 * kubelet probes (8080/health, 8181/ready). It resolves no names. */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void leave(int signal) { (void)signal; _exit(0); }

static int listen_on(int port) {
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  int on = 1, s = socket(AF_INET6, SOCK_STREAM, 0);
  if (s >= 0) {
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s, (struct sockaddr *)&any, sizeof any) == 0 && listen(s, 16) == 0) return s;
    close(s);
  }
  s = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(s, (struct sockaddr *)&any4, sizeof any4) || listen(s, 16)) _exit(1);
  return s;
}

int main(void) {
  static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";
  struct pollfd ports[2] = {{listen_on(8080), POLLIN, 0}, {listen_on(8181), POLLIN, 0}};
  signal(SIGTERM, leave);
  signal(SIGINT, leave);
  signal(SIGPIPE, SIG_IGN);
  for (;;) {
    if (poll(ports, 2, -1) < 0) continue;
    for (int i = 0; i < 2; i++) {
      char request[4096];
      struct timeval patience = {1, 0};
      int c = ports[i].revents & POLLIN ? accept(ports[i].fd, 0, 0) : -1;
      if (c < 0) continue;
      setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      if (read(c, request, sizeof request) > 0 && write(c, ok, sizeof ok - 1) > 0) shutdown(c, SHUT_WR);
      close(c);
    }
  }
}
