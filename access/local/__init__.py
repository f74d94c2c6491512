"""The local operator: whose program connects, what forwarding looks like, the key that is made."""
