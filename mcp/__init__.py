"""The MCP server: tools through which an assistant asks the ledger.

This package hides PyPI's `mcp` where the project's folder is on the path; the types of the protocol
come from `mcp_types`.
"""
