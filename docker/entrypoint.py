"""Takes ownership of /data, then runs the command as an unprivileged user.

A folder that Docker creates on the host for `-v $(pwd)/data:/data` belongs to root: this gives it
to the user `agentledger`.
"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

USER = os.environ.get("AGENTLEDGER_CONTAINER_USER", "agentledger")
DATA = Path(os.environ.get("AGENTLEDGER_CONTAINER_DATA", "/data"))


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
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
