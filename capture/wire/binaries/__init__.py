"""Binary data within bodies: found, and replaced by references."""
