"""What the benchmarks share: builds, hosts that are SSH servers on loopback addresses, and measuring a command."""

import contextlib
import ctypes
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SSHD = "/usr/sbin/sshd"
# Hosts in a block of addresses, as benches/hosts.rs counts them.
BLOCK = 250
# How often memory is looked at, in seconds; that of many processes takes longer.
SAMPLE, SAMPLE_ALL = 0.02, 0.1


def build():
    """The release builds of fleetadm and of benches/hosts.rs."""
    what = ["--release", "--locked", "--bin", "fleetadm", "--bench", "hosts"]
    command = ["cargo", "build", *what, "--message-format=json-render-diagnostics"]
    output = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    messages = [json.loads(line) for line in output.splitlines()]
    found = {message["target"]["name"]: message["executable"] for message in messages if message.get("executable")}
    return found["fleetadm"], found["hosts"]


def keygen(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


def addresses(count):
    """The first addresses as benches/hosts.rs counts them."""
    return [f"127.1.{i // BLOCK}.{i % BLOCK + 1}" for i in range(count)]


def named(count):
    """Names and addresses as benches/hosts.rs names them: three control planes, and workers in blocks."""
    hosts = [(f"cp-{i}", f"127.1.0.{i}") for i in range(1, 4)]
    workers = range(count - len(hosts))
    return hosts + [(f"node-{i + 1:04}", f"127.1.{i // BLOCK + 1}.{i % BLOCK + 1}") for i in workers]


def write_inventory(directory, hosts, port):
    """An inventory of these hosts, with known_hosts, and nobody's own configuration of ssh."""
    key = (directory / "host.pub").read_text().strip()
    (directory / "known_hosts").write_text("".join(f"[{address}]:{port} {key}\n" for _, address in hosts))
    lines = [
        f'[ssh]\nuser = "root"\nport = {port}\nidentity_file = "{directory}/client"',
        f'known_hosts = "{directory}/known_hosts"\nidentity_agent = "none"',
        '[cluster]\nkubernetes_version = "1.36.2"\ncontrol_plane_endpoint = "cp-1:6443"',
    ]
    for name, address in hosts:
        role = "control-plane" if name.startswith("cp-") else "worker"
        lines.append(f'[[hosts]]\nname = "{name}"\naddress = "{address}"\nrole = "{role}"')
    path = directory / f"inventory-{port}-{len(hosts)}.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


@contextlib.contextmanager
def simulated(helper, directory, facts, delay=0):
    """One process that stands for all hosts and answers every command with the file `facts`, after so many ms. Gives its port."""
    server = subprocess.Popen(
        [helper, "serve", facts, directory / "client.pub", directory / "host", str(delay)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    try:
        yield int(server.stdout.readline())
    finally:
        server.stdin.close()
        server.wait()


class Sshd:
    """OpenSSH servers, one for each address, on the same port."""

    def __init__(self, directory, hosts):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.directory, self.hosts, self.servers = directory, hosts, []
        # Where each host has a file system of its own.
        self.home = directory / "home"

    def __enter__(self):
        self.home.mkdir()
        config = self.directory / "sshd_config"
        config.write_text(
            f"Port {self.port}\nHostKey {self.directory}/host\nAuthorizedKeysFile {self.directory}/client.pub\n"
            "PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n"
            "Subsystem sftp internal-sftp\nMaxStartups 1000:30:1000\n"
            # No startup files of root's.
            f"SetEnv HOME={self.home}\n"
        )
        os.makedirs("/run/sshd", exist_ok=True)
        with open(self.directory / "sshd.log", "wb") as log:
            for address in self.hosts:
                script = f'mount -t tmpfs tmpfs "$1" && exec {SSHD} -D -e -f "$2" -o ListenAddress="$3"'
                command = ["unshare", "--mount", "sh", "-c", script, "sh", self.home, config, address]
                self.servers.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log))
        for address in self.hosts:
            for _ in range(500):
                with contextlib.suppress(OSError):
                    socket.create_connection((address, self.port)).close()
                    break
                time.sleep(0.02)
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.terminate()
        for server in self.servers:
            server.wait()

    def files(self, name):
        """That file as every host has it."""
        return [pathlib.Path(f"/proc/{server.pid}/root{self.home}/{name}") for server in self.servers]

    def cpu(self):
        """Processor seconds of all servers and what they have run so far, once no session is left."""
        pids = [server.pid for server in self.servers]
        deadline = time.monotonic() + 20
        while any(children(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.02)
        ticks = 0
        for pid in pids:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")


def children(pid):
    """Those that any of its threads has started."""
    found = []
    # It may end at any time.
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def proportional(pids):
    """MiB of these processes, what they share counted once."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(text.split("Pss:")[1].split()[0])
    return total / 1024


def measure(command, stdin=None, expect=(0,), env=None):
    """Wall seconds, processor seconds and peak MiB of a command with all that it starts and leaves running.

    The processor time is what the kernel adds up. The memory is the peak that the kernel knows of the command's own process,
    or the sum of the proportional set sizes of all, looked at every 0.1 s, where that is more.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            result = supervise(command, stdin, env)
        except BaseException as error:
            result = {"status": f"not run: {error}", "errors": ""}
        with os.fdopen(writer, "w") as pipe:
            json.dump(result, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        result = json.load(pipe)
    os.waitpid(pid, 0)
    status, errors = result.pop("status"), result.pop("errors")
    if status not in expect:
        sys.exit(f"{' '.join(map(str, command))[:500]} ended with {status}:\n{errors}")
    return result


def supervise(command, stdin, env):
    """In a process of its own, which whatever the command leaves behind falls to."""
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    import resource

    peak, over = [0.0], threading.Event()

    def watch():
        all_at = 0
        while not over.wait(SAMPLE):
            with contextlib.suppress(OSError, IndexError):
                text = pathlib.Path(f"/proc/{child.pid}/status").read_text()
                peak[0] = max(peak[0], int(text.split("VmHWM:")[1].split()[0]) / 1024)
            if time.monotonic() > all_at:
                peak[0] = max(peak[0], proportional(descendants(os.getpid())))
                all_at = time.monotonic() + SAMPLE_ALL

    with tempfile.TemporaryFile() as errors, open(stdin or os.devnull, "rb") as source:
        watcher = threading.Thread(target=watch)
        started = time.monotonic()
        child = subprocess.Popen(
            [str(word) for word in command], stdin=source, stdout=subprocess.DEVNULL, stderr=errors, env=env
        )
        watcher.start()
        status = child.wait()
        wall = time.monotonic() - started
        over.set()
        watcher.join()
        # ControlPersist's masters, which would stay for a minute.
        while left := descendants(os.getpid()):
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGTERM)
            with contextlib.suppress(OSError):
                os.waitpid(-1, 0)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        errors.seek(0)
        return {
            "wall": wall,
            "cpu": usage.ru_utime + usage.ru_stime,
            "mib": peak[0],
            "status": status,
            "errors": errors.read()[-3000:].decode(errors="replace"),
        }


def median(runs):
    return {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}


def machine():
    """Date and size of the machine, for the record."""
    return {"date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count()}


def table(title, rows, columns):
    """A Markdown table. `columns` are (heading, key, format)."""
    print(f"\n| {title} | " + " | ".join(heading for heading, _, _ in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, row in rows:
        cells = [format(row[key], how) if row.get(key) is not None else "–" for _, key, how in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")
