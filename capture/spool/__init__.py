"""The journal of exchanges that are not in the ledger yet. A record is whole or it is not there.

`frames` is the format on disk, `writer` the proxy's side, `reader` the recorder's side.
"""
