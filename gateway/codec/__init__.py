"""Wire formats: records to payloads, as templates that the native core runs, and back.

`formats` declares them, `template` compiles what they declare; `decode` reads our JSON, for clients
and as the tests' oracle.
"""
