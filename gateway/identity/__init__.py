"""Who a client is, and what it may have: tokens, API keys, grants, revocation. Sans-IO.

Theory of operation. A credential comes with a request, or in a message (`auth`); the
`Authenticator` makes an `Identity` of it, or says why not. What it goes by is `Material`: keys that
verify, API keys, grants, what is revoked. Material is never changed: the `Keeper`, which reads
files and fetches keys on threads of its own, makes another one and hands it over whole. An identity
and its encoding give `Rights`, which the session asks before it looks for a name and which the data
plane has as a grant, by the same code. Nothing but the keeper and the commands touches a file, a
socket or a clock.
"""
