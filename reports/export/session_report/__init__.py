"""The parts of a session's report: summary, pictures, calls, evidence."""
