"""quorate: one network service, run as several different replicas that vote on every answer."""

__version__ = "0.1.0"
