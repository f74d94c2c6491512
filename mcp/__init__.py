"""The MCP server: tools with which an assistant reads the ledger.

This package shadows PyPI's `mcp` where the project's folder is on the path; the types of the
protocol come from `mcp_types`.
"""
