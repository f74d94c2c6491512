"""The names and sizes of the made-up conversations that fill a ledger."""

MODELS = [f"model-{number}" for number in range(20)]
AGENTS = [f"agent-{number}" for number in range(50)]
APPS = [f"app-{number}" for number in range(5)]
ENVIRONMENTS = ["production", "production", "staging", "development"]
N_USERS = 5000
DAYS = 90
LONG_CALLS, LONG_HISTORY = 500, 200
MESSAGE_CHARACTERS = 220
SESSIONS_AT_ONCE = 50
