"""Access to the API, the pages and the admin. Agents have keys of their own: capture.admission."""
