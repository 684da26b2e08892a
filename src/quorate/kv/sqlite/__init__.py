"""A small Redis-protocol store whose data lives in an in-memory SQLite database; it imports nothing of quorate."""
