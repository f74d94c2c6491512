"""Google Gemini's wire formats."""
