"""The HTTP app that listens to the outside: signed webhooks, each committed before it is answered."""
