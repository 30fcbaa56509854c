"""The tools that fleetadm is measured against: how they are installed, and how each does the same work.

All get the same hosts, key and known_hosts, 64 hosts at a time, and write to the same path.
"""

import hashlib
import os
import pathlib
import subprocess
import sys

PARALLEL = 64
PYPI = ["ansible-core==2.19.14", "ClusterShell==1.10.1", "parallel-ssh==2.16.0.post1", "pyinfra==3.10.0"]

# A library, so it takes a program.
PARALLEL_SSH = """
import sys
from gevent import joinall
from pssh.clients import ParallelSSHClient
hosts, port, key, size, work, *words = sys.argv[1:]
client = ParallelSSHClient(open(hosts).read().split(), user="root", port=int(port), pkey=key, pool_size=int(size),
                           allow_agent=False, identity_auth=False, num_retries=1)
if work == "push":
    joinall(client.copy_file(*words), raise_error=True)
else:
    outputs = client.run_command(words[0])
    if work == "script":
        for output in outputs:
            output.stdin.write(open(words[1]).read())
            output.client.eagain(output.channel.send_eof)
    for output in outputs:
        list(output.stdout)
    client.join()
    assert all(output.exit_code == 0 for output in outputs)
"""


def install():
    """What is missing: pdsh from Debian, the others from PyPI. Gives the folder of their programs."""
    if not pathlib.Path("/usr/bin/pdsh").exists():
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "-qq", "update"], check=True)
        command = ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", "pdsh"]
        subprocess.run(command, check=True, env=environment, stdout=sys.stderr)
    caches = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    cache = pathlib.Path(os.environ.get("FLEETADM_CACHE") or pathlib.Path(caches) / "fleetadm")
    key = hashlib.sha256(" ".join([sys.version, *PYPI]).encode()).hexdigest()[:12]
    folder = cache / "bench" / key
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", *PYPI], check=True, stdout=sys.stderr)
        (folder / "complete").touch()
    return folder / "bin"


class Rivals:
    """Every tool's way to do the work, as (command, standard input)."""

    def __init__(self, bin, directory, hosts, port):
        self.bin, self.directory, self.hosts, self.port = bin, directory, hosts, port
        self.config, self.list = directory / "ssh_config", directory / "hosts"
        self.config.write_text(
            f"Host *\n User root\n Port {port}\n IdentityFile {directory}/client\n IdentitiesOnly yes\n IdentityAgent none\n"
            f" UserKnownHostsFile {directory}/known_hosts\n GlobalKnownHostsFile /dev/null\n"
            " StrictHostKeyChecking yes\n LogLevel ERROR\n"
        )
        self.list.write_text("".join(f"{host}\n" for host in hosts))
        self.ansible_inventory, self.pyinfra_inventory = directory / "ansible.ini", directory / "pyinfra_inventory.py"
        self.ansible_inventory.write_text(
            "[all]\n" + "".join(f"{host}\n" for host in hosts)
            + f"[all:vars]\nansible_python_interpreter={sys.executable}\n"
        )
        data = {
            "ssh_user": "root", "ssh_port": port, "ssh_key": f"{directory}/client", "ssh_allow_agent": False,
            "ssh_look_for_keys": False, "ssh_known_hosts_file": f"{directory}/known_hosts",
            "ssh_strict_host_key_checking": "yes", "ssh_config_file": "/dev/null",
        }
        self.pyinfra_inventory.write_text(f"hosts = ({list(hosts)!r}, {data!r})\n")
        options = f"-F {self.config}"
        persist = "-o ControlMaster=auto -o ControlPersist=60s"
        self.env = {
            **os.environ,
            "PATH": f"{bin}:{os.environ['PATH']}",
            "PDSH_SSH_ARGS_APPEND": f"{options} -p {port}",
            "ANSIBLE_SSH_ARGS": f"{options} {persist}",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{directory}/cp",
            "ANSIBLE_PIPELINING": "True",
            "ANSIBLE_GATHERING": "explicit",
            "ANSIBLE_HOME": f"{directory}/ansible",
            "PYTHONWARNINGS": "ignore",
        }

    def versions(self):
        def first(*command):
            output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env, text=True)
            return output.stdout.strip().splitlines()[0].strip()

        return [first("ssh", "-V").split(",")[0], first("pdsh", "-V"), *(name.replace("==", " ") for name in PYPI)]

    def ways(self, work, payload=None, target=None):
        """By tool. `work` is true, script (run `payload`) or push (`payload` to `target`)."""
        ssh, size = f"ssh -F {self.config}", PARALLEL
        everyone = ",".join(self.hosts)
        xargs = ["xargs", "-P", size, "-I{}", "sh", "-c"]
        pdsh = ["pdsh", "-S", "-R", "ssh", "-f", size, "-w", everyone]
        clush = ["clush", "-S", "-q", "-f", size, "-o", f"-F {self.config}", "-w", everyone]
        library = [self.bin / "python", "-c", PARALLEL_SSH, self.list, self.port, self.directory / "client", size, work]
        pyinfra = ["pyinfra", "-y", "--parallel", size, self.pyinfra_inventory]
        ansible = ["ansible", "all", "-i", self.ansible_inventory, "-f", size, "-m"]
        from_input = 'exec sh -c "$(cat)" look'
        if work == "true":
            ways = {
                "xargs -P + ssh": (xargs + [f"{ssh} -n {{}} true"], self.list),
                "pdsh": (pdsh + ["true"], None),
                "clush": (clush + ["true"], None),
                "parallel-ssh": (library + ["true"], None),
                "pyinfra": (pyinfra + ["exec", "--", "true"], None),
                "ansible": (ansible + ["raw", "-a", "true"], None),
            }
        elif work == "script":
            ways = {
                "xargs -P + ssh": (xargs + [f"{ssh} {{}} '{from_input}' <{payload}"], self.list),
                # It passes on no standard input.
                "pdsh": (pdsh + [payload.read_text()], None),
                "clush": (clush + [from_input], payload),
                "parallel-ssh": (library + [from_input, payload], None),
                "pyinfra": (pyinfra + ["server.script", f"src={payload}"], None),
                "ansible": (ansible + ["script", "-a", payload], None),
            }
        else:
            ways = {
                "xargs -P + scp": (xargs + [f"scp -q -F {self.config} {payload} {{}}:{target}"], self.list),
                "pdcp": (["pdcp", "-R", "ssh", "-e", "/usr/bin/pdcp", "-f", size, "-w", everyone, payload, target], None),
                "clush --copy": (clush + ["--copy", payload, "--dest", target], None),
                "parallel-ssh": (library + [payload, target], None),
                "pyinfra": (pyinfra + ["files.put", f"src={payload}", f"dest={target}"], None),
                "ansible": (ansible + ["copy", "-a", f"src={payload} dest={target}"], None),
            }
        return ways
