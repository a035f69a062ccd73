"""The HTTP app that listens to the outside: signed webhooks and the customer's page, each answered after commit.

`Resident.open(...)` hosts it together with the dispatcher, which acts on what came in within a second.
"""
