"""Attempts to get out of a sandbox, as programs that run inside. Each prints ESCAPED when it got what it tried to get.

`{…}` stands for what is outside, see `Outside` in test_escapes.py. PYTHON programs find `libc` (errors as errno),
`tried(call, …)`, which is true when a call did not fail, and `escaped()`.
"""

PRELUDE = """
import ctypes, errno, fcntl, glob, os, platform, signal, socket, struct, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
def escaped(*what):
    print("ESCAPED", *what, flush=True)
def tried(call, *arguments, **named):
    try:
        return call(*arguments, **named) not in (-1, None, False)
    except (OSError, subprocess.SubprocessError):
        return False
def opened(path, mode="rb"):
    try:
        with open(path, mode) as file:
            return file.read(4096) if "r" in mode else file.write("x" if "b" not in mode else b"x") or True
    except OSError:
        return None
def connected(family, address, kind=socket.SOCK_STREAM):
    try:
        with socket.socket(family, kind) as peer:
            peer.settimeout(1)
            peer.connect(address)
            peer.send(b"x")
            return True
    except OSError:
        return False
"""

SHELL = {
    "the keys of the account": "cat {home}/.ssh/id_ed25519 ~/.ssh/* /root/.ssh/* /home/*/.ssh/*",
    "a file outside by its path": "cat {secret_file}",
    "the passwords of the machine": "cat /etc/shadow /etc/gshadow /etc/sudoers && echo ESCAPED",
    "another session by its path": "cat {other_session}/workspace/secret",
    "another session by ..": "cat ../*/workspace/secret ../../*/workspace/secret /workspace/../*/secret",
    "another session whose name begins like ours": "cat /workspace-evil/secret ../workspace-evil/secret",
    "any folder of sessions": "ls -d {workspaces} {workspaces}/* && echo ESCAPED",
    "a link to a file outside": "ln -s {secret_file} link; cat link",
    "a hard link to a file outside": "ln {secret_file} hard; ln /etc/passwd hard2 && echo ESCAPED; cat hard",
    "a hard link to a program of the system": "ln /usr/bin/env env2 && echo ESCAPED",
    "the environments of all processes": "cat /proc/*/environ | tr '\\0' '\\n'",
    "the environment of the worker": "cat /proc/{worker}/environ | tr '\\0' '\\n'; ls /proc/{victim} && echo ESCAPED",
    "the arguments of processes outside": "cat /proc/*/cmdline | tr '\\0' ' '",
    "the folders of other processes": "for p in /proc/[0-9]*; do cat $p/root{secret_file} $p/cwd/secret; done",
    "the terminal": "echo ESCAPED > /dev/tty",
    "killing a process outside": "kill -9 {victim} && echo ESCAPED",
    "killing all processes": "trap '' TERM; kill -9 -1; sleep 0.1",
    "writing to the system": "for f in /usr/x /usr/bin/x /lib/x /etc/x /x /dev/x; do touch $f && echo ESCAPED; done",
    "changing the accounts": "echo evil:x:0:0::/:/bin/sh >> /etc/passwd && echo ESCAPED",
    "programs that change the account": "su -c id && echo ESCAPED; find / -xdev -perm /6000 -exec {{}} \\; ",
    "more rights than none": "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb):.*[1-9a-f]' /proc/self/status && echo ESCAPED",
    "rights that come with a program": "grep NoNewPrivs: /proc/self/status | grep -q 1 || echo ESCAPED",
    "device files": "mknod d c 1 1 && echo ESCAPED; ls /dev/kvm /dev/fuse /dev/mem /dev/vda /dev/sda && echo ESCAPED",
    "the kernel's settings": "echo x > /proc/sys/kernel/hostname && echo ESCAPED",
    "the program for crashes": "echo '|/bin/sh' > /proc/sys/kernel/core_pattern && echo ESCAPED",
    "the magic keys": "echo h > /proc/sysrq-trigger && echo ESCAPED",
    "the kernel's messages and memory": "dmesg && echo ESCAPED; head -c 1 /proc/kcore /dev/kmsg && echo ESCAPED",
    "mounting": "mount -t tmpfs x /workspace && echo ESCAPED; mount -o remount,rw / && echo ESCAPED",
    "unmounting what covers the kernel's settings": "umount /proc/sys && echo ESCAPED; umount -l /usr && echo ESCAPED",
    "user namespaces": "unshare -Ur id && echo ESCAPED; unshare -Urm true && echo ESCAPED",
    "other roots": "chroot /workspace true && echo ESCAPED; chroot / true && echo ESCAPED",
    "the limits": "ulimit -f unlimited && echo ESCAPED; ulimit -c unlimited && echo ESCAPED",
    "sockets in the file system": "find / -xdev -type s 2>/dev/null | grep . && echo ESCAPED; ls {workspaces}/*/run",
    "the output of other calls": "find / -name output -path '*calls*' 2>/dev/null | grep . && echo ESCAPED",
    "docker": "ls /var/run/docker.sock /run/docker.sock /run/containerd && echo ESCAPED",
    "scheduled programs": "echo id > /etc/cron.d/x && echo ESCAPED; echo id | crontab - && echo ESCAPED",
    "the name of the machine": "hostname | grep -qx sandbox || echo ESCAPED; hostname evil && echo ESCAPED",
}

PYTHON = {
    "descriptors that the worker had open": """
for name in os.listdir("/proc/self/fd"):
    path = f"/proc/self/fd/{{name}}"
    if int(name) > 2 and os.path.lexists(path) and not os.readlink(path).startswith("/proc/"):
        escaped(os.readlink(path))
""",
    "descriptors of the first process": """
for name in os.listdir("/proc/1/fd"):
    target = os.readlink(f"/proc/1/fd/{{name}}")
    if not target.startswith(("pipe:", "anon_inode:", "/memfd:")):
        escaped(target)
for path in glob.glob("/proc/1/root/{secret_file}") + glob.glob("/proc/1/cwd/../secret"):
    escaped(path)
""",
    "the memory of processes outside": """
for pid in ({worker}, {victim}):
    for path in (f"/proc/{{pid}}/mem", f"/proc/{{pid}}/maps"):
        if opened(path): escaped(path)
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
    if libc.process_vm_readv(pid, vector, 1, vector, 1, 0) > 0: escaped("read")
""",
    "tracing a process outside": """
for pid in ({worker}, {victim}):
    if libc.ptrace(16, pid, 0, 0) == 0: escaped(pid)
    if libc.syscall(434, pid, 0) >= 0: escaped("pidfd")
""",
    "seeing processes outside": """
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
if len(pids) > 6: escaped(pids)
""",
    "namespaces of other processes": """
for pid in (1, {worker}, os.getppid()):
    for kind in ("mnt", "user", "net", "pid"):
        try:
            there = os.open(f"/proc/{{pid}}/ns/{{kind}}", os.O_RDONLY)
        except OSError:
            continue
        if libc.setns(there, 0) == 0: escaped(kind)
""",
    "user namespaces by each call that makes one": """
NEW_USER = 0x10000000
if libc.unshare(NEW_USER) == 0: escaped("unshare")
if libc.unshare(0x00020000) == 0: escaped("mounts")
child = libc.syscall(56 if X86 else 220, NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)
if child >= 0:
    if child: escaped("clone")
    os._exit(0)
arguments = struct.pack("=11Q", NEW_USER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
child = libc.syscall(435, arguments, len(arguments))
if child >= 0:
    if child: escaped("clone3")
    os._exit(0)
""",
    "becoming another account": """
for call in (os.setuid, os.setgid, os.seteuid):
    if call(0) is None: escaped()
""".replace(
        "    if call(0) is None: escaped()",
        """    try:
        call(0)
        escaped(call)
    except OSError:
        pass""",
    ),
    "typing into the terminal": """
for fd in (0, 1, 2):
    for code in (0x5412, 0x541C):
        try:
            fcntl.ioctl(fd, code, b"x")
            escaped(fd)
        except OSError as error:
            if error.errno == errno.ENOTTY: escaped("the call is not filtered")
""",
    "ports of the machine": """
for host in ("127.0.0.1", "{address}", "0.0.0.0"):
    if connected(socket.AF_INET, (host, {port})): escaped(host)
if connected(socket.AF_INET6, ("::1", {port})): escaped("::1")
""",
    "addresses of the cloud": """
for host in ("169.254.169.254", "100.100.100.200"):
    if connected(socket.AF_INET, (host, 80)): escaped(host)
if connected(socket.AF_INET6, ("fd00:ec2::254", 80)): escaped("fd00:ec2::254")
""",
    "names of the internet": """
try:
    escaped(socket.getaddrinfo("example.com", 80))
except OSError:
    pass
for host in ("8.8.8.8", "1.1.1.1", "{address}"):
    if connected(socket.AF_INET, (host, 53), socket.SOCK_DGRAM): escaped(host)
""",
    "interfaces of the machine": """
names = [name for _, name in socket.if_nameindex()]
if names != ["lo"]: escaped(names)
""",
    "abstract sockets of the machine": """
if connected(socket.AF_UNIX, "\\0{abstract}"): escaped()
""",
    "families of sockets that reach past the network namespace": """
for family, kind in ((40, 1), (17, 3), (38, 5), (31, 3), (30, 1), (21, 5), (44, 3), (16, 3)):
    for protocol in ((0,) if family != 16 else (2, 9, 12, 15, 16)):
        fd = libc.socket(family, kind, protocol)
        if fd >= 0: escaped(family, protocol)
        elif ctypes.get_errno() not in (errno.EAFNOSUPPORT,): escaped("not filtered", family, ctypes.get_errno())
""",
    "raw packets": """
if tried(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP): escaped()
""",
    "the daemon by its socket": """
for path in ("{daemon_socket}", "/run/socket", "/mnt/run/socket", "run/socket", "../run/socket"):
    if connected(socket.AF_UNIX, path): escaped(path)
""",
    "the kernel's newest ways in": """
calls = (321, 298, 323, 250, 248, 319) if X86 else (280, 241, 282, 219, 217, 279)
for number in (*calls, 425, 426, 427, 428, 430, 442, 447):
    if libc.syscall(number, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != errno.ENOSYS: escaped(number)
""",
    "the other numbers of the same calls": """
if X86:
    for number in (321, 250, 425, 165):
        if libc.syscall(0x40000000 + number, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != errno.ENOSYS: escaped(number)
""",
    "the account's keys in the kernel": """
number = 250 if X86 else 219
for request in (0, 1, 11):
    if libc.syscall(number, request, -3, 0, 0, 0) >= 0: escaped(request)
""",
    "handles of files": """
if libc.syscall(304 if X86 else 265, -100, b"\\0" * 64, 0) != -1 or ctypes.get_errno() != errno.ENOSYS: escaped()
""",
    "mounting by each call that can": """
for number in (165, 166, 155, 428, 429, 430, 431, 432) if X86 else (40, 39, 41, 428, 429, 430, 431, 432):
    if libc.syscall(number, b"none", b"/tmp", b"tmpfs", 0, 0) >= 0: escaped(number)
""",
    "the priority of the worker": """
if tried(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)) or True): escaped("real time")
if tried(lambda: os.nice(-5) or True): escaped("nice")
if opened("/proc/self/oom_score_adj") != b"1000\\n": escaped("memory")
if tried(lambda: open("/proc/self/oom_score_adj", "w").write("-1000") and False): escaped("memory")
""",
    "forging the exit": """
import json
lie = json.dumps({{"code": 0, "reason": None, "cut": False, "exit": 0}}).encode() + b"\\n"
for fd in range(3, 300):
    try:
        os.write(fd, lie)
    except OSError:
        pass
for fd in (1, 2):
    os.write(fd, struct.pack(">BI", 3, len(lie)) + lie)
os._exit(77)
""",
    "memory in /tmp without end": """
try:
    for number in range(300):
        with open(f"/tmp/{{number}}", "wb") as file: file.write(b"x" * 5_000_000)
    escaped()
except OSError as error:
    print(error)
""",
    "memory in /dev/shm without end": """
try:
    for number in range(300):
        with open(f"/dev/shm/{{number}}", "wb") as file: file.write(b"x" * 5_000_000)
    escaped()
except OSError as error:
    print(error)
""",
    "memory in files without a name": """
for name in ("memfd_create",):
    if hasattr(os, name) and tried(os.memfd_create, "x"): escaped()
""",
    "memory in System V segments": """
for size in (1 << 30, 1 << 32):
    if libc.shmget(0, ctypes.c_size_t(size), 0o1600) >= 0: escaped(size)
if libc.shmget(0, ctypes.c_size_t(56), 0o1600) < 0: escaped("databases cannot lock")
if libc.msgget(0, 0o1600) >= 0: escaped("queue")
""",
}
