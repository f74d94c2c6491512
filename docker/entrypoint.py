"""Takes ownership of /data, then runs the command as an unprivileged user.

A folder that Docker creates on the host for `-v $(pwd)/data:/data` belongs to root: this gives it
to the user `agentledger`. The bridge's gateway may read without a key: requests from the host come
from that address.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
import sys
from pathlib import Path

USER = os.environ.get("AGENTLEDGER_CONTAINER_USER", "agentledger")
DATA = Path(os.environ.get("AGENTLEDGER_CONTAINER_DATA", "/data"))
ROUTES = Path("/proc/net/route")


def gateway(routes: str) -> str | None:
    """Returns the gateway of the default route, given the text of /proc/net/route."""
    for line in routes.splitlines()[1:]:
        _, destination, address, *_ = line.split()
        if int(destination, 16) == 0 and int(address, 16) != 0:
            return socket.inet_ntoa(struct.pack("<I", int(address, 16)))
    return None


def own(folder: Path, uid: int, gid: int) -> None:
    for path in (folder, *folder.rglob("*")):
        if path.lstat().st_uid != uid:
            os.chown(path, uid, gid, follow_symlinks=False)


def drop_privileges(user: pwd.struct_passwd) -> None:
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def main(command: list[str]) -> None:
    if os.getuid() == 0:
        user = pwd.getpwnam(USER)
        DATA.mkdir(exist_ok=True)
        own(DATA, user.pw_uid, user.pw_gid)
        drop_privileges(user)
    os.environ.pop("AGENTLEDGER_CONTAINER_USER", None)
    os.environ.pop("AGENTLEDGER_CONTAINER_DATA", None)
    address = gateway(ROUTES.read_text()) if ROUTES.exists() else None
    if address is not None:
        os.environ.setdefault("AGENTLEDGER_TRUSTED_NETWORKS", address)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
