"""Makes PDFs, in a process of its own without Django: fonts, templates, and printable text."""
